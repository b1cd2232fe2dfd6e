// SPDX-License-Identifier: MIT
#pragma once
// First-order attribution: what a text's loss owes to each neuron and head, by one pass backward through the model.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <optscope/core/cpu.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/modularity/units.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// Sums over texts, by category and unit; units that are neither neuron nor head have zeros.
struct loss_attribution {
  std::vector<std::vector<double>> effect;     ///< [category][unit]: sum of a dL/da over positions
  std::vector<std::vector<double>> magnitude;  ///< [category][unit]: sum of |a dL/da|
  std::vector<double> tokens;                  ///< [category]: whose loss it is

  loss_attribution(std::size_t categories, std::size_t units)
      : effect(categories, std::vector<double>(units)), magnitude{effect}, tokens(categories) {}
};

namespace detail {

/// What the pass backward needs of a run over one text.
template <class T>
struct run_record {
  using sites = site_list<site::resid_pre, site::q, site::k, site::v, site::pattern, site::z, site::attn_out,
                          site::resid_mid, site::mlp_post, site::mlp_out, site::resid_post, site::logits>;
  struct layer_record {
    tensor<T, 2> before, q, k, v, z, attn_out, middle, neurons, mlp_out, after;  // (position, …)
    tensor<T, 3> pattern;                                                        // (head, position, key)
  };
  std::vector<layer_record> layers;
  tensor<T, 2> logits;  // (position, vocabulary)

  explicit run_record(std::size_t count) : layers(count) {}

  template <class View>
  static tensor<T, 2> rows_of(const View& view) {
    tensor<T, 2> copy{{view.rows(), view.cols()}};
    for (std::size_t i = 0; i < view.rows(); ++i) std::ranges::copy(view.row(i), copy.row(i).data());
    return copy;
  }
  void operator()(site::resid_pre, const place& at, tensor_view<const T, 2> x) { layers[at.layer].before = rows_of(x); }
  void operator()(site::q, const place& at, tensor_view<const T, 3> x) { layers[at.layer].q = rows_of(x); }
  void operator()(site::k, const place& at, tensor_view<const T, 3> x) { layers[at.layer].k = rows_of(x); }
  void operator()(site::v, const place& at, tensor_view<const T, 3> x) { layers[at.layer].v = rows_of(x); }
  void operator()(site::z, const place& at, tensor_view<const T, 3> x) { layers[at.layer].z = rows_of(x); }
  void operator()(site::pattern, const place& at, tensor_view<const T, 3> x) {
    tensor<T, 3>& copy = layers[at.layer].pattern;
    copy = tensor<T, 3>{{x.extent(0), x.extent(1), x.extent(2)}};
    for (std::size_t head = 0; head < x.rows(); ++head) std::ranges::copy(x.row(head), copy.row(head).data());
  }
  void operator()(site::attn_out, const place& at, tensor_view<const T, 2> x) {
    layers[at.layer].attn_out = rows_of(x);
  }
  void operator()(site::resid_mid, const place& at, tensor_view<const T, 2> x) { layers[at.layer].middle = rows_of(x); }
  void operator()(site::mlp_post, const place& at, tensor_view<const T, 2> x) { layers[at.layer].neurons = rows_of(x); }
  void operator()(site::mlp_out, const place& at, tensor_view<const T, 2> x) { layers[at.layer].mlp_out = rows_of(x); }
  void operator()(site::resid_post, const place& at, tensor_view<const T, 2> x) { layers[at.layer].after = rows_of(x); }
  void operator()(site::logits, const place& at, tensor_view<const T, 2> x) {
    if (at.first_position == 0) logits = tensor<T, 2>{{0, x.cols()}};
    tensor<T, 2> longer{{logits.rows() + x.rows(), x.cols()}};
    for (std::size_t i = 0; i < longer.rows(); ++i) {
      std::ranges::copy(i < logits.rows() ? std::as_const(logits).row(i) : x.row(i - logits.rows()),
                        longer.row(i).data());
    }
    logits = std::move(longer);
  }
};

}  // namespace detail

