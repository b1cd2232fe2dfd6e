// SPDX-License-Identifier: MIT
#pragma once
// Reads JSON files: values, objects without duplicate keys, and errors that name the file and the key or line.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
struct json_access;
struct json_document;

using throws_input_error = void(std::string file, std::string item, std::string expected, std::string found);
template <class Error>
[[noreturn]] void throw_input_error(std::string file, std::string item, std::string expected, std::string found) {
  throw Error{std::move(file), std::move(item), std::move(expected), std::move(found)};
}
}  // namespace detail

/// One value in a JSON file; valid as long as a `json_file` or `json_object` of that file lives. Cheap to copy.
class json_value {
 public:
  using member = std::pair<std::string_view, json_value>;

  [[nodiscard]] bool is_null() const noexcept;
  [[nodiscard]] bool is_string() const noexcept;
  [[nodiscard]] bool is_object() const noexcept;

  /// If the value is true or false, a whole number that fits, any number, a string, or a list: copies it to `target`
  /// and returns true. Otherwise returns false and leaves `target` as it is.
  [[nodiscard]] bool get(bool& target) const noexcept;
  [[nodiscard]] bool get(std::int64_t& target) const noexcept;
  [[nodiscard]] bool get(std::uint64_t& target) const noexcept;
  [[nodiscard]] bool get(double& target) const noexcept;
  [[nodiscard]] bool get(std::string_view& target) const noexcept;
  [[nodiscard]] bool get(std::vector<json_value>& target) const;
  /// The same for the members of an object, in the order of the file, duplicate keys included: see `json_object`.
  [[nodiscard]] bool get(std::vector<member>& target) const;

  /// The value as JSON text without spaces.
  [[nodiscard]] std::string text() const;
  /// What the value is, for messages: `3`, `the string "abc"`, `a list`.
  [[nodiscard]] std::string description() const;

 private:
  friend detail::json_access;
  std::array<std::uintptr_t, 2> handle_{};  // the parser's
};

/// A JSON file or text that has been parsed as a whole.
///
///     #include <optscope/core/json.hpp>
///
///     std::uint64_t layers_in(const char* path) {
///       const auto file = optscope::json_file::read<optscope::checkpoint_error>(path);
///       const optscope::json_object settings{file, file.root()};
///       std::uint64_t layers = 12;
///       const auto value = settings.find("num_hidden_layers");
///       if (value && !value->get(layers)) settings.refuse("num_hidden_layers", "a whole number",
///       value->description()); return layers;
///     }
///
/// Errors are of the type given, which has the constructor of `bad_input`. They name the line and column where a text
/// stops being JSON. A text may have 100 MB and 1024 levels. What else Python writes is JSON here: whole numbers of
/// more than 64 bits are read as floating-point numbers; NaN, Infinity, -Infinity and numbers beyond double are values
/// that no `get` takes, so that they are refused only where they are needed. Memory grows with the text.
class json_file {
 public:
  /// Throws `file_error` if the file cannot be read, `Error` if it is not JSON.
  template <class Error = bad_input>
  [[nodiscard]] static json_file read(const std::filesystem::path& path) {
    return read(path, &detail::throw_input_error<Error>);
  }

  /// Parses `text`, which is `item` of the file `name`. Throws `Error`.
  template <class Error = bad_input>
  [[nodiscard]] static json_file parse(std::string name, std::string item, std::string_view text) {
    return parse(std::move(name), std::move(item), text, &detail::throw_input_error<Error>);
  }

  [[nodiscard]] json_value root() const;
  [[nodiscard]] const std::string& name() const noexcept;

  /// Throws the file's type of error.
  [[noreturn]] void refuse(std::string item, std::string expected, std::string found) const;

 private:
  static json_file read(const std::filesystem::path& path, detail::throws_input_error* error);
  static json_file parse(std::string name, std::string item, std::string_view text, detail::throws_input_error* error);

  std::shared_ptr<const detail::json_document> document_;
};

/// The members of an object, each key once.
class json_object {
 public:
  using member = json_value::member;

  /// `item` names the object in messages; it is empty for a whole file. Throws the error type of `file` if `value` is
  /// not an object or has a duplicate key, about which JSON parsers disagree.
  json_object(json_file file, json_value value, std::string item = "");

  /// In key order.
  [[nodiscard]] const std::vector<member>& members() const noexcept { return members_; }

  /// The value of a key; nothing if there is no such key.
  [[nodiscard]] std::optional<json_value> find(std::string_view key) const;

  /// `item.key`, for messages.
  [[nodiscard]] std::string path_to(std::string_view key) const;

  /// Throws the file's type of error about `path_to(key)`.
  [[noreturn]] void refuse(std::string_view key, std::string expected, std::string found) const;

 private:
  json_file file_;
  std::string item_;
  std::vector<member> members_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/json.ipp>
#endif
