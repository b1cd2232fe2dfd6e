// SPDX-License-Identifier: MIT
#pragma once
// Text to token ids and back: GPT-2's byte-level byte-pair encoding as OPT uses it.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/bpe.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <optscope/tokenizer/utf8.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Gives the ids of Hugging Face's tokenizer (tokenizers 0.23, transformers 5) on any UTF-8 text.
///
///     #include <iostream>
///     #include <optscope/tokenizer/tokenizer.hpp>
///
///     int main(int, char** argv) {
///       const optscope::tokenizer words{argv[1]};  // a folder with vocab.json and merges.txt
///       for (const optscope::token_id id : words.encode("Hello, world")) std::cout << id << ' ' << words.piece(id) <<
///       '\n';
///     }
///
/// Immutable: threads may share one. Loading OPT's 50,265 entries takes some 20 ms.
class tokenizer {
 public:
  /// Reads `folder` as downloaded. Without tokenizer_config.json no BOS is added, as in transformers; `adds_bos` tells.
  /// Throws `file_error` or `tokenizer_error`, which name file and line or key.
  explicit tokenizer(const std::filesystem::path& folder)
      : words_{checked(folder) / "vocab.json"},
        merges_{folder / "merges.txt", words_},
        settings_{folder, words_},
        specials_{settings_.added} {
    find_bytes();
  }

  /// Reads the two files alone: no BOS.
  tokenizer(const std::filesystem::path& vocab_json, const std::filesystem::path& merges_txt)
      : words_{vocab_json}, merges_{merges_txt, words_}, settings_{words_}, specials_{settings_.added} {
    find_bytes();
  }

  /// Whether `folder` has both vocab.json and merges.txt.
  [[nodiscard]] static bool present_in(const std::filesystem::path& folder) {
    std::error_code status;
    return std::filesystem::exists(folder / "vocab.json", status) &&
           std::filesystem::exists(folder / "merges.txt", status);
  }

  /// The ids of `text`, BOS first if `adds_bos()`. Throws `tokenizer_error` if `text` is not UTF-8, with the byte's
  /// offset and `name`, the file it came from.
  [[nodiscard]] token_list encode(std::string_view text, const std::string& name = "text") const {
    if (const auto offset = utf8::first_error(text)) {
      constexpr char digits[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(text[*offset]);
      throw tokenizer_error{name, "byte " + std::to_string(*offset), "UTF-8",
                            std::string{"0x"} + digits[byte >> 4] + digits[byte & 15]};
    }
    if (text.size() >= std::numeric_limits<std::uint32_t>::max()) {
      throw tokenizer_error{name, "", "a text below 4 GiB", std::to_string(text.size()) + " bytes"};
    }
    token_list tokens;
    if (settings_.add_bos) tokens.push_back(*settings_.bos);
    byte_pair_encoder encoder{words_, merges_};
    word_memory memory{text.size()};
    std::deque<std::string> prefixed;  // the memory points into them
    const auto encode_word = [&](std::string_view word) {
      memory.append(word, tokens, [&](std::string_view w, token_list& out) { encoder.encode(w, out); });
    };
    specials_.split(
        text,
        [&](std::string_view section) {
          if (settings_.add_prefix_space && section[0] != ' ') {
            section = prefixed.emplace_back(std::string{' '}.append(section));
          }
          split_.split(section, encode_word);
        },
        [&](token_id special) { tokens.push_back(special); });
    if (settings_.add_eos) tokens.push_back(*settings_.eos);
    return tokens;
  }

  /// The texts of files, taken as they are. Throws `file_error` for one that cannot be read, `tokenizer_error` for one
  /// that is not UTF-8.
  [[nodiscard]] token_batch encode_files(const std::vector<std::filesystem::path>& files) const {
    token_batch texts;
    for (const std::filesystem::path& file : files) {
      const mapped_file mapped{file};
      const auto bytes = mapped.bytes();
      texts.push_back(encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string()));
    }
    return texts;
  }

