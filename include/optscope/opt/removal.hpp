// SPDX-License-Identifier: MIT
#pragma once
// What is taken out of a model: neurons, heads, directions of the stream, and what stands in their place; as a file.

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

/// Directions of the stream that go into a layer: its numbers along them are right x, and leftᵀ right x is what x has
/// of them, right_i · left_j being 1 for i = j and 0 for others. One that is taken out stands where `bias` does.
struct stream_basis {
  tensor<float, 2> left, right;  ///< (direction, hidden)
  std::vector<float> bias;       ///< (hidden)
};

/// What is taken out of one layer. A part gets the same activation at every position: zero, or a mean; a direction at
/// every one but the first, where BOS stands, whose stream is unlike any other's.
struct layer_removal {
  std::vector<std::size_t> neurons;           ///< ascending
  std::vector<float> neuron_values;           ///< their `mlp_post`; empty: zeros
  std::vector<std::size_t> heads;             ///< ascending
  std::vector<float> head_values;             ///< (head of `heads`, head_dim) their `z`; empty: zeros
  std::vector<std::size_t> directions;        ///< ascending, of `basis`
  std::shared_ptr<const stream_basis> basis;  ///< of `resid_pre`; null where there are no directions

  [[nodiscard]] bool empty() const noexcept { return keeps_weights() && directions.empty(); }
  /// Nothing that is in weights is taken out.
  [[nodiscard]] bool keeps_weights() const noexcept { return neurons.empty() && heads.empty(); }
};

/// What is taken out of a model: inside blocks and of the stream between them, never of the embedding, the unembedding
/// or the logits.
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
