// SPDX-License-Identifier: MIT
#pragma once
// The point at which a layer is differentiated: its weights and the activations of one text, from a run in double.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/spectrum/norm_jacobian.hpp>
#include <optscope/spectrum/slope.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// All that the Jacobians of one layer need, in T; activations are computed in double and rounded once.
template <class T>
struct layer_point {
  architecture shape;
  std::size_t layer = 0, tokens = 0;
  layer_weights<T> weights;
  norm_jacobian<T> ln1, ln2;
  tensor<T, 2> q, k, v, z;  // (token, hidden), heads side by side; q before its factor
  tensor<T, 3> pattern;     // (head, query, key)
  tensor<T, 2> slope;       // (token, ffn): derivative of the nonlinearity
  std::vector<T> buffer;    // what `weights` refers to
};

/// An observer of a run in double over one text that fills the points of the layers [first, first + points.size()).
template <class T>
class point_observer {
 public:
  using sites = site_list<site::resid_pre, site::q, site::k, site::v, site::pattern, site::z, site::attn_out,
                          site::resid_mid, site::mlp_pre, site::mlp_out>;

  point_observer(std::size_t first, std::vector<std::shared_ptr<layer_point<T>>>& points, std::string text)
      : first_{first}, points_{points}, text_{std::move(text)} {}

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    const bool inside = layer >= first_ && layer < first_ + points_.size();
    // The input of every layer on the way: so that an error names the first one that is not finite.
    return inside || (std::is_same_v<Site, site::resid_pre> && layer < first_);
  }

  template <class Site>
  void operator()(Site, const place& at, tensor_view<const double, Site::rank> view) {
    require_finite<Site>(at, view);
    if (at.layer < first_) return;
    layer_point<T>& point = *points_[at.layer - first_];
    if constexpr (std::is_same_v<Site, site::resid_pre> || std::is_same_v<Site, site::resid_mid>) {
      const bool second = std::is_same_v<Site, site::resid_mid>;
      point.tokens = view.rows();
      if (point.shape.pre_layer_norm) {
        norm(point, second) = {view, weights(point, second).gamma};
      } else {
        sum_ = tensor<double, 2>{view.shape()};
        for (std::size_t t = 0; t < view.rows(); ++t) std::ranges::copy(view.row(t), sum_.row(t).data());
      }
    } else if constexpr (std::is_same_v<Site, site::attn_out> || std::is_same_v<Site, site::mlp_out>) {
      const bool second = std::is_same_v<Site, site::mlp_out>;
      if (point.shape.pre_layer_norm) return;
      for (std::size_t t = 0; t < view.rows(); ++t) kernel::add(view.row(t).data(), view.cols(), sum_.row(t).data());
      norm(point, second) = {sum_.view(), weights(point, second).gamma};
    } else if constexpr (std::is_same_v<Site, site::pattern>) {
      point.pattern = tensor<T, 3>{view.shape()};
      round(view, point.pattern.data());
    } else if constexpr (std::is_same_v<Site, site::mlp_pre>) {
      point.slope = tensor<T, 2>{view.shape()};
      for (std::size_t t = 0; t < view.rows(); ++t) {
        std::ranges::transform(view.row(t), point.slope.row(t).data(),
                               [&](double x) { return static_cast<T>(slope_of(point.shape.nonlinearity, x)); });
      }
    } else {  // (token, head, head_dim)
      tensor<T, 2>& target = of(Site{}, point);
      target = tensor<T, 2>{{view.rows(), view.cols()}};
      round(view, target.data());
    }
  }

 private:
  static tensor<T, 2>& of(site::q, layer_point<T>& point) { return point.q; }
  static tensor<T, 2>& of(site::k, layer_point<T>& point) { return point.k; }
  static tensor<T, 2>& of(site::v, layer_point<T>& point) { return point.v; }
  static tensor<T, 2>& of(site::z, layer_point<T>& point) { return point.z; }
  static norm_jacobian<T>& norm(layer_point<T>& point, bool second) { return second ? point.ln2 : point.ln1; }
  static const norm_weights<T>& weights(const layer_point<T>& point, bool second) {
    return second ? point.weights.ln2 : point.weights.ln1;
  }

  template <std::size_t Rank>
  static void round(tensor_view<const double, Rank> view, T* target) {
    for (std::size_t row = 0; row < view.rows(); ++row) {
      target = std::ranges::transform(view.row(row), target, [](double x) { return static_cast<T>(x); }).out;
    }
  }

  template <class Site>
  void require_finite(const place& at, tensor_view<const double, Site::rank> view) const {
    for (std::size_t row = 0; row < view.rows(); ++row) {
      for (const double value : view.row(row)) {
        if (std::isfinite(value)) continue;
        const std::string axis = Site::layout == site_layout::head ? " of head " : " at position ";
        throw bad_input{
            "", text_ + ", layer " + std::to_string(at.layer), "finite activations",
            (std::isnan(value) ? "NaN in " : "infinity in ") + std::string{Site::name} + axis + std::to_string(row)};
      }
    }
  }

  std::size_t first_;
  std::vector<std::shared_ptr<layer_point<T>>>& points_;
  std::string text_;
  tensor<double, 2> sum_;  // post-LN: the input of the next LayerNorm
};

/// Runs one text through a model in double and gives the points of `count` layers from `first` on.
///
///     model<any_opt, double> opt{files};
///     const auto points = linearise(opt, tokens, 3, 2);          // layers 3 and 4, to multiply in double
///     const auto at = linearise<float>(opt, tokens, 7, 1)[0];    // layer 7, to multiply in float
///
/// Memory: for each layer its weights and 4 hidden + ffn + heads x tokens scalars a token. Throws `bad_input` for
/// tokens that the model cannot take, for layers that it does not have, and, naming `text` and the layer, for
/// activations that are not finite.
template <class T = double, class Model>
  requires std::same_as<typename Model::scalar, double>
[[nodiscard]] std::vector<std::shared_ptr<const layer_point<T>>> linearise(Model& opt, const token_list& tokens,
                                                                           std::size_t first, std::size_t count = 1,
                                                                           const std::string& text = "text 0") {
  if (first + count > opt.layers() || count == 0) {
    throw bad_input{"", "layers " + std::to_string(first) + " to " + std::to_string(first + count),
                    "layers of " + std::to_string(opt.layers()), "others"};
  }
  require_even_layers(opt.files(), "for Jacobians");
  std::vector<std::shared_ptr<layer_point<T>>> points;
  for (std::size_t layer = first; layer < first + count; ++layer) {
    auto point = std::make_shared<layer_point<T>>();
    point->shape = opt.shape();
    point->layer = layer;
    point->weights = copy_layer(opt.weights().layer(layer, first + count, opt.backend().pool()), point->buffer);
    points.push_back(std::move(point));
  }
  opt.run({tokens}, point_observer<T>{first, points, text});
  return {points.begin(), points.end()};
}

}  // namespace optscope