  /// The text of `tokens`; what is not UTF-8 becomes U+FFFD, as Python's `errors="replace"` does it. Ids past the
  /// vocabulary (OPT's 50265 to 50271) have no text. Throws `tokenizer_error` for a negative id.
  [[nodiscard]] std::string decode(std::span<const token_id> tokens, bool skip_special = true) const {
    std::string bytes;
    for (const token_id id : tokens) {
      if (id < 0) throw tokenizer_error{"", "token id", "0 or more", std::to_string(id)};
      const auto index = static_cast<std::size_t>(id);
      if (index < bytes_.size() && !(skip_special && special_[index])) bytes += bytes_[index];
    }
    return utf8::replace_errors(std::move(bytes));
  }

  /// The text of one token, special ones too; U+FFFD for a part of a character.
  [[nodiscard]] std::string piece(token_id id) const { return decode({&id, 1}, false); }

  [[nodiscard]] std::size_t size() const noexcept { return words_.size(); }  ///< ids with a token, added ones included
  [[nodiscard]] bool adds_bos() const noexcept { return settings_.add_bos; }
  [[nodiscard]] std::optional<token_id> bos() const noexcept { return settings_.bos; }
  [[nodiscard]] std::optional<token_id> eos() const noexcept { return settings_.eos; }
  [[nodiscard]] std::optional<token_id> pad() const noexcept { return settings_.pad; }

 private:
  /// Where a word was met last and which tokens it became: both are still there, in the text and in the result.
  class word_memory {
   public:
    explicit word_memory(std::size_t text_size)
        : slots_(std::bit_ceil(std::min<std::size_t>(text_size / 8, 32768) + 1)) {}

    /// Appends the tokens of `word`: those it became before, or what `encode(word, tokens)` appends.
    template <class Encode>
    void append(std::string_view word, token_list& tokens, Encode&& encode) {
      if (word.size() > longest) return encode(word, tokens);
      slot& known = slots_[std::hash<std::string_view>{}(word) & (slots_.size() - 1)];
      const std::size_t end = tokens.size();
      if (known.word == word) {
        tokens.resize(end + known.count);
        std::copy_n(tokens.begin() + known.first, known.count, tokens.begin() + end);
      } else {
        encode(word, tokens);
        known = {word, end, tokens.size() - end};
      }
    }

   private:
    static constexpr std::size_t longest = 64;
    struct slot {
      std::string_view word;
      std::size_t first = 0, count = 0;
    };
    std::vector<slot> slots_;
  };

  static const std::filesystem::path& checked(const std::filesystem::path& folder) {
    std::error_code status;
    if (!std::filesystem::is_directory(folder, status)) {
      const bool there = std::filesystem::exists(folder, status);
      throw file_error{folder.string(), "", "a model folder", there ? "a file" : "nothing there"};
    }
    if (!present_in(folder) && std::filesystem::exists(folder / "tokenizer.json", status)) {
      throw tokenizer_error{folder.string(), "", "vocab.json and merges.txt (the only form of tokenizer that is read)",
                            "tokenizer.json alone; turn the texts into ids elsewhere and give them with --ids FILE"};
    }
    return folder;
  }

  void find_bytes() {
    special_.resize(words_.size());
    for (const added_token& token : settings_.added) special_[static_cast<std::size_t>(token.id)] = token.special;
    bytes_.reserve(words_.size());
    for (std::size_t id = 0; id < words_.size(); ++id) {
      bytes_.push_back(byte_map::bytes_of(words_.entry(static_cast<token_id>(id))));
    }
  }

  vocabulary words_;
  merge_table merges_;
  tokenizer_settings settings_;
  added_token_splitter specials_;
  pre_tokenizer split_;
  std::vector<std::string> bytes_;  // the text of every id
  std::vector<bool> special_;
};

}  // namespace optscope
