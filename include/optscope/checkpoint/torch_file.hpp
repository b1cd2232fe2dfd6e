// SPDX-License-Identifier: MIT
#pragma once
// Reads the files that torch.save writes: a zip archive with one pickle and the raw storages.

#include <filesystem>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/compiled.hpp>

namespace optscope {
/// Maps a file of torch.save (1.6 or later) and checks everything except the weights themselves. Its pickle is
/// interpreted by a few lines of C++ that know tensors, dicts and numbers; anything else it names is refused, not run.
/// Tensors that share a storage share its bytes here too. Throws `file_error` if the file cannot be mapped,
/// `checkpoint_error` on anything else; older torch formats are called by name. Cost: reading the zip directory and the
/// pickle.
[[nodiscard]] tensor_table read_torch(const std::filesystem::path& path);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/torch_file.ipp>
#endif
