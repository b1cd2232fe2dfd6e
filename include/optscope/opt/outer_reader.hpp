// SPDX-License-Identifier: MIT
#pragma once
// Reads what a model has outside its layers: embeddings, projections, the final LayerNorm, the unembedding.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <vector>

namespace optscope {

/// All of a weight policy but the layers, straight from the files: a base of the shipped policies and of custom ones
/// that are about the layers alone. T is float or double.
///
/// Rows of the embeddings are converted when they are wanted. The unembedding is converted in parts too, until
/// `keep_unembedding` converts it whole and keeps it: vocabulary x embed_dim scalars. Copies share what is kept.
template <class T>
class outer_reader {
 public:
  /// Throws `checkpoint_error` for a tensor that is missing or has another shape.
  outer_reader(const checkpoint& files, const architecture& shape);

  void token_embedding(std::span<const token_id> ids, tensor_view<T, 2> rows) const;
  void position_embedding(std::size_t first, tensor_view<T, 2> rows) const;
  [[nodiscard]] outer_weights<T> outer() const;
  [[nodiscard]] tensor_view<const T, 2> unembedding(std::size_t first, std::size_t count, thread_pool& pool);
  void keep_unembedding(thread_pool& pool);

 private:
  /// Converts rows of the unembedding on all threads.
  void convert(std::size_t first, std::size_t count, T* rows, thread_pool& pool) const;

  stored_tensor tokens_, positions_, unembedding_;
  std::vector<T> project_in_, project_out_, final_gamma_, final_beta_;
  std::vector<T> part_;                         // of the unembedding: what was asked for last
  std::shared_ptr<const std::vector<T>> kept_;  // (vocabulary, embed_dim); null before `keep_unembedding`
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/outer_reader.ipp>
#endif
