// SPDX-License-Identifier: MIT
#pragma once
// A JSON file read whole, and words for what was found where something else was expected. For the other bodies only.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string>
#include <string_view>

namespace optscope::detail {

/// What `value` is, for a message: `the string "abc"`, `a list`.
[[nodiscard]] inline std::string described(simdjson::dom::element value) {
  using simdjson::dom::element_type;
  switch (value.type()) {
    case element_type::ARRAY: return "a list";
    case element_type::OBJECT: return "an object";
    case element_type::NULL_VALUE: return "null";
    case element_type::STRING: return "the string " + quoted(value.get_string().value_unsafe());
    default: return simdjson::minify(value);
  }
}

/// `json` with an exponent at whole numbers that may not fit into 64 bits: Python writes such numbers (transformers
/// 1e30 for `model_max_length`), simdjson takes them as floating-point numbers only.
[[nodiscard]] inline std::string wide_numbers_as_floats(std::string_view json) {
  constexpr std::string_view digits = "0123456789", others = "+.eE";
  std::string result;
  bool inside = false;  // a string
  for (std::size_t at = 0; at < json.size();) {
    const std::size_t count = std::min(json.find_first_not_of(digits, at), json.size()) - at;
    const std::size_t length = std::max<std::size_t>(count, json[at] == '\\' ? 2 : 1);
    if (json[at] == '"') inside = !inside;
    result += json.substr(at, length);
    const bool fraction = at != 0 && others.find(json[at - 1]) != others.npos;
    at += length;
    const bool more = at < json.size() && others.find(json[at]) != others.npos;
    if (count > 18 && !inside && !fraction && !more) result += "e0";
  }
  return result;
}

/// Parses a JSON file; `root()` is valid as long as this lives. Throws `file_error` if it cannot be read, `Error` (a
/// type with the parts of `bad_input`) if it is not JSON.
template <class Error>
class json_file {
 public:
  explicit json_file(const std::filesystem::path& path) {
    const mapped_file file{path};
    const std::string_view text{reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
    if (text.empty()) throw Error{path.string(), "", "JSON", "an empty file"};
    if (text.starts_with("\xef\xbb\xbf")) throw Error{path.string(), "", "JSON", "a byte order mark before it"};
    simdjson::error_code status = parser_.parse(simdjson::padded_string{text}).get(root_);
    if (status == simdjson::NUMBER_ERROR) {
      status = parser_.parse(simdjson::padded_string{wide_numbers_as_floats(text)}).get(root_);
    }
    if (status != simdjson::SUCCESS) throw Error{path.string(), "", "JSON", simdjson::error_message(status)};
  }

  [[nodiscard]] simdjson::dom::element root() const noexcept { return root_; }

 private:
  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
};

}  // namespace optscope::detail
