// SPDX-License-Identifier: MIT
#pragma once
// JSON files as the checkpoint readers want them: an object without duplicate keys, and values of the right type.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope::detail {

/// What an element is, with its value where that is short, for messages.
[[nodiscard]] inline std::string describe(simdjson::dom::element value) {
  switch (value.type()) {
    case simdjson::dom::element_type::ARRAY: return "a list";
    case simdjson::dom::element_type::OBJECT: return "an object";
    case simdjson::dom::element_type::STRING: return "the string " + quoted(value.get_string().value_unsafe());
    case simdjson::dom::element_type::NULL_VALUE: return "null";
    default: return simdjson::minify(value);
  }
}

/// An object's members in key order. Throws `checkpoint_error` on a duplicate key, which JSON parsers disagree about.
class json_object {
 public:
  using member = std::pair<std::string_view, simdjson::dom::element>;

  /// `item` names the object in messages and is empty for the whole file.
  json_object(std::string file, std::string item, simdjson::dom::element value)
      : file_{std::move(file)}, item_{std::move(item)} {
    simdjson::dom::object object;
    if (value.get(object) != simdjson::SUCCESS) throw checkpoint_error{file_, item_, "a JSON object", describe(value)};
    for (const auto field : object) members_.emplace_back(field.key, field.value);
    std::sort(members_.begin(), members_.end(), [](const member& a, const member& b) { return a.first < b.first; });
    const auto twice = std::adjacent_find(members_.begin(), members_.end(),
                                          [](const member& a, const member& b) { return a.first == b.first; });
    if (twice != members_.end()) throw checkpoint_error{file_, path_to(twice->first), "one such key", "it twice"};
  }

  [[nodiscard]] const std::vector<member>& members() const noexcept { return members_; }

  /// The value of a key, nothing if it is absent.
  [[nodiscard]] std::optional<simdjson::dom::element> find(std::string_view key) const {
    const auto place = std::lower_bound(members_.begin(), members_.end(), key,
                                        [](const member& a, std::string_view name) { return a.first < name; });
    if (place == members_.end() || place->first != key) return std::nullopt;
    return place->second;
  }

  /// `item.key`, for messages.
  [[nodiscard]] std::string path_to(std::string_view key) const {
    return item_.empty() ? printable(key) : item_ + "." + printable(key);
  }

  [[nodiscard]] const std::string& file() const noexcept { return file_; }

 private:
  std::string file_, item_;
  std::vector<member> members_;
};

[[nodiscard]] inline bool valid_utf8(std::string_view text) noexcept {
  return simdjson::validate_utf8(text.data(), text.size());
}

/// Parses text into an element that lives as long as `parser`. Throws `checkpoint_error` if it is not UTF-8 JSON.
/// Nesting is limited to simdjson's 1024 levels; memory grows with the text.
[[nodiscard]] inline simdjson::dom::element parse_json(simdjson::dom::parser& parser, const std::string& file,
                                                       const std::string& item, std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) throw checkpoint_error{file, item, "JSON", "a byte order mark before it"};
  simdjson::dom::element root;
  const auto code = parser.parse(simdjson::padded_string{text}).get(root);
  if (code != simdjson::SUCCESS) throw checkpoint_error{file, item, "JSON", simdjson::error_message(code)};
  return root;
}

/// Parses a whole file, which must hold one object.
[[nodiscard]] inline json_object parse_json_file(simdjson::dom::parser& parser, const mapped_file& file) {
  constexpr std::size_t limit = 100'000'000;  // as for the header of safetensors
  if (file.bytes().size() > limit) {
    throw checkpoint_error{file.path().string(), "", "a JSON file of at most 100000000 bytes",
                           std::to_string(file.bytes().size())};
  }
  return {file.path().string(), "", parse_json(parser, file.path().string(), "", as_text(file.bytes()))};
}

}  // namespace optscope::detail
