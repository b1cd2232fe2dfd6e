// SPDX-License-Identifier: MIT
#pragma once
// Writes JSON text: commas, escapes and numbers. The caller opens and closes lists and objects in a valid order.

#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {

/// Builds one JSON document in memory.
///
///     json_writer json;
///     json.begin_object();
///     json.field("layers", 12);
///     json.key("mean").begin_array();
///     for (double value : means) json.value(value);
///     json.end_array();
///     json.end_object();
///     write_file("summary.json", json.text());
///
/// A floating-point number becomes the shortest text that reads back as the same number; NaN and infinity become
/// `null`. Bytes of a string that are not UTF-8 become U+FFFD. `<` is written as `\u003c`, so that the text can stand
/// inside an HTML script element.
class json_writer {
 public:
  json_writer& begin_object() { return open('{'); }
  json_writer& end_object() { return close('}'); }
  json_writer& begin_array() { return open('['); }
  json_writer& end_array() { return close(']'); }

  json_writer& key(std::string_view name) {
    value(name);
    text_ += ':';
    fresh_ = true;
    return *this;
  }

  json_writer& value(std::string_view string);
  json_writer& value(const char* string) { return value(std::string_view{string}); }
  json_writer& value(bool truth) { return raw(truth ? "true" : "false"); }
  json_writer& value(std::nullptr_t) { return raw("null"); }

  template <class Number>
    requires(std::integral<Number> || std::floating_point<Number>)
  json_writer& value(Number number) {
    if constexpr (std::floating_point<Number>) {
      return floating(number);
    } else if constexpr (std::signed_integral<Number>) {
      return integer(static_cast<long long>(number));
    } else {
      return integer(static_cast<unsigned long long>(number));
    }
  }

  template <class Value>
  json_writer& field(std::string_view name, Value&& content) {
    return key(name).value(std::forward<Value>(content));
  }

  /// An array of the values of a range under `name`.
  template <class Range>
  json_writer& list(std::string_view name, const Range& values) {
    key(name).begin_array();
    for (const auto& each : values) value(each);
    return end_array();
  }

  /// Text that already is JSON.
  json_writer& raw(std::string_view json);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  json_writer& open(char bracket);
  json_writer& close(char bracket);
  json_writer& floating(float number);
  json_writer& floating(double number);
  json_writer& integer(long long number);
  json_writer& integer(unsigned long long number);
  void separate();

  std::string text_;
  bool fresh_ = true;  // the next value needs no comma before it
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/json_writer.ipp>
#endif
