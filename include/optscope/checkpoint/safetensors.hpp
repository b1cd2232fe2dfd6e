// SPDX-License-Identifier: MIT
#pragma once
// Reads safetensors files, strictly.

#include <filesystem>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/compiled.hpp>

namespace optscope {
/// Maps a safetensors file and checks all of its header: the rules of the reference reader, and no duplicate names
/// (the specification asks for that; most readers keep one of the two silently). Tensors must follow one another from
/// 0 without overlap or hole and fill the file exactly. Throws `file_error` if the file cannot be mapped,
/// `checkpoint_error` naming file and tensor on anything else. Cost: the header; no tensor is touched.
[[nodiscard]] tensor_table read_safetensors(const std::filesystem::path& path);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/safetensors.ipp>
#endif
