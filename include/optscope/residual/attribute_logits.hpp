// SPDX-License-Identifier: MIT
#pragma once
// Direct logit attribution: every component's share of a logit, or of the difference of two.

#include <concepts>
#include <cstddef>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/residual/components.hpp>
#include <optscope/residual/logit_pairs.hpp>
#include <optscope/residual/stream_rows.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Shares of logits.
struct logit_attribution {
  std::vector<stream_component> components;  ///< those of the stream, then `ln_final_bias`
  tensor<double, 3> shares;                  ///< (pair, component, vector); vectors text by text
  tensor<double, 2> difference;              ///< (pair, vector): what the shares add up to, as the model computes it

  /// The largest deviation of a sum of shares from `difference`, relative to the largest logit of the pair's tokens:
  /// about 1e-6 in float and 1e-15 in double; NaN if a value is NaN.
  [[nodiscard]] double error() const;

  double largest_logit = 0;  ///< of the tokens of the pairs, absolute
};

namespace detail {

/// The directions whose products with a vector of the stream are shares of logits.
template <class T>
class logit_directions {
 public:
  /// Throws `bad_input`, which names `model`, for a token outside the vocabulary.
  logit_directions(const architecture& shape, const outer_weights<T>& outer, const matrix_view<T>& unembedding,
                   std::span<const logit_pair> pairs, const std::string& model);

  [[nodiscard]] std::size_t size() const noexcept { return biases_.size(); }
  /// `shares[pair * stride]` = what a component adds to the logits' difference, before the division by the scale.
  void products(std::span<const T> values, double* shares, std::size_t stride) const;
  /// What LayerNorm divides a vector of the last stream by; 1 where the model has no final LayerNorm.
  [[nodiscard]] double scale(std::span<const T> stream) const;
  [[nodiscard]] double bias(std::size_t pair) const { return biases_[pair]; }
  /// `difference(pair, row)` and the largest logit, from what the unembedding is multiplied with: (row, embed_dim).
  void differences(tensor_view<const T, 2> last, logit_attribution& to) const;

 private:
  bool norm_;
  std::vector<double> directions_;      // (hidden, pair): through the weights of LayerNorm, its mean taken out
  std::vector<double> biases_;          // (pair): of the final LayerNorm
  tensor<double, 2> answer_, instead_;  // (pair, embed_dim); zeros without an `instead`
};

}  // namespace detail

/// Runs the texts and attributes, at these positions, logit(answer) - logit(instead) of each pair to the components of
/// the stream, with the mean and the scale of the final LayerNorm as they are in this run, through its weights,
/// project_out and the unembedding, as far as the model has them: with u the difference of unembeddings,
///
///     share = (component - mean of its elements) · (gamma * u) / scale,     ln_final_bias = beta · u
///
/// Shares of a vector add up to the difference of logits but for rounding, which `error` of the result measures. They
/// say what is added directly, not what a component does by way of later ones. Many pairs cost little more than one, so
/// random ones can be a level of chance.
///
///     const logit_pair pair{.answer = words.token(" Paris"), .instead = words.token(" Rome")};
///     const logit_attribution found = attribute_logits(opt, texts, {{pair}}, positions::last());
///     found.shares(0, component, vector);
///
/// Throws `bad_input` for a post-LN model, whose stream is not a sum, for a token outside the vocabulary, and as
/// `model::run` does.
///
/// `editors` act first: shares are those of the edited run. The texts may be `named_texts`.
template <class Model, std::derived_from<token_batch> Texts = token_batch, class... Editors>
  requires(detail::probe_argument<Editors> && ...)
[[nodiscard]] logit_attribution attribute_logits(Model& opt, const Texts& texts, const std::vector<logit_pair>& pairs,
                                                 positions where = positions::all(),
                                                 std::vector<std::size_t> neurons_of = {}, Editors&&... editors) {
  using T = typename Model::scalar;
  logit_attribution result;
  const std::string folder = opt.files().folder().string();
  const stream_part part{.neurons_of = std::move(neurons_of)};
  std::size_t vectors = 0;
  for (const token_list& text : texts) vectors += where.of(text.size()).size();
  std::optional<detail::logit_directions<T>> directions;
  detail::component_probe<T> probe{
      opt, part, where, [&](std::size_t component, std::size_t vector, std::span<const T> values) {
        directions->products(values, &result.shares.view()(0, component, vector), result.shares.view().stride());
      }};
  directions.emplace(opt.shape(), opt.weights().outer(), opt.weights().unembedding(), pairs, folder);
  result.components = probe.components();
  result.components.push_back({.kind = component_kind::ln_final_bias});
  result.shares.resize({pairs.size(), result.components.size(), vectors});
  stream_rows<T> last{where, opt.layers()};
  if (pairs.empty() || vectors == 0) return result;
  opt.run(texts, editors..., probe, last);

  const tensor<T, 2> stream = last.at(opt.layers());
  for (std::size_t vector = 0; vector < vectors; ++vector) {
    const double scale = directions->scale(stream.row(vector));
    for (std::size_t pair = 0; pair < pairs.size(); ++pair) {
      for (std::size_t c = 0; c + 1 < result.components.size(); ++c) result.shares(pair, c, vector) /= scale;
      result.shares(pair, result.components.size() - 1, vector) = directions->bias(pair);
    }
  }
  directions->differences(opt.last_hidden_state(stream).view(), result);
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/attribute_logits.ipp>
#endif
