// SPDX-License-Identifier: MIT
#pragma once
// Writes a model with parts removed as a smaller checkpoint.

#include <filesystem>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/opt/removal.hpp>

namespace optscope {

/// Writes the model without what was removed into `folder`: model.safetensors (F32), config.json and the tokenizer's
/// files. Rows and columns of removed neurons and heads are cut out; their constant values are in the biases of fc2 and
/// W_O. config.json then has `ffn_dims` and `attention_heads`, one number per layer, which this library reads and
/// transformers does not. Where all layers keep the same number of neurons, `ffn_dim` is that number, heads stay with
/// zero columns in W_O, and transformers reads the folder. Returns true if it can.
///
/// A layer of which all neurons or all heads are removed keeps one that has no effect. Throws `bad_input` for constants
/// that need a bias in a model without biases, for a part that a layer does not have, and for directions of the stream,
/// which no weight holds.
bool write_pruned(const checkpoint& files, const architecture& shape, const removal& what,
                  const std::filesystem::path& folder);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/pruned_checkpoint.ipp>
#endif