/// The gradient of the summed next-token loss, in closed form, layer by layer from the last to the first. For models
/// with ReLU. What it gives for a unit is its activation times the gradient with respect to it: the derivative with
/// respect to a factor on the unit, and minus the first-order change of the loss when the unit is set to zero. Of a
/// head, the sum over z's elements.
template <class Model>
class attribution_pass {
 public:
  using T = typename Model::scalar;

  /// Throws `bad_input` if the model has another nonlinearity.
  explicit attribution_pass(Model& opt) : opt_{opt}, units_{opt.shape()} {
    if (opt.shape().nonlinearity != activation::relu) {
      throw bad_input{opt.files().folder().string(), "activation_function", "relu, for first-order attribution",
                      "another"};
    }
  }

  /// Adds a text, BOS and all, to the sums of a category: about three times the cost of its run. The loss is that of
  /// its tokens from position `first` on.
  void add(const token_list& text, std::size_t category, loss_attribution& to, std::size_t first = 1) {
    detail::run_record<T> run{opt_.layers()};
    opt_.run({text}, run);
    tensor<T, 2> stream = gradient_of_logits(text, first, run);  // (position, hidden): dL/dstream from here on
    for (std::size_t layer = opt_.layers(); layer-- > 0;) {
      const auto& at = run.layers[layer];
      const layer_weights<T> w = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
      const bool pre = opt_.shape().pre_layer_norm;

      if (!pre) stream = norm_backward(stream, sum(at.middle, at.mlp_out), w.ln2);
      tensor<T, 2> neurons = times(stream, w.fc2.weight);  // (position, ffn)
      note(at.neurons, neurons, 1, units_.first(unit_kind::neuron, layer), category, to);
      for (std::size_t i = 0; i < neurons.rows(); ++i) {
        for (std::size_t n = 0; n < neurons.extent(1); ++n) neurons(i, n) = at.neurons(i, n) > 0 ? neurons(i, n) : T{0};
      }
      tensor<T, 2> inner = times(neurons, w.fc1.weight);  // (position, hidden)
      stream = sum(stream, pre ? norm_backward(inner, at.middle, w.ln2) : inner);

      if (!pre) stream = norm_backward(stream, sum(at.before, at.attn_out), w.ln1);
      const tensor<T, 2> z = times(stream, w.out.weight);  // (position, hidden)
      note(at.z, z, opt_.shape().head_dim(), units_.first(unit_kind::head, layer), category, to);
      inner = times(attention_backward(at, z), w.qkv.weight);
      stream = sum(stream, pre ? norm_backward(inner, at.before, w.ln1) : inner);
    }
    to.tokens[category] += static_cast<double>(text.size() - first);
  }

 private:
  using view = tensor_view<const T, 2>;

  static tensor<T, 2> sum(const tensor<T, 2>& a, const tensor<T, 2>& b) {
    tensor<T, 2> result{{a.rows(), a.extent(1)}};
    std::transform(a.data(), a.data() + a.size(), b.data(), result.data(), std::plus<>{});
    return result;
  }

  /// x (m, out) w (out, in) to (m, in).
  tensor<T, 2> times(const tensor<T, 2>& x, view w) {
    tensor<T, 2> turned{{w.cols(), w.rows()}}, y{{x.rows(), w.cols()}};
    opt_.backend().pool().parallel_for((w.cols() + 63) / 64, [&](std::size_t block, std::size_t) {
      for (std::size_t o = 0; o < w.rows(); ++o) {
        const auto from = w.row(o);
        for (std::size_t i = 64 * block; i < std::min(w.cols(), 64 * block + 64); ++i) turned(i, o) = from[i];
      }
    });
    opt_.backend().linear(view{x.view()}, view{turned.view()}, static_cast<const T*>(nullptr), y.view());
    return y;
  }

