// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tokenizer_settings.hpp.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <map>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/tokenizer_json.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace optscope {
namespace detail {

/// Fills `tokenizer_settings`.
class tokenizer_settings_reader {
 public:
  tokenizer_settings_reader(tokenizer_settings& settings, vocabulary& words) : to_{settings}, words_{words} {}

  void read(const std::filesystem::path& folder, const tokenizer_json* whole) {
    const std::filesystem::path config = folder / "tokenizer_config.json";
    bool add_bos = false, add_eos = false, generic = false;
    listed_tokens listed;
    bool tokens_listed = false;
    if (file_present(config)) {
      const json_file file = json_file::read<tokenizer_error>(config);
      const json_object settings{file, file.root()};
      generic = generic_class(settings) && whole != nullptr;
      add_bos = flag_of(settings, "add_bos_token");
      add_eos = flag_of(settings, "add_eos_token");
      to_.add_prefix_space = flag_of(settings, "add_prefix_space");
      to_.split_special_tokens = flag_of(settings, "split_special_tokens");
      read_named_tokens(file);
      tokens_listed = read_listed_tokens(settings, file, listed);
    }
    const std::filesystem::path map = folder / "special_tokens_map.json";
    if (!tokens_listed && file_present(map)) {
      read_named_tokens(json_file::read<tokenizer_error>(map));
    }
    const std::filesystem::path more = folder / "added_tokens.json";
    if (!tokens_listed && file_present(more)) read_old_list(json_file::read<tokenizer_error>(more), listed);
    if (whole != nullptr && (generic || !tokens_listed)) {
      for (added_token& token : whole->added()) {
        const token_id id = token.id;
        listed.insert_or_assign(id, listed_token{std::move(token), (folder / "tokenizer.json").string()});
      }
    }
    for (const auto& [id, token] : listed) list_token(token);
    use_named_tokens(!generic);
    if (whole != nullptr) {
      to_.before = whole->before;
      to_.after = whole->after;
      if (to_.before.size() == 1) to_.bos = to_.before[0];  // also where no setting names it
      if (generic) to_.add_prefix_space = whole->add_prefix_space;
    } else {
      if (add_bos && to_.bos) to_.before.push_back(*to_.bos);
      if (add_eos && to_.eos) to_.after.push_back(*to_.eos);
    }
    for (const token_list* tokens : {&to_.before, &to_.after}) {
      for (const token_id id : *tokens) check_around(id, folder);
    }
  }

  void use_named_tokens(bool with_defaults) {
    for (const std::string_view name : {"bos_token", "eos_token", "unk_token"}) {
      if (with_defaults && !known(name) && words_.find(default_token)) {
        named_.emplace_back(name, added_token{.content = std::string{default_token}});
      }
    }
    // In this order do tokens that the vocabulary lacks get their ids.
    for (const std::string_view name : known_names) {
      const auto place = known(name);
      if (!place || !*place) continue;
      const token_id id = use_token(**place);
      if (name == "bos_token") to_.bos = id;
      if (name == "eos_token") to_.eos = id;
      if (name == "pad_token") to_.pad = id;
    }
    for (const auto& [name, token] : named_) {
      if (token && !well_known(name)) use_token(*token);
    }
    for (const added_token& token : extra_) use_token(token);
  }

 private:
  struct listed_token {
    added_token token;
    std::string file;
  };
  using listed_tokens = std::map<token_id, listed_token>;

  static constexpr std::string_view default_token = "<|endoftext|>";
  static constexpr std::array<std::string_view, 7> known_names{"bos_token", "eos_token", "unk_token", "sep_token",
                                                               "pad_token", "cls_token", "mask_token"};

  static bool well_known(std::string_view name) {
    return std::find(known_names.begin(), known_names.end(), name) != known_names.end();
  }

  /// What the files say about a name: nothing, null (no token), or a token.
  [[nodiscard]] std::optional<added_token>* known(std::string_view name) {
    for (auto& [each, token] : named_) {
      if (each == name) return &token;
    }
    return nullptr;
  }

  void name_token(std::string_view name, std::optional<added_token> token) {
    if (auto* place = known(name)) {
      *place = std::move(token);
    } else {
      named_.emplace_back(name, std::move(token));
    }
  }

  /// Whether transformers takes everything from tokenizer.json. Refuses other classes than these and GPT-2's.
  static bool generic_class(const json_object& settings) {
    const auto value = settings.find("tokenizer_class");
    std::string_view name;
    if (!value || !value->get(name)) return false;
    if (name == "GPT2Tokenizer" || name == "GPT2TokenizerFast") return false;
    if (name == "PreTrainedTokenizerFast" || name == "TokenizersBackend") return true;
    settings.refuse("tokenizer_class", "GPT2Tokenizer, as OPT has it", detail::quoted(name));
  }

  static std::string item_of(std::string_view key) { return "key " + detail::quoted(key); }

