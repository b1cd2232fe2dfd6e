// SPDX-License-Identifier: MIT
#pragma once
// Similarities of texts layer by layer: the matrices of the similarity study.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <vector>

namespace optscope {

/// What `similarities_by_layer` finds.
struct layer_similarities {
  tensor<float, 3> all;   ///< (layer, vector, vector)
  tensor<float, 3> last;  ///< (layer, text, text): of each text's last vector
  /// [layer]: (text, text), what `similarity_blocks` takes, so that all layers, sites and metrics are tested together.
  std::vector<tensor<double, 2>> of_texts;
};

/// Similarity matrices of one site. `layers` has (vector, width) for each layer, vectors text by text,
/// equally many of each text, as `labels` says. Every layer is computed by one thread of the pool.
[[nodiscard]] layer_similarities similarities_by_layer(const std::vector<tensor_view<const float, 2>>& layers,
                                                       const vector_labels& labels, const similarity_function& measure,
                                                       thread_pool& pool);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/by_layer.ipp>
#endif
