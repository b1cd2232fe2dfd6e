// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tokenizer_json.hpp.

#include <cstddef>
#include <cstdint>
#include <optscope/core/errors.hpp>
#include <optscope/tokenizer/tokenizer_json.hpp>
#include <string_view>
#include <utility>

namespace optscope {
namespace detail {

OPTSCOPE_INLINE bool flag_of(const json_object& object, std::string_view key, bool otherwise) {
  const auto value = object.find(key);
  bool result = otherwise;
  if (value && !value->is_null() && !value->get(result)) object.refuse(key, "true or false", value->description());
  return result;
}

OPTSCOPE_INLINE void check_added_content(const json_file& file, std::string_view content, const std::string& item) {
  constexpr std::size_t longest = 1000;
  if (content.empty()) file.refuse(item, "a token", "an empty string");
  if (content.size() > longest) file.refuse(item, "a token of at most 1000 bytes", std::to_string(content.size()));
}

OPTSCOPE_INLINE added_token read_added_token(const json_file& file, const json_value& value, const std::string& item,
                                             bool special) {
  added_token token;
  std::string_view content;
  token.special = special;
  token.normalized = !special;
  if (value.is_object()) {
    const json_object object{file, value, item};
    const auto text = object.find("content");
    if (!text || !text->get(content)) {
      file.refuse(item, "a token with \"content\"", text ? text->description() : "no such key");
    }
    token.special = flag_of(object, "special", special);
    token.normalized = flag_of(object, "normalized", !token.special);
    token.lstrip = flag_of(object, "lstrip");
    token.rstrip = flag_of(object, "rstrip");
    token.single_word = flag_of(object, "single_word");
  } else if (!value.get(content)) {
    file.refuse(item, "a token", value.description());
  }
  check_added_content(file, content, item);
  token.content = content;
  return token;
}

OPTSCOPE_INLINE token_id listed_id(const json_file& file, const json_value& value, const std::string& item) {
  std::int64_t id = -1;
  if (!value.get(id) || id < 0 || id > 0x7fffffff) file.refuse(item, "a token id", value.description());
  return static_cast<token_id>(id);
}

/// The value of a key that must be there.
[[nodiscard]] inline json_value needed(const json_object& object, std::string_view key, const char* expected) {
  const auto value = object.find(key);
  if (!value) object.refuse(key, expected, "no such key");
  return *value;
}

}  // namespace detail

OPTSCOPE_INLINE tokenizer_json::tokenizer_json(const std::filesystem::path& file)
    : file_{json_file::read<tokenizer_error>(file)},
      root_{file_, file_.root()},
      model_{file_, detail::needed(root_, "model", "a BPE model"), "model"} {
  const auto type = model_.find("type");
  std::string_view name = "BPE";  // files before tokenizers 0.9 do not say it
  if (type && (!type->get(name) || name != "BPE")) model_.refuse("type", "\"BPE\"", type->description());
  require_absent(model_, "continuing_subword_prefix");
  require_absent(model_, "end_of_word_suffix");
  double dropout = 0;
  const auto value = model_.find("dropout");
  if (value && !value->is_null() && !(value->get(dropout) && dropout == 0)) {
    model_.refuse("dropout", "null", value->description());
  }
  if (detail::flag_of(model_, "ignore_merges")) model_.refuse("ignore_merges", "false", "true, which is not supported");

  if (const auto normalizer = root_.find("normalizer"); normalizer && !normalizer->is_null()) {
    std::string found;
    if (!sequence(*normalizer, "normalizer", "normalizers", found).empty() || found != "Sequence") {
      root_.refuse("normalizer", "null", found + ", which tokenizers of OPT do not have");
    }
  }
  if (const auto part = root_.find("pre_tokenizer")) read_pre_tokenizer(*part, "pre_tokenizer");
  if (const auto part = root_.find("post_processor")) read_post_processor(*part, "post_processor");
  if (const auto part = root_.find("decoder")) check_decoder(*part, "decoder");
}

OPTSCOPE_INLINE vocabulary tokenizer_json::words() const {
  return {file_, detail::needed(model_, "vocab", "an object of entries and ids"), model_.path_to("vocab")};
}

OPTSCOPE_INLINE merge_table tokenizer_json::merges(const vocabulary& words) const {
  return {file_, detail::needed(model_, "merges", "a list of merges"), model_.path_to("merges"), words};
}

OPTSCOPE_INLINE std::vector<added_token> tokenizer_json::added() const {
  std::vector<added_token> tokens;
  const auto list = root_.find("added_tokens");
  std::vector<json_value> listed;
  if (!list || list->is_null()) return tokens;
  if (!list->get(listed)) root_.refuse("added_tokens", "a list", list->description());
  for (const json_value& each : listed) {
    const std::string item = "added_tokens, item " + std::to_string(tokens.size());
    added_token token = detail::read_added_token(file_, each, item, false);
    token.id = detail::listed_id(file_, detail::needed({file_, each, item}, "id", "a token id"), item + ".id");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

OPTSCOPE_INLINE std::vector<json_value> tokenizer_json::sequence(const json_value& part, const std::string& item,
                                                                 const char* key, std::string& type) const {
  std::vector<json_value> parts;
  type.clear();
  if (part.is_null()) return parts;
  const json_object object{file_, part, item};
  const json_value name = detail::needed(object, "type", "a type");
  std::string_view text;
  if (!name.get(text)) object.refuse("type", "a string", name.description());
  type = text;
  if (type != "Sequence") return parts;
  const json_value list = detail::needed(object, key, "a list");
  if (!list.get(parts)) object.refuse(key, "a list", list.description());
  return parts;
}

OPTSCOPE_INLINE void tokenizer_json::read_pre_tokenizer(const json_value& part, const std::string& item) {
  std::string type;
  const std::vector<json_value> parts = sequence(part, item, "pretokenizers", type);
  if (parts.size() == 1) return read_pre_tokenizer(parts[0], item + ".pretokenizers[0]");
  if (type != "ByteLevel") {
    file_.refuse(item, "ByteLevel, as OPT has it",
                 type.empty()         ? "null"
                 : type == "Sequence" ? "a sequence of " + std::to_string(parts.size())
                                      : type);
  }
  const json_object object{file_, part, item};
  if (!detail::flag_of(object, "use_regex", true)) object.refuse("use_regex", "true", "false, which is not supported");
  add_prefix_space = detail::flag_of(object, "add_prefix_space", true);
}

OPTSCOPE_INLINE void tokenizer_json::read_post_processor(const json_value& part, const std::string& item) {
  std::string type;
  std::size_t number = 0;
  for (const json_value& each : sequence(part, item, "processors", type)) {
    read_post_processor(each, item + ".processors[" + std::to_string(number++) + "]");
  }
  if (type.empty() || type == "Sequence" || type == "ByteLevel") return;  // ByteLevel changes offsets only
  if (type != "TemplateProcessing") file_.refuse(item, "TemplateProcessing or ByteLevel", type);

  const json_object object{file_, part, item};
  const json_object known{file_, detail::needed(object, "special_tokens", "an object of tokens"),
                          object.path_to("special_tokens")};
  std::vector<json_value> pieces;
  const json_value single = detail::needed(object, "single", "a list of pieces");
  if (!single.get(pieces)) object.refuse("single", "a list of pieces", single.description());
  token_list first, last;
  int texts = 0;
  for (const json_value& piece : pieces) {
    const json_object either{file_, piece, object.path_to("single")};
    if (either.find("Sequence")) {
      ++texts;
      continue;
    }
    const json_object special{file_, detail::needed(either, "SpecialToken", "a special token or the text"),
                              either.path_to("SpecialToken")};
    const json_value id = detail::needed(special, "id", "a special token");
    std::string_view name;
    if (!id.get(name)) special.refuse("id", "a special token", id.description());
    const json_object token{file_, detail::needed(known, name, "the ids of a token"), known.path_to(name)};
    std::vector<json_value> ids;
    const json_value list = detail::needed(token, "ids", "a list of token ids");
    if (!list.get(ids)) token.refuse("ids", "a list of token ids", list.description());
    for (const json_value& each : ids) {
      (texts == 0 ? first : last).push_back(detail::listed_id(file_, each, token.path_to("ids")));
    }
  }
  if (texts != 1) object.refuse("single", "the text once", std::to_string(texts) + " times");
  if (!before.empty() || !after.empty()) file_.refuse(item, "one template that adds tokens", "a second one");
  before = std::move(first);
  after = std::move(last);
}

OPTSCOPE_INLINE void tokenizer_json::check_decoder(const json_value& part, const std::string& item) const {
  std::string type;
  const std::vector<json_value> parts = sequence(part, item, "decoders", type);
  if (parts.size() == 1) return check_decoder(parts[0], item + ".decoders[0]");
  if (type != "ByteLevel" && !type.empty()) file_.refuse(item, "ByteLevel, as OPT has it", type);
}

OPTSCOPE_INLINE void tokenizer_json::require_absent(const json_object& model, std::string_view key) const {
  const auto value = model.find(key);
  std::string_view text;
  if (value && !value->is_null() && !(value->get(text) && text.empty())) {
    model.refuse(key, "null or \"\"", value->description());
  }
}

}  // namespace optscope