  void read_named_tokens(const json_file& file) {
    const json_object settings{file, file.root()};
    std::vector<json_value::member> members;  // in the order of the file, which decides about new ids
    (void)file.root().get(members);
    for (const auto& [key, value] : members) {
      if (well_known(key) && value.is_null()) {
        name_token(key, std::nullopt);
      } else if (well_known(key) || (key.ends_with("_token") && value.is_string())) {
        name_token(key, special_token(file, value, item_of(key)));
      }
    }
    for (const char* key : {"extra_special_tokens", "additional_special_tokens"}) {
      const auto value = settings.find(key);
      std::vector<json_value> list;
      if (value && value->is_object()) {
        const json_object checked{file, *value, key};
        (void)value->get(members);
        for (const auto& [name, token] : members) name_token(name, special_token(file, token, checked.path_to(name)));
      } else if (value && value->get(list)) {
        for (const json_value& token : list) extra_.push_back(special_token(file, token, item_of(key)));
      }
    }
  }

  static added_token special_token(const json_file& file, const json_value& value, const std::string& item) {
    added_token token = read_added_token(file, value, item, true);
    token.special = true;
    return token;
  }

  static bool read_listed_tokens(const json_object& settings, const json_file& file, listed_tokens& listed) {
    const auto list = settings.find("added_tokens_decoder");
    if (!list || !list->is_object()) return false;
    const json_object tokens{file, *list, "added_tokens_decoder"};
    for (const auto& [key, value] : tokens.members()) {
      token_id id = -1;
      const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (status != std::errc{} || end != key.data() + key.size() || id < 0) {
        settings.refuse("added_tokens_decoder", "token ids as keys", detail::quoted(key));
      }
      const std::string item = tokens.path_to(key);
      added_token token = read_added_token(file, value, item, false);
      token.id = id;
      if (!listed.try_emplace(id, listed_token{std::move(token), file.name()}).second) {
        file.refuse(item, "a unique id", std::to_string(id) + " twice");
      }
    }
    return true;
  }

  /// added_tokens.json: `{"[x]": 50265}`.
  void read_old_list(const json_file& file, listed_tokens& listed) {
    const json_object tokens{file, file.root()};
    for (const auto& [key, value] : tokens.members()) {
      check_added_content(file, key, item_of(key));
      const token_id id = listed_id(file, value, item_of(key));
      const bool special = named(key);
      added_token token{.content = std::string{key}, .id = id, .special = special, .normalized = !special};
      if (!listed.try_emplace(id, listed_token{std::move(token), file.name()}).second) {
        file.refuse(item_of(key), "a unique id", value.description() + " twice");
      }
    }
  }

  [[nodiscard]] bool named(std::string_view content) const {
    const auto same = [&](const added_token& token) { return token.content == content; };
    return std::any_of(extra_.begin(), extra_.end(), same) ||
           std::any_of(named_.begin(), named_.end(),
                       [&](const auto& name) { return name.second && same(*name.second); });
  }

  // A token listed with its id, which must be the one that the vocabulary has or would give next.
  void list_token(const listed_token& listed) {
    const auto& [token, file] = listed;
    const std::optional<token_id> known = words_.find(token.content);
    const token_id expected = known ? *known : static_cast<token_id>(words_.size());
    if (token.id != expected) {
      throw tokenizer_error{
          file, "token " + detail::quoted(token.content),
          "id " + std::to_string(expected) + (known ? " as in the vocabulary" : ", the next after the vocabulary"),
          std::to_string(token.id)};
    }
    place_of_.emplace(words_.add(token.content), to_.added.size());
    to_.added.push_back(token);
  }

  token_id use_token(const added_token& token) {
    const token_id id = words_.add(token.content);
    const auto [place, fresh] = place_of_.try_emplace(id, to_.added.size());
    if (fresh) {
      to_.added.push_back(token);
      to_.added.back().id = id;
    }
    to_.added[place->second].special = true;
    return id;
  }

  void check_around(token_id id, const std::filesystem::path& folder) const {
    if (static_cast<std::size_t>(id) < words_.size()) return;
    throw tokenizer_error{(folder / "tokenizer.json").string(), "post_processor",
                          "ids below " + std::to_string(words_.size()), std::to_string(id)};
  }

  std::vector<std::pair<std::string, std::optional<added_token>>> named_;  // in the order of the files
  std::vector<added_token> extra_;
  std::map<token_id, std::size_t> place_of_;  // in `added`
  tokenizer_settings& to_;
  vocabulary& words_;
};

}  // namespace detail

OPTSCOPE_INLINE tokenizer_settings::tokenizer_settings(vocabulary& words) {
  detail::tokenizer_settings_reader{*this, words}.use_named_tokens(true);
}

OPTSCOPE_INLINE tokenizer_settings::tokenizer_settings(const std::filesystem::path& folder, vocabulary& words,
                                                       const tokenizer_json* whole) {
  detail::tokenizer_settings_reader{*this, words}.read(folder, whole);
}

}  // namespace optscope
