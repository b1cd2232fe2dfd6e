// SPDX-License-Identifier: MIT
#pragma once
// Gradients of any function of the logits at every neuron and head, in closed form, by one backward pass.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optscope/backend/backend.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/unit_gates.hpp>
#include <optscope/units/units.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// What the backward pass needs of a run besides the logits.
template <class T>
using run_record = basic_capture<T, site::resid_pre, site::q, site::k, site::v, site::pattern, site::z, site::attn_out,
                                 site::resid_mid, site::mlp_post, site::mlp_out, site::resid_post>;

/// A probe that keeps the logits of all texts in memory that may be changed, unlike a capture's.
template <class T>
class logit_rows {
 public:
  using sites = site_list<site::logits>;

  void begin(const run_plan& plan) {
    first_.assign(1, 0);
    for (const std::size_t length : plan.lengths) first_.push_back(first_.back() + length);
    rows_.resize({first_.back(), plan.shape.vocabulary});
  }
  void operator()(site::logits, const place& at, tensor_view<const T, 2> x) {
    for (std::size_t i = 0; i < x.rows(); ++i) {
      std::ranges::copy(x.row(i), rows_.row(first_[at.text] + at.first_position + i).begin());
    }
  }

  [[nodiscard]] const tensor<T, 2>& all() const noexcept { return rows_; }  ///< (row, vocabulary), text by text
  /// (position, vocabulary)
  [[nodiscard]] tensor_view<T, 2> of(std::size_t text) {
    return rows_.view().slice(first_[text], first_[text + 1] - first_[text]);
  }
  /// [text]: its first row; then how many rows there are.
  [[nodiscard]] const std::vector<std::size_t>& first_row() const noexcept { return first_; }

 private:
  std::vector<std::size_t> first_;
  tensor<T, 2> rows_;
};

}  // namespace detail

/// Runs texts and goes back from their logits, layer by layer from the last to the first. `Model` has ReLU, and a
/// backend with `linear_backward`. Memory: the activations of all texts that are given at once.
///
///     gradient_pass gradients{opt};
///     unit_gates<float> open{opt.shape()};
///     gradients(
///         {text}, open, [](std::size_t text, tensor_view<float, 2> logits) { ... },  // logits to their gradients
///         [](unit_kind kind, std::size_t layer, tensor_view<const float, 2> activations,
///            tensor_view<const float, 2> gradients) { ... });
template <class Model>
class gradient_pass {
  static_assert(gradient_backend_for<typename Model::backend_type, typename Model::scalar>,
                "gradients need a backend that satisfies gradient_backend_for<Backend, Scalar>: backend/backend.hpp "
                "lists its members");

 public:
  using T = typename Model::scalar;
  using view = tensor_view<const T, 2>;

  /// Throws `bad_input` if the model's nonlinearity is not ReLU, `checkpoint_error` if its layers differ in size.
  explicit gradient_pass(Model& opt) : opt_{opt} {
    if (opt.shape().nonlinearity != activation::relu) {
      throw bad_input{opt.files().folder().string(), "activation_function", "relu, for gradients in closed form",
                      opt.files().configuration().activation_function};
    }
    require_even_layers(opt.files(), "for gradients");
  }

  /// Runs `texts` through `gates`. `turn(text, logits)` then replaces a text's logits (position, vocabulary) by their
  /// gradient; several threads call it. `see(unit_kind, layer, a, g)` is called for the neurons and for the heads of
  /// each layer: a is their activations in front of the gates, g the gradient after them, both (row, ffn) for neurons
  /// and (row, hidden) for heads, the rows of all texts one after the other.
  template <class Turn, class See>
  void operator()(const token_batch& texts, unit_gates<T>& gates, Turn turn, See see) {
    opt_.run(texts, run_, gates, logits_);
    opt_.backend().pool().parallel_for(texts.size(), [&](std::size_t t, std::size_t) { turn(t, logits_.of(t)); });
    tensor<T, 2> stream = after_last_layer();  // (row, hidden): the gradient at the stream, from here on down
    for (std::size_t layers_left = opt_.shape().layers; layers_left > 0; --layers_left) {
      const std::size_t layer = layers_left - 1;
      const layer_weights<T> weights = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
      stream = through_mlp(std::move(stream), layer, weights, gates.layers[layer].neurons, see);
      stream = through_attention(std::move(stream), layer, weights, gates.layers[layer].heads, see);
    }
  }

