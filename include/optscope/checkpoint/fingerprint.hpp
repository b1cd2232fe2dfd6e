// SPDX-License-Identifier: MIT
#pragma once
// Which model a checkpoint holds, as a short text.

#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/compiled.hpp>
#include <string>

namespace optscope {

/// 16 hexadecimal digits that tell models apart: FNV-1a over the names and shapes of all tensors and, as floats, the
/// values of vectors and of the first and last row of each matrix. A model stored in a different precision has the same
/// fingerprint if its values are the same. Reads a few kB per tensor.
[[nodiscard]] std::string fingerprint(const checkpoint& files);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/fingerprint.ipp>
#endif
