// SPDX-License-Identifier: MIT
#pragma once
// Bodies of json.hpp.

// simdjson.h repeats its on-demand parser for every instruction set. Those that this file cannot run anyway are left
// out, which saves a third of the time to compile it and changes no type.
#if defined(__x86_64__) && !defined(__SSE4_2__) && !defined(SIMDJSON_IMPLEMENTATION_WESTMERE)
#define SIMDJSON_IMPLEMENTATION_WESTMERE 0
#define SIMDJSON_IMPLEMENTATION_HASWELL 0
#define SIMDJSON_IMPLEMENTATION_ICELAKE 0
#endif
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/utf8.hpp>
#include <system_error>
#include <type_traits>

namespace optscope {
namespace detail {

struct json_document {
  std::string name;
  throws_input_error* error = nullptr;
  simdjson::dom::parser parser{};
  simdjson::dom::element root{};
};

struct json_access {
  using handle = std::array<std::uintptr_t, 2>;
  static_assert(sizeof(simdjson::dom::element) == sizeof(handle) &&
                    std::is_trivially_copyable_v<simdjson::dom::element>,
                "an element of simdjson is a pointer and an index");

  static json_value value(simdjson::dom::element element) {
    json_value result;
    std::memcpy(&result.handle_, &element, sizeof element);
    return result;
  }
  static simdjson::dom::element element(const json_value& value) {
    simdjson::dom::element result;
    std::memcpy(static_cast<void*>(&result), &value.handle_, sizeof result);
    return result;
  }
  template <class T>
  static bool get(const json_value& value, T& target) noexcept {
    return element(value).get(target) == simdjson::SUCCESS;
  }
};

/// Finds where a text stops being JSON.
class json_error_finder {
 public:
  explicit json_error_finder(std::string_view text) : text_{text} {}

  /// Byte offset of what must not be there; the text's size if something is missing at its end; nothing if the text is
  /// well formed.
  [[nodiscard]] std::optional<std::size_t> find() {
    bool ready = true;  // for a value; else one has just ended
    for (;;) {
      spaces();
      if (ready && (accept('{') || accept('['))) {
        open_ += text_[at_ - 1];
        spaces();
        if (accept(closing())) {
          open_.pop_back();
          ready = false;
        } else if (open_.back() == '{' && !key()) {
          return at_;
        }
      } else if (ready) {
        if (!scalar()) return at_;
        ready = false;
      } else if (open_.empty()) {
        return at_ == text_.size() ? std::nullopt : std::optional{at_};
      } else if (accept(closing())) {
        open_.pop_back();
      } else {
        if (!accept(',')) return at_;
        spaces();
        if (open_.back() == '{' && !key()) return at_;
        ready = true;
      }
    }
  }