 private:
  /// The gradient at `resid_mid` from that at `resid_post`: (row, hidden).
  template <class See>
  tensor<T, 2> through_mlp(tensor<T, 2> stream, std::size_t layer, const layer_weights<T>& weights,
                           const std::vector<T>& factors, See& see) {
    const bool pre_norm = opt_.shape().pre_layer_norm;
    const view middle = run_(site::resid_mid{}, layer), active = run_(site::mlp_post{}, layer);
    if (!pre_norm) stream = norm_backward(stream, sum(middle, run_(site::mlp_out{}, layer)), weights.ln2);
    tensor<T, 2> neurons = times(stream, weights.fc2.weight);  // (row, ffn)
    see(unit_kind::neuron, layer, active, view{neurons.view()});
    through_relu(active, factors, neurons);
    const tensor<T, 2> inner = times(neurons, weights.fc1.weight);  // (row, hidden)
    return sum(stream, pre_norm ? norm_backward(inner, middle, weights.ln2) : inner);
  }

  /// The gradient at `resid_pre` from that at `resid_mid`; of the first layer nobody needs it.
  template <class See>
  tensor<T, 2> through_attention(tensor<T, 2> stream, std::size_t layer, const layer_weights<T>& weights,
                                 const std::vector<T>& factors, See& see) {
    const bool pre_norm = opt_.shape().pre_layer_norm;
    const view before = run_(site::resid_pre{}, layer);
    if (!pre_norm) stream = norm_backward(stream, sum(before, run_(site::attn_out{}, layer)), weights.ln1);
    tensor<T, 2> z = times(stream, weights.out.weight);  // (row, hidden)
    see(unit_kind::head, layer, matrix_of(run_(site::z{}, layer)), view{z.view()});
    if (layer == 0) return stream;
    for (std::size_t i = 0; i < z.rows(); ++i) {
      for (std::size_t d = 0; d < z.extent(1); ++d) z(i, d) *= factors[d / opt_.shape().head_dim()];
    }
    const tensor<T, 2> inner = times(attention_backward(layer, z), weights.qkv.weight);
    return sum(stream, pre_norm ? norm_backward(inner, before, weights.ln1) : inner);
  }

  /// From the gradient of the logits to that of the stream after the last layer: (row, hidden).
  tensor<T, 2> after_last_layer() {
    const architecture& shape = opt_.shape();
    thread_pool& pool = opt_.backend().pool();
    opt_.weights().keep_unembedding(pool);
    const view unembedding = opt_.weights().unembedding(0, shape.vocabulary, pool);
    tensor<T, 2> stream = times(logits_.all(), unembedding);  // (row, embed_dim)
    const outer_weights<T> outer = opt_.weights().outer();
    if (outer.project_out.size() != 0) stream = times(stream, outer.project_out);
    if (!shape.final_layer_norm) return stream;
    return norm_backward(stream, run_(site::resid_post{}, shape.layers - 1), outer.final_norm);
  }

  static tensor<T, 2> sum(view a, view b) {
    tensor<T, 2> result{{a.rows(), a.cols()}};
    std::transform(a.data(), a.data() + a.size(), b.data(), result.data(), std::plus<>{});
    return result;
  }
  /// (row, head, head_dim) as (row, hidden).
  static view matrix_of(tensor_view<const T, 3> x) { return x.template reshape<2>({x.rows(), x.cols()}); }

  /// x (m, out) w (out, in) to (m, in).
  tensor<T, 2> times(view x, view w) {
    tensor<T, 2> y{{x.rows(), w.cols()}};
    opt_.backend().linear_backward(x, w, y.view());
    return y;
  }

  /// In place: the gradient after the gates to that in front of the ReLU, (row, ffn).
  void through_relu(view active, const std::vector<T>& factors, tensor<T, 2>& gradient) {
    opt_.backend().pool().parallel_for(gradient.rows(), [&](std::size_t i, std::size_t) {
      T* const row = gradient.row(i).data();
      const T *const a = active.row(i).data(), *const factor = factors.data();
      simd::run([&, count = gradient.extent(1) ]() __attribute__((always_inline)) {
        for (std::size_t n = 0; n < count; ++n) row[n] = a[n] > 0 ? row[n] * factor[n] : T{0};
      });
    });
  }

