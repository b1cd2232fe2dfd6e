// SPDX-License-Identifier: MIT
#pragma once
// The values that options are given. Each function returns an empty text, or what was expected and found.

#include <cstddef>
#include <functional>
#include <string>

namespace program {

using check = std::function<std::string(const std::string& value)>;

/// Reads a decimal number, with leading zeros or without. One that the type cannot hold is wrong, and so is infinity.
[[nodiscard]] std::string read_number(const std::string& value, std::size_t& number);
[[nodiscard]] std::string read_number(const std::string& value, double& number);

/// A whole number from 1.
[[nodiscard]] std::string not_positive(const std::string& value);

/// A number of threads that a machine may have: 1 to 1024.
[[nodiscard]] std::string not_threads(const std::string& value);

/// Any path.
[[nodiscard]] std::string no_path(const std::string& value);

/// A finite number above 0.
[[nodiscard]] std::string not_above_zero(const std::string& value);

/// A finite number from `low` to `high`; `low` itself is excluded if `above`. `expected` says so in words.
[[nodiscard]] check number_within(double low, bool above, double high, const std::string& expected);

}  // namespace program