 private:
  [[nodiscard]] char closing() const { return open_.back() == '{' ? '}' : ']'; }
  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool accept(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void spaces() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool key() {
    if (!string()) return false;
    spaces();
    return accept(':');
  }
  bool scalar() {
    if (next() == '"') return string();
    for (const std::string_view word : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return true;
      }
    }
    return number();
  }
  bool string() {
    if (!accept('"')) return false;
    while (!accept('"')) {
      if (static_cast<unsigned char>(next()) < 0x20) return false;
      if (accept('\\')) {
        const bool code = next() == 'u';
        if (std::string_view{"\"\\/bfnrtu"}.find(next()) == std::string_view::npos) return false;
        ++at_;
        if (code && !code_point()) return false;
      } else {
        const utf8::sequence character = utf8::first_sequence(text_.substr(at_));
        if (!character.valid) return false;
        at_ += character.size;
      }
    }
    return true;
  }
  // Four digits after \\u; a surrogate needs its other half.
  bool code_point() {
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    if (!hexadecimal()) return false;
    const auto second = [](std::string_view d) { return d.size() == 4 && (d[0] | 32) == 'd' && (d[1] | 32) >= 'c'; };
    if (second(digits)) return false;
    if ((digits[0] | 32) != 'd' || digits[1] < '8') return true;
    if (!text_.substr(at_).starts_with("\\u") || !second(text_.substr(at_ + 2, 4))) return false;
    at_ += 2;
    return hexadecimal();
  }
  bool hexadecimal() {
    for (int digit = 0; digit < 4; ++digit) {
      if (std::string_view{"0123456789abcdefABCDEF"}.find(next()) == std::string_view::npos) return false;
      ++at_;
    }
    return true;
  }
  bool digits() {
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    return at_ != begin;
  }
  bool number() {
    accept('-');
    if (!accept('0') && !digits()) return false;
    if (accept('.') && !digits()) return false;
    if (!accept('e') && !accept('E')) return true;
    if (!accept('+')) accept('-');
    return digits();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string open_;  // brackets
};

/// What a string begins with that stands for a number: one that Python's json writes and simdjson does not read, NaN,
/// Infinity, -Infinity, or a number beyond double. No value is taken from it; messages show it as it was.
inline constexpr std::string_view odd_number_mark = "\x7fnumber ";

[[nodiscard]] inline bool is_odd_number(simdjson::dom::element element) {
  std::string_view text;
  return element.get(text) == simdjson::SUCCESS && text.starts_with(odd_number_mark);
}

/// `json` as simdjson can read it: an exponent after whole numbers that may not fit into 64 bits (transformers writes
/// 1e30 for `model_max_length`), which makes them floating-point numbers, and strings with a mark for odd numbers.
[[nodiscard]] inline std::string plain_json(std::string_view json) {
  constexpr std::string_view digits = "0123456789", spaces = " \t\r\n";
  std::string result;
  const auto mark = [&](std::string_view number) { result.append("\"").append(odd_number_mark).append(number) += '"'; };
  char before = ' ';  // the last byte that is no space, outside of strings
  for (std::size_t at = 0; at < json.size();) {
    const std::string_view rest = json.substr(at);
    std::size_t length = 1;
    if (rest[0] == '"') {
      while (length < rest.size() && rest[length] != '"') length += rest[length] == '\\' ? 2 : 1;
      length = std::min(length + 1, rest.size());
      result += rest.substr(0, length);
    } else if (const std::size_t word = rest.starts_with("NaN")         ? 3
                                        : rest.starts_with("Infinity")  ? 8
                                        : rest.starts_with("-Infinity") ? 9
                                                                        : 0;
               word != 0 && std::string_view{":[,"}.find(before) != std::string_view::npos) {
      const std::size_t next = rest.find_first_not_of(spaces, word);
      const bool key = next != std::string_view::npos && rest[next] == ':';
      length = word;
      key ? void(result += rest.substr(0, length)) : mark(rest.substr(0, length));
    } else if (rest[0] == '-' || digits.find(rest[0]) != std::string_view::npos) {
      length = std::min(rest.find_first_not_of("0123456789+-.eE", 1), rest.size());
      const std::string_view number = rest.substr(0, length);
      const bool whole = number.find_first_of(".eE") == std::string_view::npos;
      double value = 0;
      const auto [end, status] = std::from_chars(number.data(), number.data() + length, value);
      const bool small = number.find("e-") != std::string_view::npos || number.find("E-") != std::string_view::npos;
      if (status == std::errc::result_out_of_range && end == number.data() + length && !small) {
        mark(number);
      } else {
        result.append(number).append(whole && length > 18 ? "e0" : "");
      }
    } else {
      result += rest[0];
    }
    at += length;
    if (spaces.find(rest[0]) == std::string_view::npos) before = rest[0];
  }
  return result;
}

/// Throws the error for a text that the parser refused with `status`.
inline void refuse_json(const json_file& file, const std::string& item, std::string_view text,
                        simdjson::error_code status) {
  const auto wrong = json_error_finder{text}.find();
  if (!wrong) file.refuse(item, "JSON", simdjson::error_message(status));
  const std::string_view before = text.substr(0, *wrong), after = text.substr(*wrong);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t column = before.size() - before.rfind('\n');  // in bytes; npos is -1
  file.refuse((item.empty() ? "" : item + ", ") + "line " + std::to_string(line) + ", column " + std::to_string(column),
              "JSON", after.empty() ? "its end" : quoted(after.substr(0, 24)));
}

}  // namespace detail

OPTSCOPE_INLINE bool json_value::is_null() const noexcept { return detail::json_access::element(*this).is_null(); }
OPTSCOPE_INLINE bool json_value::is_string() const noexcept {
  const simdjson::dom::element element = detail::json_access::element(*this);
  return element.is_string() && !detail::is_odd_number(element);
}
OPTSCOPE_INLINE bool json_value::is_object() const noexcept { return detail::json_access::element(*this).is_object(); }

OPTSCOPE_INLINE bool json_value::get(bool& target) const noexcept { return detail::json_access::get(*this, target); }
OPTSCOPE_INLINE bool json_value::get(std::int64_t& target) const noexcept {
  return detail::json_access::get(*this, target);
}
OPTSCOPE_INLINE bool json_value::get(std::uint64_t& target) const noexcept {
  return detail::json_access::get(*this, target);
}
OPTSCOPE_INLINE bool json_value::get(double& target) const noexcept { return detail::json_access::get(*this, target); }
OPTSCOPE_INLINE bool json_value::get(std::string_view& target) const noexcept {
  return is_string() && detail::json_access::get(*this, target);
}

OPTSCOPE_INLINE bool json_value::get(std::vector<json_value>& target) const {
  simdjson::dom::array list;
  if (!detail::json_access::get(*this, list)) return false;
  target.clear();
  target.reserve(list.size());
  for (const simdjson::dom::element item : list) target.push_back(detail::json_access::value(item));
  return true;
}

OPTSCOPE_INLINE bool json_value::get(std::vector<member>& target) const {
  simdjson::dom::object object;
  if (!detail::json_access::get(*this, object)) return false;
  target.clear();
  target.reserve(object.size());
  for (const auto field : object) target.emplace_back(field.key, detail::json_access::value(field.value));
  return true;
}

OPTSCOPE_INLINE std::string json_value::text() const {
  std::string text = simdjson::minify(detail::json_access::element(*this));
  const std::string mark = '"' + std::string{detail::odd_number_mark};
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.erase(at, mark.size());
    text.erase(text.find('"', at), 1);
  }
  return text;
}

OPTSCOPE_INLINE std::string json_value::description() const {
  using simdjson::dom::element_type;
  const simdjson::dom::element element = detail::json_access::element(*this);
  if (detail::is_odd_number(element)) {
    return detail::printable(element.get_string().value_unsafe().substr(detail::odd_number_mark.size()));
  }
  switch (element.type()) {
    case element_type::ARRAY: return "a list";
    case element_type::OBJECT: return "an object";
    case element_type::STRING: return "the string " + detail::quoted(element.get_string().value_unsafe());
    case element_type::NULL_VALUE: return "null";
    default: return simdjson::minify(element);
  }
}

OPTSCOPE_INLINE json_file json_file::read(const std::filesystem::path& path, detail::throws_input_error* error) {
  const mapped_file file{path};
  const std::string_view text{reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  return parse(path.string(), "", text, error);
}

OPTSCOPE_INLINE json_file json_file::parse(std::string name, std::string item, std::string_view text,
                                           detail::throws_input_error* error) {
  constexpr std::size_t longest = 100'000'000;  // as the header of safetensors
  const auto document = std::make_shared<detail::json_document>();
  document->name = std::move(name);
  document->error = error;
  json_file file;
  file.document_ = document;
  if (text.empty()) file.refuse(item, "JSON", item.empty() ? "an empty file" : "nothing");
  if (text.size() > longest) {
    file.refuse(item, "JSON of at most 100000000 bytes", std::to_string(text.size()) + " bytes");
  }
  if (text.starts_with("\xef\xbb\xbf")) file.refuse(item, "JSON", "a byte order mark before it");
  simdjson::error_code status = document->parser.parse(simdjson::padded_string{text}).get(document->root);
  if (status != simdjson::SUCCESS) {
    status = document->parser.parse(simdjson::padded_string{detail::plain_json(text)}).get(document->root);
  }
  if (status != simdjson::SUCCESS) detail::refuse_json(file, item, text, status);
  return file;
}

OPTSCOPE_INLINE json_value json_file::root() const { return detail::json_access::value(document_->root); }
OPTSCOPE_INLINE const std::string& json_file::name() const noexcept { return document_->name; }

OPTSCOPE_INLINE void json_file::refuse(std::string item, std::string expected, std::string found) const {
  document_->error(document_->name, std::move(item), std::move(expected), std::move(found));
  __builtin_unreachable();
}

OPTSCOPE_INLINE json_object::json_object(json_file file, json_value value, std::string item)
    : file_{std::move(file)}, item_{std::move(item)} {
  if (!value.get(members_)) file_.refuse(item_, "a JSON object", value.description());
  const auto earlier = [](const member& a, const member& b) { return a.first < b.first; };
  const auto same = [](const member& a, const member& b) { return a.first == b.first; };
  std::sort(members_.begin(), members_.end(), earlier);
  const auto twice = std::adjacent_find(members_.begin(), members_.end(), same);
  if (twice == members_.end()) return;
  file_.refuse((item_.empty() ? "" : item_ + ": ") + "duplicate key " + detail::quoted(twice->first), "", "");
}

OPTSCOPE_INLINE std::optional<json_value> json_object::find(std::string_view key) const {
  const auto place = std::lower_bound(members_.begin(), members_.end(), key,
                                      [](const member& a, std::string_view name) { return a.first < name; });
  if (place == members_.end() || place->first != key) return std::nullopt;
  return place->second;
}

OPTSCOPE_INLINE std::string json_object::path_to(std::string_view key) const {
  return item_.empty() ? detail::printable(key) : item_ + "." + detail::printable(key);
}

OPTSCOPE_INLINE void json_object::refuse(std::string_view key, std::string expected, std::string found) const {
  file_.refuse(path_to(key), std::move(expected), std::move(found));
}

}  // namespace optscope
