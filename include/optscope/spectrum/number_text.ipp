// SPDX-License-Identifier: MIT
#pragma once
// Bodies of number_text.hpp.

#include <cmath>
#include <optscope/spectrum/number_text.hpp>
#include <sstream>

namespace optscope::detail {

OPTSCOPE_INLINE std::string short_number(double value, int digits) {
  if (!std::isfinite(value)) return "";
  if (std::abs(value) >= 1000 && std::abs(value) < 1e9) {  // no exponents where counts are meant
    const double unit = std::pow(10, std::floor(std::log10(std::abs(value))) + 1 - digits);
    return std::to_string(std::lround(unit > 1 ? std::round(value / unit) * unit : value));
  }
  std::ostringstream text;
  text.precision(digits);
  text << value;
  return text.str();
}

}  // namespace optscope::detail
