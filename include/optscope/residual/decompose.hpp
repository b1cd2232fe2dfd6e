// SPDX-License-Identifier: MIT
#pragma once
// A vector of the stream as the sum of its components.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/residual/components.hpp>
#include <optscope/residual/stream_rows.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Vectors of the stream and what they are the sum of.
template <class T>
struct stream_decomposition {
  std::vector<stream_component> components;
  tensor<T, 3> parts;   ///< (component, vector, hidden); vectors text by text
  tensor<T, 2> stream;  ///< (vector, hidden), as the run has it

  /// The largest deviation of a sum of components from the stream, relative to the largest element of the stream: about
  /// 1e-7 in float and 1e-16 in double; NaN if a value is NaN.
  [[nodiscard]] double error() const;
};

/// Runs the texts and takes the stream apart at these positions: embedding, heads, biases and MLPs, or neurons (Elhage
/// et al. 2021). Exact: the parts add up to the stream but for rounding, which `error` of the result measures.
///
///     const auto found = decompose(opt, texts, positions::last(), {.layers = 6});
///     for (std::size_t i = 0; i < found.components.size(); ++i)
///       std::cout << name_of(found.components[i]) << ' ' << norm(found.parts.view().row(i)) << '\n';
///
/// Memory: components x vectors x hidden, for which a split MLP counts as its neurons. Throws `bad_input` for a post-LN
/// model, whose stream is not a sum, for a layer that there is not, and as `model::run` does.
///
/// `editors` act first; where they change components, such as `z` or `mlp_out`, the sum stays exact. The texts may be
/// `named_texts`.
template <class Model, std::derived_from<token_batch> Texts = token_batch, class... Editors>
  requires(detail::probe_argument<Editors> && ...)
[[nodiscard]] stream_decomposition<typename Model::scalar> decompose(Model& opt, const Texts& texts,
                                                                     positions where = positions::all(),
                                                                     const stream_part& part = {},
                                                                     Editors&&... editors) {
  using T = typename Model::scalar;
  stream_decomposition<T> result;
  const std::size_t hidden = opt.shape().hidden;
  detail::component_probe<T> probe{opt, part, where,
                                   [&](std::size_t component, std::size_t vector, std::span<const T> values) {
                                     const tensor_view<T, 3> parts = result.parts.view();
                                     std::copy(values.begin(), values.end(), &parts(component, vector, 0));
                                   }};
  std::size_t vectors = 0;
  for (const token_list& text : texts) vectors += where.of(text.size()).size();
  result.components = probe.components();
  result.parts.resize({result.components.size(), vectors, hidden});
  stream_rows<T> stream{where, part.layers.value_or(opt.layers())};
  opt.run(texts, editors..., probe, stream);
  result.stream = stream.at(part.layers.value_or(opt.layers()));
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/decompose.ipp>
#endif
