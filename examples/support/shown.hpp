// SPDX-License-Identifier: MIT
#pragma once
// How reports show tokens and numbers.

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

namespace program {

/// A token in quotes, so that spaces are seen, with control characters as escapes.
inline std::string shown(std::string_view piece) {
  std::string text = "\"";
  for (const char c : piece) {
    char escaped[8] = {c};
    if (c == '\n') {
      std::snprintf(escaped, sizeof escaped, "\\n");
    } else if (c == '\t') {
      std::snprintf(escaped, sizeof escaped, "\\t");
    } else if (static_cast<unsigned char>(c) < 32 || c == 127) {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
    text += escaped;
  }
  return text + "\"";
}

/// Three significant digits; "none" for NaN.
inline std::string number(double value) {
  char text[40];
  if (std::isnan(value)) return "none";
  return std::snprintf(text, sizeof text, "%.3g", value) > 0 ? std::string{text} : std::string{};
}

}  // namespace program
