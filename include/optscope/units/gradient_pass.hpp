// SPDX-License-Identifier: MIT
#pragma once
// Gradients of any function of the logits at every neuron and head, in closed form, by one pass backward.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// An editor: a unit of activation a goes on with f a + (1 - f) v. Factors of heads are of all elements of their z.
template <class T>
struct unit_gates {
  using sites = site_list<site::z, site::mlp_post>;
  struct layer_gates {
    std::vector<T> neurons, neuron_values;  ///< f (ffn), v (ffn)
    std::vector<T> heads, head_values;      ///< f (heads), v (hidden)
  };
  std::vector<layer_gates> layers;

  /// Lets everything through.
  explicit unit_gates(const architecture& shape)
      : layers(shape.layers, {std::vector<T>(shape.ffn, 1), std::vector<T>(shape.ffn), std::vector<T>(shape.heads, 1),
                              std::vector<T>(shape.hidden)}) {}

  void operator()(site::mlp_post, const place& at, tensor_view<T, 2> x) const {
    const layer_gates& gate = layers[at.layer];
    for (std::size_t i = 0; i < x.rows(); ++i) {
      T* const row = x.row(i).data();
      for (std::size_t n = 0; n < x.cols(); ++n) {
        row[n] = gate.neurons[n] * row[n] + (T{1} - gate.neurons[n]) * gate.neuron_values[n];
      }
    }
  }
  void operator()(site::z, const place& at, tensor_view<T, 3> x) const {
    const layer_gates& gate = layers[at.layer];
    const std::size_t width = x.extent(2);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      T* const row = x.row(i).data();
      for (std::size_t d = 0; d < x.cols(); ++d) {
        const T factor = gate.heads[d / width];
        row[d] = factor * row[d] + (T{1} - factor) * gate.head_values[d];
      }
    }
  }
};

namespace detail {

/// What the pass backward needs of a run: rows of all texts, one text behind the other.
template <class T>
struct run_record {
  using sites = site_list<site::resid_pre, site::q, site::k, site::v, site::pattern, site::z, site::attn_out,
                          site::resid_mid, site::mlp_post, site::mlp_out, site::resid_post, site::logits>;
  struct layer_record {
    tensor<T, 2> before, q, k, v, z, attn_out, middle, neurons, mlp_out, after;  // (row, …)
    std::vector<tensor<T, 3>> pattern;                                           // [text] (head, position, key)
  };
  std::vector<layer_record> layers;
  tensor<T, 2> logits;             // (row, vocabulary)
  std::vector<std::size_t> first;  // [text]: its first row; then how many rows there are

  explicit run_record(std::size_t count) : layers(count) {}

  void expect(const token_batch& texts) {
    for (layer_record& layer : layers) layer.pattern.resize(texts.size());
    first.assign(1, 0);
    for (const token_list& text : texts) first.push_back(first.back() + text.size());
  }

  template <class View>
  void keep(const place& at, const View& view, tensor<T, 2>& in) const {
    if (at.text == 0 && at.first_position == 0) in.resize({first.back(), view.cols()});
    for (std::size_t i = 0; i < view.rows(); ++i) {
      std::ranges::copy(view.row(i), in.row(first[at.text] + at.first_position + i).data());
    }
  }
  void operator()(site::resid_pre, const place& at, tensor_view<const T, 2> x) { keep(at, x, layers[at.layer].before); }
  void operator()(site::q, const place& at, tensor_view<const T, 3> x) { keep(at, x, layers[at.layer].q); }
  void operator()(site::k, const place& at, tensor_view<const T, 3> x) { keep(at, x, layers[at.layer].k); }
  void operator()(site::v, const place& at, tensor_view<const T, 3> x) { keep(at, x, layers[at.layer].v); }
  void operator()(site::z, const place& at, tensor_view<const T, 3> x) { keep(at, x, layers[at.layer].z); }
  void operator()(site::pattern, const place& at, tensor_view<const T, 3> x) {
    tensor<T, 3>& copy = layers[at.layer].pattern[at.text];
    copy.resize(x.shape());
    for (std::size_t head = 0; head < x.rows(); ++head) std::ranges::copy(x.row(head), copy.row(head).data());
  }
  void operator()(site::attn_out, const place& at, tensor_view<const T, 2> x) {
    keep(at, x, layers[at.layer].attn_out);
  }
  void operator()(site::resid_mid, const place& at, tensor_view<const T, 2> x) { keep(at, x, layers[at.layer].middle); }
  void operator()(site::mlp_post, const place& at, tensor_view<const T, 2> x) { keep(at, x, layers[at.layer].neurons); }
  void operator()(site::mlp_out, const place& at, tensor_view<const T, 2> x) { keep(at, x, layers[at.layer].mlp_out); }
  void operator()(site::resid_post, const place& at, tensor_view<const T, 2> x) { keep(at, x, layers[at.layer].after); }
  void operator()(site::logits, const place& at, tensor_view<const T, 2> x) { keep(at, x, logits); }
};

}  // namespace detail

