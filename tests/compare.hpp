// SPDX-License-Identifier: MIT
#pragma once
// Comparison against a golden, scaled by the golden's largest element; the worst element is reported.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>

/// Checks |found - expected| <= tolerance * max |expected| for every element; equal infinities match.
template <class Found, class Expected>
double check_close(std::span<const Found> found, std::span<const Expected> expected, double tolerance,
                   const std::string& what) {
  REQUIRE_MESSAGE(found.size() == expected.size(), what << ": " << found.size() << " and " << expected.size());
  double largest = 0, worst = 0;
  std::size_t where = 0;
  for (const Expected value : expected) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(static_cast<double>(value)));
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double a = static_cast<double>(found[i]), b = static_cast<double>(expected[i]);
    const double error = a == b ? 0 : std::abs(a - b);
    if (error > worst || std::isnan(error)) {
      worst = error;
      where = i;
    }
    if (std::isnan(error)) break;
  }
  const double relative = worst == 0 ? 0 : worst / largest;
  CHECK_MESSAGE(relative <= tolerance, what << ": worst element " << where << " is " << found[where] << ", expected "
                                            << expected[where] << ", error " << relative << " of the largest");
  return relative;
}
