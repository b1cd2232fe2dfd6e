// SPDX-License-Identifier: MIT
#pragma once
// Bodies of code_structure.hpp.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optscope/isolation/code_structure.hpp>
#include <string>

namespace optscope {
namespace detail {

inline char opening_bracket_of(char c) {
  switch (c) {
    case ')': return '(';
    case ']': return '[';
    case '}': return '{';
    default: return '\0';
  }
}

inline bool brackets_match(std::string_view text) {
  std::string open;
  for (const char c : text) {
    if (c == '(' || c == '[' || c == '{') open += c;
    const char match = opening_bracket_of(c);
    if (match == '\0' || open.empty()) continue;  // the prompt may have opened it
    if (open.back() != match) return false;
    open.pop_back();
  }
  return true;
}

inline std::string_view without_blanks_around(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  const std::size_t last = line.find_last_not_of(" \t\r");
  return last < first || last == std::string_view::npos ? std::string_view{} : line.substr(first, last - first + 1);
}

inline bool is_line_of_code(std::string_view line) {
  constexpr std::array<std::string_view, 4> begins{"#", "//", "/*", "*"};
  return std::string_view{";{}):\\"}.find(line.back()) != std::string_view::npos || line.ends_with("*/") ||
         std::any_of(begins.begin(), begins.end(), [&](std::string_view begin) { return line.starts_with(begin); });
}

}  // namespace detail

OPTSCOPE_INLINE bool has_code_structure(std::string_view text) {
  if (!detail::brackets_match(text)) return false;
  std::size_t lines = 0, code = 0, begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    const std::string_view line = detail::without_blanks_around(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty()) continue;
    ++lines;
    code += detail::is_line_of_code(line);
  }
  return lines > 0 && 2 * code >= lines;
}

}  // namespace optscope
