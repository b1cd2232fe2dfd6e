// SPDX-License-Identifier: MIT
#include "checks.hpp"

#include <cmath>
#include <cstdlib>

namespace program {
namespace {

std::string unless(bool right, const std::string& expected, const std::string& value) {
  return right ? "" : "expected " + expected + ", found " + value;
}

bool only_digits(const std::string& value) {
  return !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::string not_positive(const std::string& value) {
  return unless(only_digits(value) && value.find_first_not_of('0') != std::string::npos, "1 or more", value);
}

std::string not_whole(const std::string& value) {
  return unless(only_digits(value), "a whole number, 0 or more", value);
}

std::string not_threads(const std::string& value) {
  const std::string wrong = not_positive(value);
  if (!wrong.empty()) return wrong;
  return unless(value.size() <= 4 && std::stoi(value) <= 1024, "1024 or less", value);
}

std::string no_path(const std::string& value) { return unless(!value.empty(), "a path", "''"); }

std::string not_above_zero(const std::string& value) { return number_within(0, true, 1e300, "more than 0")(value); }

check number_within(double low, bool above, double high, const std::string& expected) {
  return [=](const std::string& value) {
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    const bool is_number = !value.empty() && *end == '\0' && std::isfinite(number);
    return unless(is_number && number <= high && (above ? number > low : number >= low), expected, value);
  };
}

}  // namespace program
