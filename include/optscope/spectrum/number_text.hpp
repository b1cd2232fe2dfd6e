// SPDX-License-Identifier: MIT
#pragma once
// Numbers for tables and sentences: a few significant digits.

#include <optscope/core/compiled.hpp>
#include <string>

namespace optscope::detail {

/// A number with this many significant digits, whole numbers up to 1e9 without an exponent; empty if it is not finite.
[[nodiscard]] std::string short_number(double value, int digits = 4);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/number_text.ipp>
#endif
