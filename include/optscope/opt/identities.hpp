// SPDX-License-Identifier: MIT
#pragma once
// What must add up in the residual stream, checked on a run.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// A probe that checks, in double and at every layer, position and text of a run:
///
///     attention()      resid_pre + attn_out = resid_mid
///     mlp()            resid_mid + mlp_out = resid_post
///     heads()          sum of result over the heads + bias of W_O = attn_out
///     contributions()  embed + pos_embed + every attn_out and mlp_out so far = resid_post
///
/// Where LayerNorm comes behind the blocks it stands between the sums and the stream:
///
///     resid_mid = ((resid_pre + attn_out) - mean) / ln1_scale * gamma + beta
///     resid_post = ((resid_mid + mlp_out) - mean) / ln2_scale * gamma + beta
///
/// and each contribution passes all those that follow it: for the scales of this run, a linear map.
/// Each function gives the worst deviation relative to the largest element of the right-hand side in that text and
/// layer: about 1e-7 in float and 1e-16 in double, NaN if a value is none. An edit in the run breaks what it edits.
///
///     residual_identities<float> check{opt.files(), opt.shape()};
///     opt.run(texts, check);
///     if (check.attention() > 1e-5) ...
template <class Scalar = float>
class residual_identities {
 public:
  using sites = site_list<site::embed, site::pos_embed, site::resid_pre, site::result, site::attn_out, site::ln1_scale,
                          site::resid_mid, site::mlp_out, site::ln2_scale, site::resid_post>;

