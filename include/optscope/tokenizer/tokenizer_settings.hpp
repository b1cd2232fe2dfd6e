// SPDX-License-Identifier: MIT
#pragma once
// tokenizer_config.json, special_tokens_map.json and added_tokens.json: special tokens and what is put around a text.

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/json_file.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// A token that is found in the text before it is split into words.
struct added_token {
  std::string content;
  token_id id = 0;
  bool special = true;  ///< left out by `decode(…, true)`
};

/// The settings of a folder, as transformers 5 reads them: special_tokens_map.json goes before tokenizer_config.json,
/// unless that has `added_tokens_decoder`; a token that a file names and the vocabulary lacks gets the next id; begin,
/// end and unknown are `<|endoftext|>` where no file says otherwise (left out here if the vocabulary lacks it).
struct tokenizer_settings {
  bool add_bos = false, add_eos = false, add_prefix_space = false;
  std::optional<token_id> bos, eos, pad;
  std::vector<added_token> added;

  /// No files: nothing is added to a text.
  explicit tokenizer_settings(vocabulary& words) { use_named_tokens(words); }

  /// Reads what `folder` has of the three files. Throws `tokenizer_error` naming file and key.
  tokenizer_settings(const std::filesystem::path& folder, vocabulary& words) {
    const std::filesystem::path config = folder / "tokenizer_config.json";
    bool tokens_listed = false;
    if (file_present(config)) {
      const json_file<tokenizer_error> json{config};
      const auto settings = object_of(json, config);
      check_class(settings, config);
      add_bos = flag(settings, "add_bos_token", config);
      add_eos = flag(settings, "add_eos_token", config);
      add_prefix_space = flag(settings, "add_prefix_space", config);
      read_named_tokens(settings, config);
      tokens_listed = read_listed_tokens(settings, config, words);
    }
    const std::filesystem::path map = folder / "special_tokens_map.json";
    if (!tokens_listed && file_present(map)) {
      const json_file<tokenizer_error> json{map};
      read_named_tokens(object_of(json, map), map);
    }
    const std::filesystem::path more = folder / "added_tokens.json";
    if (!tokens_listed && file_present(more)) {
      const json_file<tokenizer_error> json{more};
      std::map<token_id, std::string> by_id;
      for (const auto field : object_of(json, more)) {
        const std::string content = checked_content(field.key, field.key, more);
        if (!by_id.emplace(id_of(field.value, content, more), content).second) {
          fail(more, content, "an id of its own", described(field.value) + " again");
        }
      }
      for (const auto& [id, content] : by_id) list_token(content, id, false, more, words);
    }
    use_named_tokens(words);
  }

 private:
  using element = simdjson::dom::element;
  using object = simdjson::dom::object;
  using path = std::filesystem::path;
  static constexpr std::string_view default_token = "<|endoftext|>";
  static constexpr std::array<std::string_view, 7> known_names{"bos_token", "eos_token", "unk_token", "sep_token",
                                                               "pad_token", "cls_token", "mask_token"};

  [[noreturn]] static void fail(const path& file, std::string_view key, std::string expected, std::string found) {
    throw tokenizer_error{file.string(), "key " + detail::quoted(key), std::move(expected), std::move(found)};
  }

  static object object_of(const json_file<tokenizer_error>& json, const path& file) {
    object result;
    if (json.root().get(result) != simdjson::SUCCESS) {
      throw tokenizer_error{file.string(), "", "an object", described(json.root())};
    }
    std::set<std::string_view> keys;  // parsers disagree about which of two equal ones counts
    for (const auto field : result) {
      if (!keys.insert(field.key).second) fail(file, field.key, "it once", "it twice");
    }
    return result;
  }

  static bool flag(object settings, std::string_view key, const path& file) {
    element value;
    bool result = false;
    if (settings[key].get(value) != simdjson::SUCCESS || value.is_null()) return false;
    if (value.get(result) != simdjson::SUCCESS) fail(file, key, "true or false", described(value));
    return result;
  }

  static void check_class(object settings, const path& file) {
    std::string_view name;
    if (settings["tokenizer_class"].get(name) != simdjson::SUCCESS) return;
    for (const std::string_view known :
         {"GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"}) {
      if (name == known) return;
    }
    fail(file, "tokenizer_class", "GPT2Tokenizer, as OPT has it", detail::quoted(name));
  }

  static token_id id_of(element value, const std::string& key, const path& file) {
    std::int64_t id = -1;
    if (value.get(id) != simdjson::SUCCESS || id < 0 || id > 0x7fffffff)
      fail(file, key, "a token id", described(value));
    return static_cast<token_id>(id);
  }

