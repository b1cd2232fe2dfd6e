// SPDX-License-Identifier: MIT
#pragma once
// The derivatives of the MLP's nonlinearities.

#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>

namespace optscope {

/// d activate(kind, x) / dx as autograd takes it: 0 at a kink of ReLU and its kin, so that a neuron that is off is off.
[[nodiscard]] double slope_of(activation kind, double x) noexcept;

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/slope.ipp>
#endif
