// SPDX-License-Identifier: MIT
#pragma once
// What must add up in the residual stream, checked on a run.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/weights.hpp>
#include <vector>

namespace optscope {

/// A probe that checks, in double and at every layer, position and text of a run:
///
///     attention()      resid_pre + attn_out = resid_mid
///     mlp()            resid_mid + mlp_out = resid_post
///     heads()          sum of result over the heads + bias of W_O = attn_out
///     contributions()  embed + pos_embed + every attn_out and mlp_out so far = resid_post
///
/// Where LayerNorm comes after the blocks, as in 350m, it stands between the sums and the stream:
///
///     resid_mid = ((resid_pre + attn_out) - mean) / ln1_scale * gamma + beta
///     resid_post = ((resid_mid + mlp_out) - mean) / ln2_scale * gamma + beta
///
/// and each contribution passes all those that follow it: for the scales of this run, a linear map.
/// Each function returns the worst deviation, relative to the largest element of the right-hand side in that text and
/// layer: about 1e-7 in float and 1e-16 in double, NaN if a value is NaN. An edit in the run breaks what it edits. For
/// OPT's decoder block, on any weights.
///
///     residual_identities<float> check{opt};
///     opt.run(texts, check);
///     if (check.attention() > 1e-5) ...
template <class Scalar = float>
class residual_identities {
 public:
  using sites = site_list<site::embed, site::pos_embed, site::resid_pre, site::result, site::attn_out, site::ln1_scale,
                          site::resid_mid, site::mlp_out, site::ln2_scale, site::resid_post>;

  /// Reads every layer of the model once.
  template <class Model>
  explicit residual_identities(Model& opt) : shape_{opt.shape()} {
    for (std::size_t layer = 0; layer < shape_.layers; ++layer) {
      add_layer(opt.weights().layer(layer, shape_.layers, opt.backend().pool()));
    }
  }

  [[nodiscard]] double attention() const noexcept { return attention_; }
  [[nodiscard]] double mlp() const noexcept { return mlp_; }
  [[nodiscard]] double heads() const noexcept { return heads_; }
  [[nodiscard]] double contributions() const noexcept { return contributions_; }

  void begin(const run_plan& plan);
  void operator()(site::embed, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::pos_embed, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::resid_pre, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::result, const place& at, tensor_view<const Scalar, 3> by_head);
  void operator()(site::attn_out, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::ln1_scale, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::resid_mid, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::mlp_out, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::ln2_scale, const place& at, tensor_view<const Scalar, 2> rows);
  void operator()(site::resid_post, const place& at, tensor_view<const Scalar, 2> rows);

 private:
  struct layer_vectors {
    std::vector<double> bias, gamma1, beta1, gamma2, beta2;  // (hidden)
  };
  struct text_sums {
    std::vector<double> all;     // (position, hidden): the contributions of all layers so far
    std::vector<double> stream;  // (position, hidden): resid_pre or resid_mid, then with what the block adds
    std::vector<double> heads;   // (position, hidden)
    std::vector<double> scale;   // (position)
  };

  void add_layer(const layer_weights<Scalar>& weights);
  void keep(const place& at, tensor_view<const Scalar, 2> rows);
  void keep_scale(const place& at, tensor_view<const Scalar, 2> rows);
  void contribute(const place& at, tensor_view<const Scalar, 2> rows);
  void normalize(const place& at, const std::vector<double>& gamma, const std::vector<double>& beta);

  architecture shape_;
  std::vector<layer_vectors> weights_;  // [layer]
  std::vector<text_sums> texts_;
  double attention_ = 0, mlp_ = 0, heads_ = 0, contributions_ = 0;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/identities.ipp>
#endif
