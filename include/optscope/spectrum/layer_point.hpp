// SPDX-License-Identifier: MIT
#pragma once
// The point at which a layer is differentiated: its weights and the activations of one text, from a run in double.

#include <concepts>
#include <cstddef>
#include <memory>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/spectrum/norm_jacobian.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// All that the Jacobians of one layer need, in T; activations are computed in double and rounded once.
template <class T>
struct layer_point {
  architecture shape;
  std::size_t layer = 0, tokens = 0;
  layer_values<T> weights;
  norm_jacobian<T> ln1, ln2;
  tensor<T, 2> q, k, v, z;  // (token, hidden), heads side by side; q before its factor
  tensor<T, 3> pattern;     // (head, query, key)
  tensor<T, 2> slope;       // (token, ffn): derivative of the nonlinearity
  std::vector<T> buffer;    // what `weights` refers to
};

namespace detail {

/// Throws `bad_input` unless all are finite. `axis` names a row: "head" or "position".
void require_finite(const std::string& text, std::string_view site, std::string_view axis, const place& at,
                    tensor_view<const double, 2> rows);

/// Throws unless the model has the layers [first, first + count), count > 0, all of one size.
void require_layers(const checkpoint& files, const architecture& shape, std::size_t first, std::size_t count);

}  // namespace detail

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
    // The input of every layer on the way, so that an error names the first layer that is not finite.
    return inside || (std::is_same_v<Site, site::resid_pre> && layer < first_);
  }

  template <class Site>
  void operator()(Site, const place& at, tensor_view<const double, Site::rank> view) {
    const tensor_view<const double, 2> rows{view.data(), {view.rows(), view.cols()}, view.stride()};
    detail::require_finite(text_, Site::name, Site::layout == site_layout::head ? "head" : "position", at, rows);
    if (at.layer < first_) return;
    layer_point<T>& point = *points_[at.layer - first_];
    if constexpr (std::is_same_v<Site, site::resid_pre>) take_input(point, rows, false);
    if constexpr (std::is_same_v<Site, site::resid_mid>) take_input(point, rows, true);
    if constexpr (std::is_same_v<Site, site::attn_out>) take_output(point, rows, false);
    if constexpr (std::is_same_v<Site, site::mlp_out>) take_output(point, rows, true);
    if constexpr (std::is_same_v<Site, site::mlp_pre>) take_slope(point, rows);
    if constexpr (std::is_same_v<Site, site::pattern>) {
      point.pattern = tensor<T, 3>{view.shape()};
      round(rows, point.pattern.data());
    }
    if constexpr (std::is_same_v<Site, site::q>) take_heads(rows, point.q);
    if constexpr (std::is_same_v<Site, site::k>) take_heads(rows, point.k);
    if constexpr (std::is_same_v<Site, site::v>) take_heads(rows, point.v);
    if constexpr (std::is_same_v<Site, site::z>) take_heads(rows, point.z);
  }

 private:
  using rows_view = tensor_view<const double, 2>;
  // `second`: of the MLP, otherwise of attention.
  void take_input(layer_point<T>& point, rows_view rows, bool second);
  void take_output(layer_point<T>& point, rows_view rows, bool second);
  static void take_slope(layer_point<T>& point, rows_view rows);
  static void take_heads(rows_view rows, tensor<T, 2>& to);
  static void round(rows_view rows, T* to);

  std::size_t first_;
  std::vector<std::shared_ptr<layer_point<T>>>& points_;
  std::string text_;
  tensor<double, 2> sum_;  // post-LN: the input of the next LayerNorm
};

/// Runs one text through a model in double and returns the points of `count` layers from `first` on.
///
///     model<any_opt, double> opt{files};
///     const auto points = linearise(opt, tokens, 3, 2);          // layers 3 and 4, to multiply in double
///     const auto at = linearise<float>(opt, tokens, 7, 1)[0];    // layer 7, to multiply in float
///
/// The model may have any backend and any weights. Memory: for each layer its weights and 4 hidden + ffn + heads x
/// tokens scalars per token. Throws `bad_input` for tokens that the model cannot take, for layers that it does not
/// have, and, naming `text` and the layer, for activations that are not finite.
template <class T = double, class Model>
  requires std::same_as<typename Model::scalar, double>
[[nodiscard]] std::vector<std::shared_ptr<const layer_point<T>>> linearise(Model& opt, const token_list& tokens,
                                                                           std::size_t first, std::size_t count = 1,
                                                                           const std::string& text = "text 0") {
  detail::require_layers(opt.files(), opt.shape(), first, count);
  std::vector<std::shared_ptr<layer_point<T>>> points;
  for (std::size_t layer = first; layer < first + count; ++layer) {
    auto point = std::make_shared<layer_point<T>>();
    point->shape = opt.shape();
    point->layer = layer;
    point->weights = copy_layer(opt.weights().layer(layer, first + count, opt.backend().pool()), point->buffer);
    points.push_back(std::move(point));
  }
  point_observer<T> observer{first, points, text};
  opt.run({tokens}, observer);
  return {points.begin(), points.end()};
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/layer_point.ipp>
#endif