  /// dy (row, hidden) through y = gamma (x - mean) / sd + beta.
  tensor<T, 2> norm_backward(view dy, view x, const norm_weights<T>& weights) {
    tensor<T, 2> dx{{dy.rows(), dy.cols()}};
    const T part = T{1} / static_cast<T>(x.cols());
    opt_.backend().pool().parallel_for(x.rows(), [&](std::size_t row, std::size_t) {
      T mean = 0, square = 0, of_g = 0, of_gx = 0;
      for (const T value : x.row(row)) mean += value * part;
      for (const T value : x.row(row)) square += (value - mean) * (value - mean) * part;
      const T scale = T{1} / std::sqrt(square + static_cast<T>(1e-5));
      const auto g = [&](std::size_t i) { return dy(row, i) * (weights.gamma == nullptr ? T{1} : weights.gamma[i]); };
      const auto normal = [&](std::size_t i) { return (x(row, i) - mean) * scale; };
      for (std::size_t i = 0; i < x.cols(); ++i) {
        of_g += g(i) * part;
        of_gx += g(i) * normal(i) * part;
      }
      for (std::size_t i = 0; i < x.cols(); ++i) dx(row, i) = scale * (g(i) - of_g - normal(i) * of_gx);
    });
    return dx;
  }

  /// dz (row, hidden) to the gradients of q, k, v side by side: (row, 3 hidden).
  tensor<T, 2> attention_backward(std::size_t layer, const tensor<T, 2>& dz) {
    const std::size_t hidden = dz.extent(1), width = opt_.shape().head_dim(), heads = opt_.shape().heads;
    const std::vector<std::size_t>& first_row = logits_.first_row();
    const view q = matrix_of(run_(site::q{}, layer)), k = matrix_of(run_(site::k{}, layer)),
               v = matrix_of(run_(site::v{}, layer));
    const T scale = T{1} / std::sqrt(static_cast<T>(width));
    tensor<T, 2> result{{dz.rows(), 3 * hidden}};
    opt_.backend().pool().parallel_for((first_row.size() - 1) * heads, [&](std::size_t task, std::size_t) {
      const std::size_t text = task / heads, head = task % heads, begin = first_row[text];
      const std::size_t positions = first_row[text + 1] - begin, first = head * width;
      if (positions == 0) return;
      const T* const pattern = run_(site::pattern{}, layer, text).row(head).data();  // (position, key)
      std::vector<T> dp(positions), v_turned(width * positions);                     // (key), (head_dim, key)
      const auto part = [&](view x, std::size_t i) { return x.data() + (begin + i) * hidden + first; };
      const auto out = [&](std::size_t which, std::size_t i) {
        return result.data() + (begin + i) * 3 * hidden + which * hidden + first;
      };
      for (std::size_t j = 0; j < positions; ++j) {
        for (std::size_t d = 0; d < width; ++d) v_turned[d * positions + j] = part(v, j)[d];
      }
      simd::run([&]() __attribute__((always_inline)) {
        for (std::size_t i = 0; i < positions; ++i) {
          const T* p = pattern + i * positions;
          T mean = 0;
          std::fill(dp.begin(), dp.end(), T{0});
          for (std::size_t d = 0; d < width; ++d) {
            const T each = part(dz, i)[d];
            for (std::size_t j = 0; j <= i; ++j) dp[j] += each * v_turned[d * positions + j];
          }
          for (std::size_t j = 0; j <= i; ++j) {
            for (std::size_t d = 0; d < width; ++d) out(2, j)[d] += p[j] * part(dz, i)[d];
            mean += p[j] * dp[j];
          }
          for (std::size_t j = 0; j <= i; ++j) {
            const T ds = p[j] * (dp[j] - mean) * scale;
            for (std::size_t d = 0; d < width; ++d) {
              out(0, i)[d] += ds * part(k, j)[d];
              out(1, j)[d] += ds * part(q, i)[d];
            }
          }
        }
      });
    });
    return result;
  }

  Model& opt_;
  detail::run_record<T> run_;
  detail::logit_rows<T> logits_;
};

}  // namespace optscope
