// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tokenizer.hpp.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/utf8.hpp>
#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/bpe.hpp>
#include <optscope/tokenizer/byte_map.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <optscope/tokenizer/tokenizer_json.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <system_error>
#include <utility>

namespace optscope {
namespace detail {

/// Where each word was met last and which tokens it became; both are kept by reference, in the text and in the result.
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

inline const std::filesystem::path& tokenizer_folder(const std::filesystem::path& folder) {
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status)) {
    const bool there = std::filesystem::exists(folder, status);
    throw file_error{folder.string(), "", "a model folder", there ? "a file" : "nothing there"};
  }
  if (!file_present(folder / "tokenizer.json") && !file_present(folder / "vocab.json") &&
      !file_present(folder / "merges.txt")) {
    throw file_error{folder.string(), "", "a tokenizer: tokenizer.json, or vocab.json and merges.txt", "none of them"};
  }
  return folder;
}

}  // namespace detail

struct tokenizer::parts {
  explicit parts(const std::filesystem::path& folder)
      : words{detail::tokenizer_folder(folder) / "vocab.json"},
        merges{folder / "merges.txt", words},
        settings{folder, words},
        specials{settings.added, settings.split_special_tokens} {
    find_bytes();
  }

  parts(const std::filesystem::path& folder, const tokenizer_json& whole)
      : words{whole.words()},
        merges{whole.merges(words)},
        settings{folder, words, &whole},
        specials{settings.added, settings.split_special_tokens} {
    find_bytes();
  }

  parts(const std::filesystem::path& vocab_json, const std::filesystem::path& merges_txt)
      : words{vocab_json}, merges{merges_txt, words}, settings{words}, specials{settings.added} {
    find_bytes();
  }

  /// Appends the tokens of `text`, without what is put around it.
  void encode(std::string_view text, const std::string& name, token_list& tokens) const;

  void find_bytes() {
    special.resize(words.size());
    for (const added_token& token : settings.added) special[static_cast<std::size_t>(token.id)] = token.special;
    bytes.reserve(words.size());
    for (std::size_t id = 0; id < words.size(); ++id) {
      bytes.push_back(byte_map::bytes_of(words.entry(static_cast<token_id>(id))));
    }
  }

  vocabulary words;
  merge_table merges;
  tokenizer_settings settings;
  added_token_splitter specials;
  pre_tokenizer split;
  std::vector<std::string> bytes;  // the text of every id
  std::vector<bool> special;
};

OPTSCOPE_INLINE tokenizer::tokenizer(const std::filesystem::path& folder) {
  const std::filesystem::path whole = detail::tokenizer_folder(folder) / "tokenizer.json";
  parts_ = file_present(whole) ? std::make_shared<const parts>(folder, tokenizer_json{whole})
                               : std::make_shared<const parts>(folder);
}

OPTSCOPE_INLINE tokenizer::tokenizer(const std::filesystem::path& vocab_json, const std::filesystem::path& merges_txt)
    : parts_{std::make_shared<const parts>(vocab_json, merges_txt)} {}

OPTSCOPE_INLINE bool tokenizer::present_in(const std::filesystem::path& folder) {
  return file_present(folder / "tokenizer.json") ||
         (file_present(folder / "vocab.json") && file_present(folder / "merges.txt"));
}

OPTSCOPE_INLINE void tokenizer::parts::encode(std::string_view text, const std::string& name,
                                              token_list& tokens) const {
  if (const auto offset = utf8::first_error(text)) {
    constexpr char digits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(text[*offset]);
    throw tokenizer_error{name, "byte " + std::to_string(*offset), "UTF-8",
                          std::string{"0x"} + digits[byte >> 4] + digits[byte & 15]};
  }
  if (text.size() >= std::numeric_limits<std::uint32_t>::max()) {
    throw tokenizer_error{name, "", "a text below 4 GiB", std::to_string(text.size()) + " bytes"};
  }
  byte_pair_encoder encoder{words, merges};
  detail::word_memory memory{text.size()};
  std::deque<std::string> prefixed;  // the memory points into them
  const auto encode_word = [&](std::string_view word) {
    memory.append(word, tokens, [&](std::string_view w, token_list& out) { encoder.encode(w, out); });
  };
  specials.split(
      text,
      [&](std::string_view section) {
        if (settings.add_prefix_space && section[0] != ' ') {
          section = prefixed.emplace_back(std::string{' '}.append(section));
        }
        split.split(section, encode_word);
      },
      [&](token_id added) { tokens.push_back(added); });
}

OPTSCOPE_INLINE token_list tokenizer::encode(std::string_view text, const std::string& name) const {
  token_list tokens = parts_->settings.before;
  parts_->encode(text, name, tokens);
  tokens.insert(tokens.end(), parts_->settings.after.begin(), parts_->settings.after.end());
  return tokens;
}

OPTSCOPE_INLINE token_id tokenizer::token(std::string_view text) const {
  token_list tokens;
  parts_->encode(text, "text", tokens);
  if (tokens.size() == 1) return tokens[0];
  std::string found = tokens.empty() ? "none" : std::to_string(tokens.size()) + ":";
  for (const token_id id : tokens) found += " " + detail::quoted(parts_->bytes[static_cast<std::size_t>(id)]);
  throw tokenizer_error{"", detail::quoted(text), "one token", std::move(found)};
}

OPTSCOPE_INLINE named_texts tokenizer::encode_files(const std::vector<std::filesystem::path>& files) const {
  named_texts texts;
  for (const std::filesystem::path& file : files) {
    const mapped_file mapped{file};
    const auto bytes = mapped.bytes();
    texts.push_back(encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string()));
    texts.names.push_back(file.string());
  }
  return texts;
}

OPTSCOPE_INLINE std::string tokenizer::decode(std::span<const token_id> tokens, bool skip_special) const {
  std::string bytes;
  for (const token_id id : tokens) {
    if (id < 0) throw tokenizer_error{"", "token id", "0 or more", std::to_string(id)};
    const auto index = static_cast<std::size_t>(id);
    if (index < parts_->bytes.size() && !(skip_special && parts_->special[index])) bytes += parts_->bytes[index];
  }
  return utf8::replace_errors(std::move(bytes));
}

OPTSCOPE_INLINE std::string tokenizer::piece(token_id id) const { return decode({&id, 1}, false); }
OPTSCOPE_INLINE std::size_t tokenizer::size() const noexcept { return parts_->words.size(); }
OPTSCOPE_INLINE bool tokenizer::adds_bos() const noexcept {
  const tokenizer_settings& settings = parts_->settings;
  return settings.bos && !settings.before.empty() && settings.before.front() == *settings.bos;
}
OPTSCOPE_INLINE std::optional<token_id> tokenizer::bos() const noexcept { return parts_->settings.bos; }
OPTSCOPE_INLINE std::optional<token_id> tokenizer::eos() const noexcept { return parts_->settings.eos; }
OPTSCOPE_INLINE std::optional<token_id> tokenizer::pad() const noexcept { return parts_->settings.pad; }

}  // namespace optscope
