// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tokenizer_settings.hpp.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <functional>
#include <map>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <string_view>
#include <system_error>
#include <utility>

namespace optscope {
namespace detail {

/// Fills `tokenizer_settings`.
class tokenizer_settings_reader {
 public:
  tokenizer_settings_reader(tokenizer_settings& settings, vocabulary& words) : to_{settings}, words_{words} {}

  void read(const std::filesystem::path& folder) {
    const std::filesystem::path config = folder / "tokenizer_config.json";
    bool tokens_listed = false;
    if (file_present(config)) {
      const json_file file = json_file::read<tokenizer_error>(config);
      const json_object settings{file, file.root()};
      check_class(settings, file);
      to_.add_bos = flag(settings, "add_bos_token", file);
      to_.add_eos = flag(settings, "add_eos_token", file);
      to_.add_prefix_space = flag(settings, "add_prefix_space", file);
      read_named_tokens(settings, file);
      tokens_listed = read_listed_tokens(settings, file);
    }
    const std::filesystem::path map = folder / "special_tokens_map.json";
    if (!tokens_listed && file_present(map)) {
      const json_file file = json_file::read<tokenizer_error>(map);
      read_named_tokens(json_object{file, file.root()}, file);
    }
    const std::filesystem::path more = folder / "added_tokens.json";
    if (!tokens_listed && file_present(more)) {
      const json_file file = json_file::read<tokenizer_error>(more);
      const json_object tokens{file, file.root()};
      std::map<token_id, std::string> by_id;
      for (const auto& [key, value] : tokens.members()) {
        const std::string content = checked_content(key, key, file);
        if (!by_id.emplace(id_of(value, content, file), content).second) {
          fail(file, content, "a unique id", value.description() + " twice");
        }
      }
      for (const auto& [id, content] : by_id) list_token(content, id, false, file);
    }
    use_named_tokens();
  }

  void use_named_tokens() {
    for (const char* name : {"bos_token", "eos_token", "unk_token"}) {
      if (named_.count(name) == 0 && words_.find(default_token)) named_[name] = std::string{default_token};
    }
    for (const std::string_view name : known_names) {
      const auto token = named_.find(name);
      if (token == named_.end() || !token->second) continue;
      use_token(*token->second);
      const auto id = words_.find(*token->second);
      if (name == "bos_token") to_.bos = id;
      if (name == "eos_token") to_.eos = id;
      if (name == "pad_token") to_.pad = id;
      token->second.reset();
    }
    for (const auto& [name, token] : named_) {
      if (token) use_token(*token);
    }
    for (const std::string& token : extra_) use_token(token);
    to_.add_bos = to_.add_bos && to_.bos.has_value();
    to_.add_eos = to_.add_eos && to_.eos.has_value();
  }

 private:
  static constexpr std::string_view default_token = "<|endoftext|>";
  static constexpr std::array<std::string_view, 7> known_names{"bos_token", "eos_token", "unk_token", "sep_token",
                                                               "pad_token", "cls_token", "mask_token"};

  [[noreturn]] static void fail(const json_file& file, std::string_view key, std::string expected, std::string found) {
    file.refuse("key " + detail::quoted(key), std::move(expected), std::move(found));
  }

  static bool flag(const json_object& settings, std::string_view key, const json_file& file) {
    const auto value = settings.find(key);
    bool result = false;
    if (!value || value->is_null()) return false;
    if (!value->get(result)) fail(file, key, "true or false", value->description());
    return result;
  }

  static void check_class(const json_object& settings, const json_file& file) {
    const auto value = settings.find("tokenizer_class");
    std::string_view name;
    if (!value || !value->get(name)) return;
    for (const std::string_view known :
         {"GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"}) {
      if (name == known) return;
    }
    fail(file, "tokenizer_class", "GPT2Tokenizer, as OPT has it", detail::quoted(name));
  }

  static token_id id_of(const json_value& value, const std::string& key, const json_file& file) {
    std::int64_t id = -1;
    if (!value.get(id) || id < 0 || id > 0x7fffffff) fail(file, key, "a token id", value.description());
    return static_cast<token_id>(id);
  }

