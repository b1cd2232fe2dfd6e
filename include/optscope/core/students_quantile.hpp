// SPDX-License-Identifier: MIT
#pragma once
// Student's distribution, for 95 % intervals of means of few values.

#include <optscope/core/compiled.hpp>

namespace optscope {

/// The 97.5 % quantile of Student's distribution, within 0.2 %: in 95 % of the cases the true mean is within this many
/// standard errors of the mean that was found. `freedom`, degrees of it, may be a fraction; below 1 it counts as 1.
[[nodiscard]] double students_quantile(double freedom);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/students_quantile.ipp>
#endif
