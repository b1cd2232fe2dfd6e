// SPDX-License-Identifier: MIT
#pragma once
// Writes JSON text: commas, escapes and numbers; the caller keeps the order.

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
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
/// Floating-point numbers are the shortest text that reads back to the same number; NaN and infinities become `null`.
/// `<` is written as `\u003c`, so that the text can stand inside an HTML script element.
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

  json_writer& value(std::string_view string) {
    separate();
    text_ += '"';
    for (const char c : string) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (c == '\n') {
        text_ += "\\n";
      } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == 0x7f) {
        constexpr char digits[] = "0123456789abcdef";
        text_ += "\\u00";
        text_ += digits[static_cast<unsigned char>(c) >> 4];
        text_ += digits[c & 15];
      } else {
        text_ += c;
      }
    }
    text_ += '"';
    return *this;
  }
  json_writer& value(const char* string) { return value(std::string_view{string}); }
  json_writer& value(bool truth) { return raw(truth ? "true" : "false"); }
  json_writer& value(std::nullptr_t) { return raw("null"); }

  template <class Number>
    requires(std::integral<Number> || std::floating_point<Number>)
  json_writer& value(Number number) {
    if constexpr (std::floating_point<Number>) {
      if (!std::isfinite(number)) return raw("null");
    }
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
    return raw({buffer, static_cast<std::size_t>(end - buffer)});
  }

  template <class Value>
  json_writer& field(std::string_view name, Value&& content) {
    return key(name).value(std::forward<Value>(content));
  }

  /// Text that is JSON already.
  json_writer& raw(std::string_view json) {
    separate();
    text_ += json;
    return *this;
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  json_writer& open(char bracket) {
    separate();
    text_ += bracket;
    fresh_ = true;
    return *this;
  }
  json_writer& close(char bracket) {
    text_ += bracket;
    fresh_ = false;
    return *this;
  }
  void separate() {
    if (!fresh_) text_ += ',';
    fresh_ = false;
  }

  std::string text_;
  bool fresh_ = true;  // nothing before the next value that a comma would separate it from
};

}  // namespace optscope
