// SPDX-License-Identifier: MIT
#pragma once
// What is removed from a model, neurons, heads and directions of the stream, and the constants in its place; as a file.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <string>
#include <vector>

namespace optscope {

/// Directions of the stream at a layer's input. The coordinates of x along them are right x, and leftᵀ right x is the
/// part of x that they span; right_i · left_j is 1 for i = j and 0 otherwise. A direction that is removed stands where
/// `bias` does.
struct stream_basis {
  tensor<float, 2> left, right;  ///< (direction, hidden)
  std::vector<float> bias;       ///< (hidden)
};

/// What is removed from one layer. A removed part has the same activation at every position, zero or a constant such as
/// its mean; a removed direction at every position but the first, where BOS stands, whose stream is unlike any other's.
struct layer_removal {
  std::vector<std::size_t> neurons{};           ///< ascending
  std::vector<float> neuron_values{};           ///< their `mlp_post`; empty: zeros
  std::vector<std::size_t> heads{};             ///< ascending
  std::vector<float> head_values{};             ///< (head of `heads`, head_dim) their `z`; empty: zeros
  std::vector<std::size_t> directions{};        ///< ascending, of `basis`
  std::shared_ptr<const stream_basis> basis{};  ///< of `resid_pre`; null where there are no directions

  [[nodiscard]] bool empty() const noexcept { return keeps_weights() && directions.empty(); }
  /// True if no neuron and no head is removed, so that the weights are whole.
  [[nodiscard]] bool keeps_weights() const noexcept { return neurons.empty() && heads.empty(); }
};

/// What is removed from a model: neurons, heads and directions of the stream between layers, never any part of the
/// embedding, the unembedding or the logits.
struct removal {
  std::vector<layer_removal> layers;

  [[nodiscard]] std::size_t neurons() const {
    std::size_t count = 0;
    for (const layer_removal& layer : layers) count += layer.neurons.size();
    return count;
  }
  [[nodiscard]] std::size_t heads() const {
    std::size_t count = 0;
    for (const layer_removal& layer : layers) count += layer.heads.size();
    return count;
  }
  [[nodiscard]] std::size_t directions() const {
    std::size_t count = 0;
    for (const layer_removal& layer : layers) count += layer.directions.size();
    return count;
  }
};

/// Throws `bad_input` if a layer with this many neurons and heads does not have what is to be removed from it.
void require_parts(const layer_removal& what, std::size_t neurons, std::size_t heads);

/// Writes a removal for the model with that `fingerprint`; `about` says in words what it is.
void write_removal(const std::filesystem::path& file, const removal& what, const std::string& fingerprint,
                   const std::string& about);

/// Reads a removal. Throws `bad_input` if the file is for a model with another `fingerprint`, names a layer, neuron or
/// head that the model does not have, or is broken.
[[nodiscard]] removal read_removal(const std::filesystem::path& file, const architecture& shape,
                                   const std::string& fingerprint);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/removal.ipp>
#endif