  // A string, or an object with "content". Spaces around a token never become part of it.
  static std::string content_of(const json_value& value, std::string_view key, const json_file& file) {
    std::string_view content;
    if (value.is_object()) {
      const json_object token{file, value, "key " + detail::quoted(key)};
      const auto text = token.find("content");
      if (!text || !text->get(content)) {
        fail(file, key, "a token with \"content\"", text ? text->description() : "no such key");
      }
      for (const char* option : {"lstrip", "rstrip", "single_word"}) {
        if (flag(token, option, file)) fail(file, key, std::string{option} + " to be false", "true, not supported");
      }
    } else if (!value.get(content)) {
      fail(file, key, "a token", value.description());
    }
    return checked_content(content, key, file);
  }

  // Every token is compared with the text wherever it may begin, so it must be short.
  static std::string checked_content(std::string_view content, std::string_view key, const json_file& file) {
    constexpr std::size_t longest = 1000;
    if (content.empty()) fail(file, key, "a token", "an empty string");
    if (content.size() > longest) fail(file, key, "a token of at most 1000 bytes", std::to_string(content.size()));
    return std::string{content};
  }

  void read_named_tokens(const json_object& settings, const json_file& file) {
    for (const auto& [key, value] : settings.members()) {
      const bool known = std::find(known_names.begin(), known_names.end(), key) != known_names.end();
      if (known && value.is_null()) {
        named_[std::string{key}].reset();
      } else if (known || (key.ends_with("_token") && value.is_string())) {
        named_[std::string{key}] = content_of(value, key, file);
      } else if (key == "additional_special_tokens" || key == "extra_special_tokens") {
        std::vector<json_value> list;
        if (!value.get(list)) continue;
        for (const json_value& token : list) extra_.push_back(content_of(token, key, file));
      }
    }
  }

  bool read_listed_tokens(const json_object& settings, const json_file& file) {
    const auto listed = settings.find("added_tokens_decoder");
    if (!listed || !listed->is_object()) return false;
    const json_object tokens{file, *listed, "added_tokens_decoder"};
    std::map<token_id, std::pair<std::string, bool>> by_id;
    for (const auto& [key, value] : tokens.members()) {
      token_id id = -1;
      const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (status != std::errc{} || end != key.data() + key.size() || id < 0) {
        fail(file, "added_tokens_decoder", "token ids as keys", quoted(key));
      }
      const std::string item = tokens.path_to(key);
      const bool special = value.is_object() && flag(json_object{file, value, item}, "special", file);
      if (!by_id.try_emplace(id, content_of(value, item, file), special).second) {
        fail(file, item, "a unique id", std::to_string(id) + " twice");
      }
    }
    for (const auto& [id, token] : by_id) list_token(token.first, id, token.second, file);
    return true;
  }

  // A token listed with its id, which must be the one that the vocabulary has or would give next.
  void list_token(const std::string& content, token_id id, bool special, const json_file& file) {
    const std::optional<token_id> known = words_.find(content);
    const token_id expected = known ? *known : static_cast<token_id>(words_.size());
    if (id != expected) {
      file.refuse("token " + detail::quoted(content),
                  "id " + std::to_string(expected) + (known ? " as in vocab.json" : ", the next after the vocabulary"),
                  std::to_string(id));
    }
    place_of_.emplace(words_.add(content), to_.added.size());
    to_.added.push_back({content, id, special});
  }

  void use_token(const std::string& content) {
    const token_id id = words_.add(content);
    const auto [place, fresh] = place_of_.try_emplace(id, to_.added.size());
    if (fresh) to_.added.push_back({content, id, true});
    to_.added[place->second].special = true;
  }

  std::map<std::string, std::optional<std::string>, std::less<>> named_;  // null in the file: no value
  std::vector<std::string> extra_;
  std::map<token_id, std::size_t> place_of_;  // in `added`
  tokenizer_settings& to_;
  vocabulary& words_;
};

}  // namespace detail

OPTSCOPE_INLINE tokenizer_settings::tokenizer_settings(vocabulary& words) {
  detail::tokenizer_settings_reader{*this, words}.use_named_tokens();
}

OPTSCOPE_INLINE tokenizer_settings::tokenizer_settings(const std::filesystem::path& folder, vocabulary& words) {
  detail::tokenizer_settings_reader reader{*this, words};
  reader.read(folder);
  reader.use_named_tokens();
}

}  // namespace optscope
