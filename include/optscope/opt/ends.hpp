// SPDX-License-Identifier: MIT
#pragma once
// The ends of a model: from tokens to the stream, and from the stream to logits.

#include <algorithm>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/checked_plan.hpp>
#include <optscope/opt/run_state.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope::detail {

/// Fills the rows of a chunk: `stream` (position, hidden) with the token embeddings, through project_in where the model
/// has one, and `positions` (position, hidden) with the position embeddings. The caller adds them.
template <class T, class Backend, class Weights>
void embed(const token_batch& texts, const run_plan& plan, const text_chunk& chunk, Backend& backend, Weights& weights,
           tensor_view<T, 2> stream, tensor_view<T, 2> positions) {
  const outer_weights<T> outer = weights.outer();
  const matrix_view<T>& project_in = outer.project_in;
  tensor<T, 2> narrow;
  if (project_in.size() != 0) narrow.resize({chunk.rows, project_in.cols()});
  const tensor_view<T, 2> tokens = project_in.size() != 0 ? narrow.view() : stream;
  std::size_t row = 0;
  for (std::size_t text = chunk.first; text < chunk.last; ++text) {
    const std::size_t length = texts[text].size();
    if (length == 0) continue;
    weights.position_embedding(plan.first_position(text), positions.slice(row, length));
    weights.token_embedding(std::span{texts[text]}, tokens.slice(row, length));
    row += length;
  }
  if (project_in.size() != 0) {
    backend.linear(tensor_view<const T, 2>{tokens}, project_in, static_cast<const T*>(nullptr), stream);
  }
}

/// From the stream after the last layer to logits: the final LayerNorm and project_out, as far as the model has them,
/// and the unembedding.
template <class T, class Backend, class Weights>
class unembedding {
 public:
  unembedding(const architecture& shape, Backend& backend, Weights& weights)
      : shape_{shape}, backend_{backend}, weights_{weights} {}

  /// y = LayerNorm of x, (position, hidden); in place allowed. The model has one.
  void norm(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    const outer_weights<T> outer = weights_.outer();
    backend_.layer_norm(x, outer.final_norm.gamma, outer.final_norm.beta, y);
  }

  /// x (position, hidden) to y: its LayerNorm where the model has one, else a copy. Throws `bad_input` if x is not as
  /// wide as the stream.
  void norm_copy(tensor_view<const T, 2> x, tensor<T, 2>& y) {
    require_stream_width(shape_.hidden, x.cols());
    y.resize({x.rows(), shape_.hidden});
    if (shape_.final_layer_norm) return norm(x, y.view());
    for (std::size_t row = 0; row < x.rows(); ++row) std::ranges::copy(x.row(row), y.row(row).data());
  }

  /// x (position, hidden), after the LayerNorm, to (position, embed_dim): in `narrow`, or x itself.
  [[nodiscard]] tensor_view<const T, 2> project(tensor_view<const T, 2> x, tensor<T, 2>& narrow) {
    const outer_weights<T> outer = weights_.outer();
    const matrix_view<T>& project_out = outer.project_out;
    if (project_out.size() == 0) return x;
    narrow.resize({x.rows(), project_out.rows()});
    backend_.linear(x, project_out, static_cast<const T*>(nullptr), narrow.view());
    return std::as_const(narrow).view();
  }

  /// x (position, hidden), after the LayerNorm, to logits (position, vocabulary).
  void logits(tensor_view<const T, 2> x, tensor_view<T, 2> logits) {
    backend_.linear(project(x, narrow_), matrix_view<T>{weights_.unembedding()}, static_cast<const T*>(nullptr),
                    logits);
  }

  /// rows (text, hidden), which the LayerNorm is applied to first if `normalise`, to the logits of those `texts`.
  void last_logits(tensor_view<T, 2> rows, const std::vector<std::size_t>& texts, bool normalise,
                   tensor<T, 2>& result) {
    tensor<T, 2> found{{texts.size(), shape_.vocabulary}};
    const std::size_t together = backend_.row_invariant() ? std::max<std::size_t>(1, texts.size()) : 1;
    for (std::size_t first = 0; first < texts.size(); first += together) {
      const std::size_t count = std::min(together, texts.size() - first);
      const tensor_view<T, 2> some = rows.slice(first, count);
      if (normalise) norm(some, some);
      logits(some, found.view().slice(first, count));
    }
    for (std::size_t row = 0; row < texts.size(); ++row) {
      std::ranges::copy(found.row(row), result.row(texts[row]).data());
    }
  }

 private:
  const architecture& shape_;
  Backend& backend_;
  Weights& weights_;
  tensor<T, 2> narrow_;
};

}  // namespace optscope::detail
