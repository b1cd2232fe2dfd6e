// SPDX-License-Identifier: MIT
#pragma once
// Text to token ids and back: GPT-2's byte-level byte-pair encoding as OPT uses it.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// Gives the ids of Hugging Face's tokenizer (tokenizers 0.23, transformers 5) on any UTF-8 text.
///
///     #include <iostream>
///     #include <optscope/tokenizer/tokenizer.hpp>
///
///     int main(int, char** argv) {
///       const optscope::tokenizer words{argv[1]};  // a folder with tokenizer.json, or vocab.json and merges.txt
///       for (const optscope::token_id id : words.encode("Hello, world")) {
///         std::cout << id << ' ' << words.piece(id) << '\n';
///       }
///     }
///
/// Immutable: threads may share one, and a copy shares everything with the original. Loading OPT's 50,265 entries takes
/// about 20 ms.
class tokenizer {
 public:
  /// Reads `folder` as downloaded or saved: tokenizer.json if it is there, else vocab.json and merges.txt, with the
  /// settings beside them. Without any settings no BOS is added, as in transformers; `adds_bos` tells.
  /// Throws `file_error` or `tokenizer_error`, which name file and line or key.
  explicit tokenizer(const std::filesystem::path& folder);

  /// Reads these two files only: no BOS.
  tokenizer(const std::filesystem::path& vocab_json, const std::filesystem::path& merges_txt);

  /// Whether `folder` has tokenizer.json, or both vocab.json and merges.txt.
  [[nodiscard]] static bool present_in(const std::filesystem::path& folder);

  /// The ids of `text`, BOS first if `adds_bos()`. Throws `tokenizer_error` if `text` is not UTF-8, with the byte's
  /// offset and `name`, the file it came from.
  [[nodiscard]] token_list encode(std::string_view text, const std::string& name = "text") const;

  /// The one token that `text` is, as written: a space in front counts, and no BOS is added. Throws `tokenizer_error`
  /// with the pieces if it is more than one token or none, or as `encode` does.
  ///
  ///     const token_id most = words.token(" most");
  [[nodiscard]] token_id token(std::string_view text) const;

  /// The ids of whole files, nothing stripped, with the files as names. Throws `file_error` for one that cannot be
  /// read, `tokenizer_error` for one that is not UTF-8.
  [[nodiscard]] named_texts encode_files(const std::vector<std::filesystem::path>& files) const;

  /// The text of `tokens`; what is not UTF-8 becomes U+FFFD, as in Python's `errors="replace"`. Ids past the vocabulary
  /// (OPT's 50265 to 50271) have no text. Throws `tokenizer_error` for a negative id.
  [[nodiscard]] std::string decode(std::span<const token_id> tokens, bool skip_special = true) const;

  /// The text of one token, special ones too; U+FFFD for a part of a character.
  [[nodiscard]] std::string piece(token_id id) const;

  [[nodiscard]] std::size_t size() const noexcept;  ///< ids with a token, added tokens included
  [[nodiscard]] bool adds_bos() const noexcept;     ///< whether `encode` begins with `bos()`
  [[nodiscard]] std::optional<token_id> bos() const noexcept;
  [[nodiscard]] std::optional<token_id> eos() const noexcept;
  [[nodiscard]] std::optional<token_id> pad() const noexcept;

 private:
  struct parts;
  std::shared_ptr<const parts> parts_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/tokenizer.ipp>
#endif