  // A string, or an object with "content"; spaces around a token are never taken with it here.
  static std::string content_of(element value, std::string_view key, const path& file) {
    std::string_view content;
    object token;
    if (value.get(token) == simdjson::SUCCESS) {
      if (token["content"].get(content) != simdjson::SUCCESS) fail(file, key, "a token with \"content\"", "none");
      for (const char* option : {"lstrip", "rstrip", "single_word"}) {
        if (flag(token, option, file)) fail(file, key, std::string{option} + " to be false", "true, not supported");
      }
    } else if (value.get(content) != simdjson::SUCCESS) {
      fail(file, key, "a token", described(value));
    }
    return checked_content(content, key, file);
  }

  // Every token is compared with the text wherever it may begin, so it must be short.
  static std::string checked_content(std::string_view content, std::string_view key, const path& file) {
    constexpr std::size_t longest = 1000;
    if (content.empty()) fail(file, key, "a token", "an empty string");
    if (content.size() > longest) fail(file, key, "a token of at most 1000 bytes", std::to_string(content.size()));
    return std::string{content};
  }

  void read_named_tokens(object settings, const path& file) {
    for (const auto field : settings) {
      const std::string_view key = field.key;
      const bool known = std::find(known_names.begin(), known_names.end(), key) != known_names.end();
      if (known && field.value.is_null()) {
        named_[std::string{key}].reset();
      } else if (known || (key.ends_with("_token") && field.value.is_string())) {
        named_[std::string{key}] = content_of(field.value, key, file);
      } else if (key == "additional_special_tokens" || key == "extra_special_tokens") {
        simdjson::dom::array list;
        if (field.value.get(list) != simdjson::SUCCESS) continue;
        for (const element token : list) extra_.push_back(content_of(token, key, file));
      }
    }
  }

  bool read_listed_tokens(object settings, const path& file, vocabulary& words) {
    object tokens;
    if (settings["added_tokens_decoder"].get(tokens) != simdjson::SUCCESS) return false;
    std::map<token_id, std::pair<std::string, bool>> by_id;
    for (const auto field : tokens) {
      token_id id = -1;
      const std::string_view key = field.key;
      const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (status != std::errc{} || end != key.data() + key.size() || id < 0) {
        fail(file, "added_tokens_decoder", "token ids as keys", detail::quoted(key));
      }
      object token;
      const bool special = field.value.get(token) == simdjson::SUCCESS && flag(token, "special", file);
      const std::string item = "added_tokens_decoder." + std::string{key};
      if (!by_id.try_emplace(id, content_of(field.value, item, file), special).second) {
        fail(file, item, "an id of its own", std::to_string(id) + " again");
      }
    }
    for (const auto& [id, token] : by_id) list_token(token.first, id, token.second, file, words);
    return true;
  }

  // A token listed with its id, which must be the one that the vocabulary has or would give next.
  void list_token(const std::string& content, token_id id, bool special, const path& file, vocabulary& words) {
    const std::optional<token_id> known = words.find(content);
    const token_id expected = known ? *known : static_cast<token_id>(words.size());
    if (id != expected) {
      throw tokenizer_error{
          file.string(), "token " + detail::quoted(content),
          "id " + std::to_string(expected) + (known ? " as in vocab.json" : ", the next after the vocabulary"),
          std::to_string(id)};
    }
    place_of_.emplace(words.add(content), added.size());
    added.push_back({content, id, special});
  }

  void use_token(const std::string& content, vocabulary& words) {
    const token_id id = words.add(content);
    const auto [place, fresh] = place_of_.try_emplace(id, added.size());
    if (fresh) added.push_back({content, id, true});
    added[place->second].special = true;
  }

  void use_named_tokens(vocabulary& words) {
    for (const char* name : {"bos_token", "eos_token", "unk_token"}) {
      if (named_.count(name) == 0 && words.find(default_token)) named_[name] = std::string{default_token};
    }
    for (const std::string_view name : known_names) {
      const auto token = named_.find(name);
      if (token == named_.end() || !token->second) continue;
      use_token(*token->second, words);
      const auto id = words.find(*token->second);
      if (name == "bos_token") bos = id;
      if (name == "eos_token") eos = id;
      if (name == "pad_token") pad = id;
      token->second.reset();
    }
    for (const auto& [name, token] : named_) {
      if (token) use_token(*token, words);
    }
    for (const std::string& token : extra_) use_token(token, words);
    add_bos = add_bos && bos.has_value();
    add_eos = add_eos && eos.has_value();
  }

  std::map<std::string, std::optional<std::string>, std::less<>> named_;  // null in the file: no value
  std::vector<std::string> extra_;
  std::map<token_id, std::size_t> place_of_;  // in `added`
};

}  // namespace optscope
