// SPDX-License-Identifier: MIT
#pragma once
// A corpus: texts of categories, from files and folders or as token ids.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// What is known of a text besides its tokens.
struct corpus_text {
  std::string name;            ///< shown: `02-town-parks.txt` is "town-parks", list 3 of a file of ids is "3"
  std::filesystem::path file;  ///< where it is
  std::string item;            ///< which part of `file` it is, for messages: "list 3"; empty for a whole file
};

/// Texts, each in one of several categories; the one type for all that programs and analyses do with texts. Texts of a
/// category are next to each other, so `category_of` never decreases. Texts that were read have an entry in `texts`,
/// `category_of` and `tokens`; token lists made from them (prompts, windows) have none in `texts`.
///
///     #include <iostream>
///     #include <optscope/corpus/corpus.hpp>
///
///     int main(int, char** argv) {  // MODEL_DIR FOLDER_OF_TEXTS
///       const optscope::corpus all = optscope::read_corpus({argv[2]}, optscope::tokenizer{argv[1]});
///       for (std::size_t t = 0; t < all.size(); ++t) {
///         std::cout << all.category_name(t) << " / " << all.texts[t].name << ": " << all.tokens[t].size() << "
///         tokens\n";
///       }
///     }
///
/// A large corpus can be worked through one text at a time: `find_corpus` reads no file, `read(t)` reads one.
struct corpus {
  std::vector<std::string> categories;   ///< [category]: names
  std::vector<corpus_text> texts;        ///< [text], or empty: names and files
  std::vector<std::size_t> category_of;  ///< [text]
  token_batch tokens;                    ///< [text]: BOS included; empty for a text that has not been read
  std::optional<tokenizer> words;        ///< nothing where ids were given and there is no tokenizer

  [[nodiscard]] std::size_t size() const noexcept { return tokens.size(); }
  [[nodiscard]] const std::string& category_name(std::size_t text) const { return categories[category_of[text]]; }

  /// How many texts each category has.
  [[nodiscard]] std::vector<std::size_t> texts_of_each() const;
  /// How many texts of the same category are before this one.
  [[nodiscard]] std::size_t index_in_category(std::size_t text) const;
  /// The tokens of a category's texts, in order.
  [[nodiscard]] std::span<const token_list> tokens_in(std::size_t category) const;
  /// The same of every category, copied: [category][text].
  [[nodiscard]] std::vector<token_batch> tokens_by_category() const;

  /// The BOS that the tokenizer puts before every text; nothing if it puts none, or without a tokenizer.
  [[nodiscard]] std::optional<token_id> bos() const;

  /// Adds a text after the others of its category; a new category comes last.
  void add(std::string_view category, corpus_text about, token_list ids = {});
  /// Adds a token list to a corpus without `texts`, after the others of its category.
  void add(std::size_t category, token_list ids);
  /// A corpus with the same categories and tokenizer and no texts.
  [[nodiscard]] corpus emptied() const;

  /// The content of a text's file as it is: no byte order mark or line end is changed. Throws `file_error`.
  [[nodiscard]] std::string content(std::size_t text) const;
  /// The ids of a text's file, whether or not `tokens` has them; needs `words`. Throws `file_error`, or
  /// `tokenizer_error` with the byte's offset where the file is not UTF-8.
  [[nodiscard]] token_list read(std::size_t text) const;

  /// One text for a run, named by its file and its part of it. Reads it if `tokens` has it not, as `read` does.
  ///
  ///     for (std::size_t t = 0; t < all.size(); ++t) opt.run(all.named(t), probe);
  [[nodiscard]] named_texts named(std::size_t text) const;
  /// All of them.
  [[nodiscard]] named_texts named() const;

  /// The text of one token; its id as a number without a tokenizer.
  [[nodiscard]] std::string token_text(std::size_t text, std::size_t position) const;
  /// The text of the first 16 tokens on one line; empty without a tokenizer.
  [[nodiscard]] std::string first_words(std::size_t text) const;

  /// Throws `bad_input` about a text, which names its file, its part of it, and `item` if that is not empty.
  [[noreturn]] void refuse(std::size_t text, const std::string& item, std::string expected, std::string found) const;
  /// Throws `bad_input` if a text has fewer than `minimum` tokens; it says by how much.
  void require_tokens(std::size_t text, std::size_t minimum) const;
};

/// Finds the texts of each path: a file; a folder whose sub-folders are the categories; or a folder of `.txt` files,
/// which is one category. Categories and texts come in the order of their names; a leading number and dash
/// (`1-articles`) orders and is not shown. Hidden files are left out. Several paths may share categories.
///
/// Throws `file_error` for a folder that cannot be read, `bad_input` for one without texts or with texts both in it and
/// in its sub-folders. Whether a file can be read is found out when it is read.
[[nodiscard]] corpus find_corpus(const std::vector<std::filesystem::path>& paths);

/// Finds the texts and reads all of them. Throws what `find_corpus` and `corpus::read` throw.
[[nodiscard]] corpus read_corpus(const std::vector<std::filesystem::path>& paths, tokenizer words);

/// Token ids from a JSON file, a list of lists (see `read_token_lists`): texts "0", "1", … of one category, which has
/// the file's name. Nothing is added to them, BOS neither.
[[nodiscard]] corpus read_corpus_ids(const std::filesystem::path& file);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/corpus/corpus.ipp>
#endif
