// SPDX-License-Identifier: MIT
#pragma once
// Similarities of texts layer by layer: the matrices of the similarity study.

#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/similarity.hpp>
#include <vector>

namespace optscope {

/// A metric without its type: the similarity matrix (vector, vector) of vectors (vector, width). Called on several
/// threads at once.
using similarity_function = std::function<tensor<float, 2>(tensor_view<const float, 2> vectors)>;

/// `similarity` under a metric that needs no arguments.
template <metric Metric>
[[nodiscard]] similarity_function similarity_under() {
  return [](tensor_view<const float, 2> vectors) { return similarity<Metric>(vectors); };
}

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