  residual_identities(const checkpoint& files, const architecture& shape) : shape_{shape} {
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
      const std::string prefix = "decoder.layers." + std::to_string(layer) + ".";
      const auto read = [&](const std::string& name, bool present, double otherwise) {
        std::vector<double> values(shape.hidden, otherwise);
        if (present) require_shape(files.at(prefix + name), {shape.hidden}).copy_to(values.data());
        return values;
      };
      const bool affine = shape.affine_layer_norm && !shape.pre_layer_norm;
      weights_.push_back({read("self_attn.out_proj.bias", shape.bias, 0),
                          read("self_attn_layer_norm.weight", affine, 1), read("self_attn_layer_norm.bias", affine, 0),
                          read("final_layer_norm.weight", affine, 1), read("final_layer_norm.bias", affine, 0)});
    }
  }

  [[nodiscard]] double attention() const noexcept { return attention_; }
  [[nodiscard]] double mlp() const noexcept { return mlp_; }
  [[nodiscard]] double heads() const noexcept { return heads_; }
  [[nodiscard]] double contributions() const noexcept { return contributions_; }

  void begin(const run_plan& plan) {
    attention_ = mlp_ = heads_ = contributions_ = 0;
    texts_.assign(plan.lengths.size(), {});
    for (std::size_t text = 0; text < texts_.size(); ++text) {
      const std::size_t size = plan.lengths[text] * plan.shape.hidden;
      texts_[text] = {std::vector<double>(size), std::vector<double>(size), std::vector<double>(size),
                      std::vector<double>(plan.lengths[text])};
    }
  }

  void operator()(site::embed, const place& at, tensor_view<const Scalar, 2> rows) { add(rows, texts_[at.text].all); }
  void operator()(site::pos_embed, const place& at, tensor_view<const Scalar, 2> rows) {
    add(rows, texts_[at.text].all);
  }
  void operator()(site::resid_pre, const place& at, tensor_view<const Scalar, 2> rows) { keep(at, rows); }
  void operator()(site::result, const place& at, tensor_view<const Scalar, 3> by_head) {
    std::vector<double>& sum = texts_[at.text].heads;
    for (std::size_t row = 0; row < by_head.extent(0); ++row) {
      const std::span<const Scalar> heads = by_head.row(row);  // (head, hidden)
      for (std::size_t i = 0; i < shape_.hidden; ++i) {
        double total = weights_[at.layer].bias[i];
        for (std::size_t head = 0; head < by_head.extent(1); ++head) total += heads[head * shape_.hidden + i];
        sum[row * shape_.hidden + i] = total;
      }
    }
  }
  void operator()(site::attn_out, const place& at, tensor_view<const Scalar, 2> rows) {
    compare(texts_[at.text].heads, rows, heads_);
    contribute(at, rows);
  }
  void operator()(site::ln1_scale, const place& at, tensor_view<const Scalar, 2> rows) { keep_scale(at, rows); }
  void operator()(site::resid_mid, const place& at, tensor_view<const Scalar, 2> rows) {
    const layer_vectors& w = weights_[at.layer];
    normalize(at, w.gamma1, w.beta1);
    compare(texts_[at.text].stream, rows, attention_);
    keep(at, rows);
  }
  void operator()(site::mlp_out, const place& at, tensor_view<const Scalar, 2> rows) { contribute(at, rows); }
  void operator()(site::ln2_scale, const place& at, tensor_view<const Scalar, 2> rows) { keep_scale(at, rows); }
  void operator()(site::resid_post, const place& at, tensor_view<const Scalar, 2> rows) {
    const layer_vectors& w = weights_[at.layer];
    normalize(at, w.gamma2, w.beta2);
    compare(texts_[at.text].stream, rows, mlp_);
    compare(texts_[at.text].all, rows, contributions_);
  }

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

  static void add(tensor_view<const Scalar, 2> rows, std::vector<double>& sum) {
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      for (std::size_t i = 0; i < rows.cols(); ++i) sum[row * rows.cols() + i] += rows(row, i);
    }
  }
  void keep(const place& at, tensor_view<const Scalar, 2> rows) {
    std::vector<double>& stream = texts_[at.text].stream;
    std::ranges::fill(stream, 0.0);
    add(rows, stream);
  }
  void keep_scale(const place& at, tensor_view<const Scalar, 2> rows) {
    for (std::size_t row = 0; row < rows.rows(); ++row) texts_[at.text].scale[row] = rows(row, 0);
  }
  void contribute(const place& at, tensor_view<const Scalar, 2> rows) {
    add(rows, texts_[at.text].stream);
    add(rows, texts_[at.text].all);
  }

  /// Post-LN: both sums through the LayerNorm, which divides by the scale that was seen.
  void normalize(const place& at, const std::vector<double>& gamma, const std::vector<double>& beta) {
    if (shape_.pre_layer_norm) return;
    text_sums& text = texts_[at.text];
    for (std::vector<double>* sum : {&text.stream, &text.all}) {
      for (std::size_t row = 0; row < text.scale.size(); ++row) {
        double* const x = sum->data() + row * shape_.hidden;
        double mean = 0;
        for (std::size_t i = 0; i < shape_.hidden; ++i) mean += x[i] / static_cast<double>(shape_.hidden);
        for (std::size_t i = 0; i < shape_.hidden; ++i) x[i] = (x[i] - mean) / text.scale[row] * gamma[i] + beta[i];
      }
    }
  }

  /// Raises `worst` to the largest deviation of `sum` from `rows`; NaN stays.
  static void compare(const std::vector<double>& sum, tensor_view<const Scalar, 2> rows, double& worst) {
    double largest = 0, deviation = 0;
    const auto raise = [](double& most, double value) {
      if (value > most || std::isnan(value)) most = value;
    };
    for (std::size_t row = 0; row < rows.rows(); ++row) {
      for (std::size_t i = 0; i < rows.cols(); ++i) {
        const double value = rows(row, i);
        raise(largest, std::abs(value));
        raise(deviation, std::abs(sum[row * rows.cols() + i] - value));
      }
    }
    if (deviation != 0) raise(worst, deviation / largest);
  }

  architecture shape_;
  std::vector<layer_vectors> weights_;  // [layer]
  std::vector<text_sums> texts_;
  double attention_ = 0, mlp_ = 0, heads_ = 0, contributions_ = 0;
};

}  // namespace optscope
