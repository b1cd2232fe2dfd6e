// SPDX-License-Identifier: MIT
#pragma once
// A JSON file read whole, and words for what was found where something else was expected.

#include <simdjson.h>

#include <filesystem>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string>

namespace optscope {

/// What `value` is, for a message: `the string "abc"`, `a list`.
inline std::string described(simdjson::dom::element value) {
  using simdjson::dom::element_type;
  switch (value.type()) {
    case element_type::ARRAY: return "a list";
    case element_type::OBJECT: return "an object";
    case element_type::NULL_VALUE: return "null";
    case element_type::STRING: return "the string " + detail::quoted(value.get_string().value_unsafe());
    default: return simdjson::minify(value);
  }
}

/// Parses a JSON file; `root()` is valid as long as this lives. Throws `file_error` if it cannot be read, `Error` (a
/// type with the parts of `bad_input`) if it is not JSON.
template <class Error>
class json_file {
 public:
  explicit json_file(const std::filesystem::path& path) {
    const mapped_file file{path};
    const simdjson::padded_string text{reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
    if (text.size() == 0) throw Error{path.string(), "", "JSON", "an empty file"};
    const simdjson::error_code status = parser_.parse(text).get(root_);
    if (status != simdjson::SUCCESS) throw Error{path.string(), "", "JSON", simdjson::error_message(status)};
  }

  [[nodiscard]] simdjson::dom::element root() const noexcept { return root_; }

 private:
  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
};

}  // namespace optscope
