// SPDX-License-Identifier: MIT
#pragma once
// Bodies of by_layer.hpp.

#include <algorithm>
#include <cassert>
#include <optscope/similarity/by_layer.hpp>

namespace optscope {

OPTSCOPE_INLINE layer_similarities similarities_by_layer(const std::vector<tensor_view<const float, 2>>& layers,
                                                         const vector_labels& labels,
                                                         const similarity_function& measure, thread_pool& pool) {
  const std::size_t vectors = labels.text.size(), texts = labels.category.size(), each = vectors / texts;
  assert(each * texts == vectors && "every text has the same number of vectors");
  layer_similarities result{.all = tensor<float, 3>{{layers.size(), vectors, vectors}},
                            .last = tensor<float, 3>{{layers.size(), texts, texts}},
                            .of_texts = std::vector<tensor<double, 2>>(layers.size())};
  pool.parallel_for(layers.size(), [&](std::size_t layer, std::size_t) {
    const tensor<float, 2> matrix = measure(layers[layer]);
    std::copy_n(matrix.data(), matrix.size(), result.all.row(layer).data());
    for (std::size_t i = 0; i < texts; ++i) {
      for (std::size_t j = 0; j < texts; ++j) {
        result.last(layer, i, j) = matrix((i + 1) * each - 1, (j + 1) * each - 1);
      }
    }
    result.of_texts[layer] = similarity_of_texts(matrix, labels);
  });
  return result;
}

}  // namespace optscope