/// Runs texts and goes back from their logits, layer by layer from the last to the first. For models with ReLU, on a
/// backend with `linear_backward`. Memory: the activations of all texts given at once.
template <class Model>
class gradient_pass {
 public:
  using T = typename Model::scalar;
  using view = tensor_view<const T, 2>;

  /// Throws `bad_input` if the model has another nonlinearity, `checkpoint_error` if its layers are of several sizes.
  explicit gradient_pass(Model& opt) : opt_{opt}, run_{opt.layers()} {
    if (opt.shape().nonlinearity != activation::relu) {
      throw bad_input{opt.files().folder().string(), "activation_function", "relu, for gradients in closed form",
                      "another"};
    }
    require_even_layers(opt.files(), "for gradients");
  }

  /// `turn(text, logits)` makes of a text's logits (position, vocabulary) their gradient, in place; called by several
  /// threads. Then `see(unit_kind, layer, a, g)` is called for the neurons and the heads of each layer: their
  /// activations before the gates and the gradient behind these, (row, ffn) or (row, hidden), all texts in one.
  template <class Turn, class See>
  void operator()(const token_batch& texts, unit_gates<T>& gates, Turn turn, See see) {
    const architecture& shape = opt_.shape();
    run_.expect(texts);
    opt_.run(texts, run_, gates);
    opt_.backend().pool().parallel_for(texts.size(), [&](std::size_t t, std::size_t) {
      turn(t, run_.logits.view().slice(run_.first[t], run_.first[t + 1] - run_.first[t]));
    });
    tensor<T, 2> stream = behind_layers();  // (row, hidden): the gradient at the stream from here on
    for (std::size_t layer = shape.layers; layer-- > 0;) {
      const auto& at = run_.layers[layer];
      const layer_weights<T> w = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
      const auto& gate = gates.layers[layer];

      if (!shape.pre_layer_norm) stream = norm_backward(stream, sum(at.middle, at.mlp_out), w.ln2);
      tensor<T, 2> neurons = times(stream, w.fc2.weight);  // (row, ffn)
      see(unit_kind::neuron, layer, view{at.neurons.view()}, view{neurons.view()});
      opt_.backend().pool().parallel_for(neurons.rows(), [&](std::size_t i, std::size_t) {
        T* const row = neurons.row(i).data();
        const T *const active = at.neurons.row(i).data(), *const factors = gate.neurons.data();
        simd::run([&, count = neurons.extent(1) ]() __attribute__((always_inline)) {
          for (std::size_t n = 0; n < count; ++n) row[n] = active[n] > 0 ? row[n] * factors[n] : T{0};
        });
      });
      tensor<T, 2> inner = times(neurons, w.fc1.weight);  // (row, hidden)
      stream = sum(stream, shape.pre_layer_norm ? norm_backward(inner, at.middle, w.ln2) : inner);

      if (!shape.pre_layer_norm) stream = norm_backward(stream, sum(at.before, at.attn_out), w.ln1);
      tensor<T, 2> z = times(stream, w.out.weight);  // (row, hidden)
      see(unit_kind::head, layer, view{at.z.view()}, view{z.view()});
      if (layer == 0) break;
      for (std::size_t i = 0; i < z.rows(); ++i) {
        for (std::size_t d = 0; d < shape.hidden; ++d) z(i, d) *= gate.heads[d / shape.head_dim()];
      }
      inner = times(attention_backward(at, run_.first, z), w.qkv.weight);
      stream = sum(stream, shape.pre_layer_norm ? norm_backward(inner, at.before, w.ln1) : inner);
    }
  }

 private:
  static tensor<T, 2> sum(const tensor<T, 2>& a, const tensor<T, 2>& b) {
    tensor<T, 2> result{{a.rows(), a.extent(1)}};
    std::transform(a.data(), a.data() + a.size(), b.data(), result.data(), std::plus<>{});
    return result;
  }

  /// x (m, out) w (out, in) to (m, in).
  tensor<T, 2> times(const tensor<T, 2>& x, view w) {
    tensor<T, 2> y{{x.rows(), w.cols()}};
    opt_.backend().linear_backward(view{x.view()}, w, y.view());
    return y;
  }