  /// dy (position, hidden) through y = gamma (x - mean) / sd + beta.
  static tensor<T, 2> norm_backward(const tensor<T, 2>& dy, const tensor<T, 2>& x, const norm_weights<T>& weights) {
    tensor<T, 2> dx{{dy.rows(), dy.extent(1)}};
    const auto n = static_cast<T>(x.extent(1));
    for (std::size_t row = 0; row < x.rows(); ++row) {
      T mean = 0, square = 0, of_g = 0, of_gx = 0;
      for (const T value : x.row(row)) mean += value / n;
      for (const T value : x.row(row)) square += (value - mean) * (value - mean) / n;
      const T scale = T{1} / std::sqrt(square + static_cast<T>(1e-5));
      const auto g = [&](std::size_t i) { return dy(row, i) * (weights.gamma == nullptr ? T{1} : weights.gamma[i]); };
      const auto normal = [&](std::size_t i) { return (x(row, i) - mean) * scale; };
      for (std::size_t i = 0; i < x.extent(1); ++i) {
        of_g += g(i) / n;
        of_gx += g(i) * normal(i) / n;
      }
      for (std::size_t i = 0; i < x.extent(1); ++i) dx(row, i) = scale * (g(i) - of_g - normal(i) * of_gx);
    }
    return dx;
  }

  /// From the loss to the stream behind the last layer.
  tensor<T, 2> gradient_of_logits(const token_list& text, std::size_t first, detail::run_record<T>& run) {
    const architecture& shape = opt_.shape();
    tensor<T, 2>& logits = run.logits;  // becomes softmax minus the token that comes; nothing comes behind the last
    for (std::size_t i = 0; i < logits.rows(); ++i) {
      const auto row = logits.row(i);
      const T largest = *std::max_element(row.begin(), row.end());
      double total = 0;
      for (T& each : row) total += static_cast<double>(each = std::exp(each - largest));
      const bool counts = i + 1 >= first && i + 1 < text.size();
      for (T& each : row) each *= counts ? static_cast<T>(1 / total) : T{0};
      if (counts) row[static_cast<std::size_t>(text[i + 1])] -= T{1};
    }
    tensor<T, 2> stream = times(logits, read(opt_.files().unembedding()));  // (position, embed_dim)
    if (shape.embed_dim != shape.hidden) stream = times(stream, read(opt_.files().at("decoder.project_out.weight")));
    if (!shape.final_layer_norm) return stream;
    norm_weights<T> norm;
    if (shape.affine_layer_norm) norm.gamma = read(opt_.files().at("decoder.final_layer_norm.weight")).data();
    return norm_backward(stream, run.layers.back().after, norm);
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

  /// dz (position, hidden) to the gradients of q, k, v side by side: (position, 3 hidden).
  tensor<T, 2> attention_backward(const typename detail::run_record<T>::layer_record& at, const tensor<T, 2>& dz) {
    const std::size_t positions = dz.rows(), hidden = dz.extent(1), width = opt_.shape().head_dim();
    const T scale = T{1} / std::sqrt(static_cast<T>(width));
    tensor<T, 2> result{{positions, 3 * hidden}};
    opt_.backend().pool().parallel_for(opt_.shape().heads, [&](std::size_t head, std::size_t) {
      const std::size_t first = head * width;
      std::vector<T> dp(positions);
      const auto part = [&](const tensor<T, 2>& x, std::size_t i) { return x.data() + i * hidden + first; };
      const auto out = [&](std::size_t which, std::size_t i) {
        return result.data() + i * 3 * hidden + which * hidden + first;
      };
      cpu::run([&]() __attribute__((always_inline)) {
        for (std::size_t i = 0; i < positions; ++i) {
          const T* p = at.pattern.row(head).data() + i * positions;
          T mean = 0;
          for (std::size_t j = 0; j <= i; ++j) {
            dp[j] = 0;
            for (std::size_t d = 0; d < width; ++d) {
              dp[j] += part(dz, i)[d] * part(at.v, j)[d];
              out(2, j)[d] += p[j] * part(dz, i)[d];
            }
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

  /// Adds a·g of units that are `width` columns each.
  static void note(const tensor<T, 2>& a, const tensor<T, 2>& g, std::size_t width, std::size_t first,
                   std::size_t category, loss_attribution& to) {
    for (std::size_t i = 0; i < a.rows(); ++i) {
      for (std::size_t u = 0; u < a.extent(1) / width; ++u) {
        double product = 0;
        for (std::size_t d = u * width; d < (u + 1) * width; ++d) product += static_cast<double>(a(i, d) * g(i, d));
        to.effect[category][first + u] += product;
        to.magnitude[category][first + u] += std::abs(product);
      }
    }
  }

  Model& opt_;
  unit_table units_;
  std::map<std::string, std::vector<T>> read_;
};

}  // namespace optscope
