// SPDX-License-Identifier: MIT
#pragma once
// Reads safetensors files, strictly.

#include <filesystem>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/compiled.hpp>

namespace optscope {
/// Maps a safetensors file and checks its whole header by the rules of the reference reader, and that no name is
/// duplicate (the specification asks for that; most readers silently keep one of the two). Tensors must follow one
/// another from 0 without overlap or gap and fill the file exactly. Throws `file_error` if the file cannot be mapped,
/// `checkpoint_error` naming file and tensor on anything else. Cost: reading the header; no tensor is touched.
[[nodiscard]] tensor_table read_safetensors(const std::filesystem::path& path);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/safetensors.ipp>
#endif
