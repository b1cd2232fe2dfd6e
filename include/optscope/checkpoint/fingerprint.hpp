// SPDX-License-Identifier: MIT
#pragma once
// Which model a checkpoint holds, as a short text.

#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/compiled.hpp>
#include <string>

namespace optscope {

/// 16 hexadecimal digits that tell models apart: FNV-1a over the names and shapes of all tensors, and as floats the
/// values of vectors and of each matrix's first and last row. The same for a model that was only stored in another
/// precision if the values are the same. Reads a few kB a tensor.
[[nodiscard]] std::string fingerprint(const checkpoint& files);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/fingerprint.ipp>
#endif
