// SPDX-License-Identifier: MIT
#pragma once
// The ends of a model: from tokens to the stream, and from the stream to logits.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/checked_plan.hpp>
#include <optscope/opt/run_state.hpp>
#include <span>
#include <vector>

namespace optscope::detail {

/// Fills the rows of a chunk: `stream` (position, hidden) with the token embeddings, through project_in where the model
/// has one, and `positions` (position, hidden) with the position embeddings. The caller adds them.
template <class T, class Backend, class Weights>
void embed(const token_batch& texts, const run_plan& plan, const text_chunk& chunk, Backend& backend, Weights& weights,
           tensor_view<T, 2, typename Backend::space> stream, tensor_view<T, 2, typename Backend::space> positions) {
  using space = typename Backend::space;
  const auto project_in = weights.outer(backend).project_in;
  tensor_in<T, 2, space> narrow;
  if (project_in.size() != 0) narrow.resize(backend, {chunk.rows, project_in.cols()});
  const tensor_view<T, 2, space> tokens = project_in.size() != 0 ? narrow.view() : stream;
  const auto for_texts = [&](auto&& body) {
    std::size_t row = 0;
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      const std::size_t length = texts[text].size();
      if (length != 0) body(text, row, length);
      row += length;
    }
  };
  backend.write(positions, [&](tensor_view<T, 2> rows) {
    for_texts([&](std::size_t text, std::size_t row, std::size_t length) {
      weights.policy().position_embedding(plan.first_position(text), rows.slice(row, length));
    });
  });
  backend.write(tokens, [&](tensor_view<T, 2> rows) {
    for_texts([&](std::size_t text, std::size_t row, std::size_t length) {
      weights.policy().token_embedding(std::span{texts[text]}, rows.slice(row, length));
    });
  });
  if (project_in.size() != 0) {
    backend.linear(tensor_view<const T, 2, space>{tokens}, project_in, pointer_to<const T, space>{}, stream);
  }
}

/// From the stream after the last layer to logits: the final LayerNorm and project_out, as far as the model has them,
/// and the unembedding. `Weights` are `backend_weights`; all views are of the backend's memory.
template <class T, class Backend, class Weights>
class unembedding {
 public:
  using space = typename Backend::space;
  using in = tensor_view<const T, 2, space>;
  using out = tensor_view<T, 2, space>;

  unembedding(const architecture& shape, Backend& backend, Weights& weights)
      : shape_{shape}, backend_{backend}, weights_{weights} {}

  /// y = LayerNorm of x, (position, hidden); in place allowed. The model has one.
  void norm(in x, out y) {
    const auto outer = weights_.outer(backend_);
    backend_.layer_norm(x, outer.final_norm.gamma, outer.final_norm.beta, y);
  }

  /// rows (position, hidden), in the host's memory, to their LayerNorm where the model has one, else a copy. Throws
  /// `bad_input` if they are not as wide as the stream.
  [[nodiscard]] in norm_copy(tensor_view<const T, 2> rows) {
    require_stream_width(shape_.hidden, rows.cols());
    const in x = lend_to(backend_, rows, lent_);
    normed_.resize(backend_, {x.rows(), shape_.hidden});
    if (shape_.final_layer_norm) {
      norm(x, normed_.view());
    } else {
      backend_.copy(x, normed_.view());
    }
    return normed_.view();
  }

  /// x (position, hidden), after the LayerNorm, to (position, embed_dim): x itself without a project_out.
  [[nodiscard]] in project(in x) {
    const auto project_out = weights_.outer(backend_).project_out;
    if (project_out.size() == 0) return x;
    narrow_.resize(backend_, {x.rows(), project_out.rows()});
    backend_.linear(x, project_out, pointer_to<const T, space>{}, narrow_.view());
    return narrow_.view();
  }

  /// x (position, hidden), after the LayerNorm, to logits (position, vocabulary).
  void logits(in x, out logits) {
    backend_.linear(project(x), matrix_view<T, space>{weights_.unembedding(backend_)}, pointer_to<const T, space>{},
                    logits);
  }

  /// rows (text, hidden), which the LayerNorm is applied to first if `normalise`, to the logits of those `texts`.
  void last_logits(out rows, const std::vector<std::size_t>& texts, bool normalise, tensor<T, 2>& result) {
    tensor_in<T, 2, space> found{backend_, {texts.size(), shape_.vocabulary}};
    const std::size_t together = backend_.row_invariant() ? std::max<std::size_t>(1, texts.size()) : 1;
    for (std::size_t first = 0; first < texts.size(); first += together) {
      const std::size_t count = std::min(together, texts.size() - first);
      const out some = rows.slice(first, count);
      if (normalise) norm(some, some);
      logits(some, found.view().slice(first, count));
    }
    const row_range all{0, texts.size()};
    backend_.read(in{found.view()}, std::span{&all, 1}, [&](tensor_view<const T, 2> lent) {
      for (std::size_t row = 0; row < texts.size(); ++row) {
        std::ranges::copy(lent.row(row), result.row(texts[row]).data());
      }
    });
  }

 private:
  const architecture& shape_;
  Backend& backend_;
  Weights& weights_;
  tensor_in<T, 2, space> lent_, normed_, narrow_;
};

}  // namespace optscope::detail
