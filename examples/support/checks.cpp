// SPDX-License-Identifier: MIT
#include "checks.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

namespace program {
namespace {

std::string unless(bool right, const std::string& expected, const std::string& value) {
  return right ? "" : "expected " + expected + ", found " + (value.empty() ? "''" : value);
}

constexpr std::errc too_large = std::errc::result_out_of_range;  // for its type: refused when the value is read

/// Whether all of `value` is a number, and whether `number` can hold it.
template <class Number>
std::errc read_all(const std::string& value, Number& number) {
  const char* begin = value.data() + (value.size() > 1 && value[0] == '+' && value[1] != '-' ? 1 : 0);
  const char* end = value.data() + value.size();
  const auto [stopped, wrong] = std::from_chars(begin, end, number);
  return stopped == end ? wrong : std::errc::invalid_argument;
}

}  // namespace

std::string read_number(const std::string& value, std::size_t& number) {
  const std::errc wrong = read_all(value, number);
  if (wrong != too_large) return unless(wrong == std::errc{}, "a whole number, 0 or more", value);
  return unless(false, "at most " + std::to_string(std::numeric_limits<std::size_t>::max()), value);
}

std::string read_number(const std::string& value, double& number) {
  const std::errc wrong = read_all(value, number);
  if (wrong != too_large) return unless(wrong == std::errc{} && std::isfinite(number), "a number", value);
  return unless(false, "a number that fits in 64 bits", value);
}

std::string not_positive(const std::string& value) {
  std::size_t number = 0;
  const std::errc wrong = read_all(value, number);
  return unless(wrong == too_large || (wrong == std::errc{} && number != 0), "a whole number, 1 or more", value);
}

std::string not_threads(const std::string& value) {
  std::size_t number = 0;
  return unless(read_all(value, number) == std::errc{} && number >= 1 && number <= 1024,
                "a whole number from 1 to 1024", value);
}

std::string no_path(const std::string& value) { return unless(!value.empty(), "a path", "''"); }

std::string not_above_zero(const std::string& value) {
  return number_within(0, true, 1e300, "a number above 0")(value);
}

check number_within(double low, bool above, double high, const std::string& expected) {
  return [=](const std::string& value) {
    double number = 0;
    const std::errc wrong = read_all(value, number);
    const bool inside = number <= high && (above ? number > low : number >= low);
    return unless(wrong == too_large || (wrong == std::errc{} && inside), expected, value);
  };
}

}  // namespace program