  /// dy (row, hidden) through y = gamma (x - mean) / sd + beta.
  tensor<T, 2> norm_backward(const tensor<T, 2>& dy, const tensor<T, 2>& x, const norm_weights<T>& weights) {
    tensor<T, 2> dx{{dy.rows(), dy.extent(1)}};
    const T part = T{1} / static_cast<T>(x.extent(1));
    opt_.backend().pool().parallel_for(x.rows(), [&](std::size_t row, std::size_t) {
      T mean = 0, square = 0, of_g = 0, of_gx = 0;
      for (const T value : x.row(row)) mean += value * part;
      for (const T value : x.row(row)) square += (value - mean) * (value - mean) * part;
      const T scale = T{1} / std::sqrt(square + static_cast<T>(1e-5));
      const auto g = [&](std::size_t i) { return dy(row, i) * (weights.gamma == nullptr ? T{1} : weights.gamma[i]); };
      const auto normal = [&](std::size_t i) { return (x(row, i) - mean) * scale; };
      for (std::size_t i = 0; i < x.extent(1); ++i) {
        of_g += g(i) * part;
        of_gx += g(i) * normal(i) * part;
      }
      for (std::size_t i = 0; i < x.extent(1); ++i) dx(row, i) = scale * (g(i) - of_g - normal(i) * of_gx);
    });
    return dx;
  }

  /// From the gradient of the logits to that of the stream behind the last layer.
  tensor<T, 2> behind_layers() {
    const architecture& shape = opt_.shape();
    tensor<T, 2> stream = times(run_.logits, read(opt_.files().unembedding()));  // (row, embed_dim)
    if (shape.embed_dim != shape.hidden) stream = times(stream, read(opt_.files().at("decoder.project_out.weight")));
    if (!shape.final_layer_norm) return stream;
    norm_weights<T> norm;
    if (shape.affine_layer_norm) norm.gamma = read(opt_.files().at("decoder.final_layer_norm.weight")).data();
    return norm_backward(stream, run_.layers.back().after, norm);
  }

  /// Read once: what is not in the layers.
  view read(const stored_tensor& stored) {
    std::vector<T>& kept = read_[stored.name()];
    if (kept.empty()) {
      kept.resize(stored.size());
      stored.copy_to(kept.data());
    }
    return {kept.data(), {stored.size() / stored.row_size(), stored.row_size()}};
  }

  /// dz (row, hidden) to the gradients of q, k, v side by side: (row, 3 hidden).
  tensor<T, 2> attention_backward(const typename detail::run_record<T>::layer_record& at,
                                  const std::vector<std::size_t>& first_row, const tensor<T, 2>& dz) {
    const std::size_t hidden = dz.extent(1), width = opt_.shape().head_dim(), heads = opt_.shape().heads;
    const T scale = T{1} / std::sqrt(static_cast<T>(width));
    tensor<T, 2> result{{dz.rows(), 3 * hidden}};
    opt_.backend().pool().parallel_for((first_row.size() - 1) * heads, [&](std::size_t task, std::size_t) {
      const std::size_t text = task / heads, head = task % heads, begin = first_row[text];
      const std::size_t positions = first_row[text + 1] - begin, first = head * width;
      std::vector<T> dp(positions), v(width * positions);  // v turned: (head_dim, key)
      const auto part = [&](const tensor<T, 2>& x, std::size_t i) { return x.data() + (begin + i) * hidden + first; };
      const auto out = [&](std::size_t which, std::size_t i) {
        return result.data() + (begin + i) * 3 * hidden + which * hidden + first;
      };
      for (std::size_t j = 0; j < positions; ++j) {
        for (std::size_t d = 0; d < width; ++d) v[d * positions + j] = part(at.v, j)[d];
      }
      simd::run([&]() __attribute__((always_inline)) {
        for (std::size_t i = 0; i < positions; ++i) {
          const T* p = at.pattern[text].row(head).data() + i * positions;
          T mean = 0;
          std::fill(dp.begin(), dp.end(), T{0});
          for (std::size_t d = 0; d < width; ++d) {
            const T each = part(dz, i)[d];
            for (std::size_t j = 0; j <= i; ++j) dp[j] += each * v[d * positions + j];
          }
          for (std::size_t j = 0; j <= i; ++j) {
            for (std::size_t d = 0; d < width; ++d) out(2, j)[d] += p[j] * part(dz, i)[d];
            mean += p[j] * dp[j];
          }
          for (std::size_t j = 0; j <= i; ++j) {
            const T ds = p[j] * (dp[j] - mean) * scale;
            for (std::size_t d = 0; d < width; ++d) {
              out(0, i)[d] += ds * part(at.k, j)[d];
              out(1, j)[d] += ds * part(at.q, i)[d];
            }
          }
        }
      });
    });
    return result;
  }

  Model& opt_;
  detail::run_record<T> run_;
  std::map<std::string, std::vector<T>> read_;
};

}  // namespace optscope
