// SPDX-License-Identifier: MIT
#pragma once
// Gradients of any function of the logits at every site, neuron and head, in closed form, by one backward pass.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optscope/backend/backend.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/host_arithmetic.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/gradient_sites.hpp>
#include <optscope/units/gradient_steps.hpp>
#include <optscope/units/unit_gates.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// What the backward pass needs of a run besides the logits.
template <class T>
using run_record = basic_capture<T, site::resid_pre, site::q, site::k, site::v, site::pattern, site::z, site::attn_out,
                                 site::resid_mid, site::mlp_pre, site::mlp_post, site::mlp_out, site::resid_post>;

/// A probe that keeps the logits of all texts in memory that may be changed, unlike a capture's.
template <class T>
class logit_rows {
 public:
  using sites = site_list<site::logits>;

  void begin(const run_plan& plan) {
    plan_ = plan;
    first_.assign(1, 0);
    for (const std::size_t length : plan.lengths) first_.push_back(first_.back() + length);
    rows_.resize({first_.back(), plan.shape.vocabulary});
  }
  void operator()(site::logits, const place& at, tensor_view<const T, 2> x) {
    for (std::size_t i = 0; i < x.rows(); ++i) {
      std::ranges::copy(x.row(i), rows_.row(first_[at.text] + at.first_position + i).begin());
    }
  }

  [[nodiscard]] const run_plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const tensor<T, 2>& all() const noexcept { return rows_; }  ///< (row, vocabulary), text by text
  /// (position, vocabulary)
  [[nodiscard]] tensor_view<T, 2> of(std::size_t text) {
    return rows_.view().slice(first_[text], first_[text + 1] - first_[text]);
  }
  /// [text]: its first row; then how many rows there are.
  [[nodiscard]] const std::vector<std::size_t>& first_row() const noexcept { return first_; }

 private:
  run_plan plan_;
  std::vector<std::size_t> first_;
  tensor<T, 2> rows_;
};

}  // namespace detail

/// Runs texts and goes back from their logits, layer by layer from the last to the first. Any nonlinearity; the
/// backend has `linear_backward`. Memory: the activations of all texts that are given at once.
///
///     gradient_pass gradients{opt};
///     basic_capture<float, site::resid_pre, site::z> at;  // (position, hidden) and (position, head, head_dim)
///     gradients.run({text}, turn, at);                    // turn(text, logits): logits to their gradients
///     at(site::resid_pre{}, 3);                           // the gradient at the input of layer 3
///
/// A gradient belongs to a site as an edit does: it is the change of the function when the site's value changes and
/// all that is computed from it follows. residual/README.md has attribution patching, a whole program.
template <class Model>
class gradient_pass {
  static_assert(gradient_backend_for<typename Model::backend_type, typename Model::scalar>,
                "gradients need a backend that satisfies gradient_backend_for<Backend, Scalar>: backend/backend.hpp "
                "lists its members");

 public:
  using T = typename Model::scalar;
  using view = tensor_view<const T, 2>;

  /// Throws `checkpoint_error` if the layers of the model differ in size.
  explicit gradient_pass(Model& opt) : opt_{opt}, open_{opt.shape()} {
    require_even_layers(opt.files(), "for gradients");
    std::vector<std::string> names;
    for (const site_info* site : detail::run_record<T>::sites::infos) {
      const bool relu = opt.shape().nonlinearity == activation::relu;
      if (!relu || site->name != site::mlp_pre::name) names.emplace_back(site->name);
    }
    run_.only_sites(std::move(names));
  }

  /// Runs `texts`, lets `turn(text, logits)` replace each text's logits (position, vocabulary) by their gradient
  /// (several threads call it), and shows the gradients at the sites that the probes list, from the last layer to the
  /// lowest that one of them wants. Probes are observers, such as captures and running statistics, of
  /// `gradient_sites`. A float model has float gradients.
  template <class Turn, class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const token_batch& texts, Turn turn, Probes&&... probes) {
    run_over(texts, turn, probes...);
  }
  /// The same, with errors that name the texts.
  template <std::same_as<named_texts> Texts, class Turn, class... Probes>
    requires(detail::probe_argument<Probes> && ...)
  void run(const Texts& texts, Turn turn, Probes&&... probes) {
    run_over(texts, turn, probes...);
  }

  /// The same through `gates`, for neurons and heads alone. `see(unit_kind, layer, a, g)` is called for the neurons
  /// and for the heads of each layer: a is their activations before the gates, g the gradient after them, both (row,
  /// ffn) for neurons and (row, hidden) for heads, the rows of all texts one after the other.
  template <class Turn, class See>
  void operator()(const token_batch& texts, unit_gates<T>& gates, Turn turn, See see) {
    forward(texts, gates, turn);
    detail::gradient_units<T, detail::run_record<T>, See> shown{run_, see};
    backward(gates, shown);
  }

 private:
  template <class Texts, class Turn, class... Probes>
  void run_over(const Texts& texts, Turn& turn, Probes&... probes) {
    if constexpr (detail::are_probes<T, Probes...>()) {
      (detail::check_gradient_probe<Probes, T>(), ...);
      forward(texts, open_, turn);
      (detail::begin(probes, logits_.plan()), ...);
      detail::gradient_probes<T, Probes...> shown{logits_.first_row(), probes...};
      backward(open_, shown);
      (detail::end(probes), ...);
      (detail::finish(probes), ...);
    }
  }

  template <class Texts, class Turn>
  void forward(const Texts& texts, unit_gates<T>& gates, Turn& turn) {
    static_assert(std::invocable<Turn&, std::size_t, tensor_view<T, 2>>,
                  "what turns logits into gradients takes (std::size_t text, tensor_view<T, 2> logits), T being the "
                  "scalar of the model");
    opt_.run(texts, run_, gates, logits_);
    opt_.backend().pool().parallel_for(texts.size(), [&](std::size_t t, std::size_t) { turn(t, logits_.of(t)); });
  }

  /// Shows the gradients down to the lowest site that is wanted.
  template <class Shown>
  void backward(const unit_gates<T>& gates, Shown& shown) {
    const auto any = [&]<class... Sites>(site_list<Sites...>, std::size_t layer) {
      return (shown.template wants<Sites>(layer) || ...);
    };
    const bool embedding = any(site_list<site::embed, site::pos_embed>{}, 0);
    std::size_t lowest = embedding ? 0 : opt_.layers();
    for (std::size_t layer = 0; layer < lowest; ++layer) {
      if (any(detail::gradient_sites_of_layers{}, layer)) lowest = layer;
    }
    tensor<T, 2> stream = after_last_layer(shown);  // (row, hidden): the gradient at the stream, from here on down
    for (std::size_t layers_left = opt_.layers(); layers_left > lowest; --layers_left) {
      const std::size_t layer = layers_left - 1;
      const layer_weights<T> weights = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
      stream = through_mlp(std::move(stream), layer, weights, gates.layers[layer].neurons, shown);
      const bool more = layer > lowest || embedding || any(detail::gradient_sites_before_z{}, layer);
      stream = through_attention(std::move(stream), layer, weights, gates.layers[layer].heads, more, shown);
    }
    if (embedding) {
      show(shown, site::embed{}, 0, stream);
      show(shown, site::pos_embed{}, 0, stream);
    }
  }

  template <class Shown, class Site>
  void show(Shown& shown, Site site, std::size_t layer, view rows) {
    shown.rows(site, layer, opt_.shape(), rows);
  }

  /// The gradient at `resid_mid` from that at `resid_post`: (row, hidden).
  template <class Shown>
  tensor<T, 2> through_mlp(tensor<T, 2> stream, std::size_t layer, const layer_weights<T>& weights,
                           const std::vector<T>& factors, Shown& shown) {
    const bool pre_norm = opt_.shape().pre_layer_norm;
    const view middle = run_(site::resid_mid{}, layer);
    show(shown, site::resid_post{}, layer, stream);
    if (!pre_norm) {
      show(shown, site::ln2{}, layer, stream);
      stream = norm_backward(stream, sum(middle, run_(site::mlp_out{}, layer)), weights.ln2);
    }
    show(shown, site::mlp_out{}, layer, stream);
    tensor<T, 2> neurons = times(stream, weights.fc2.weight);  // (row, ffn)
    show(shown, site::mlp_post{}, layer, neurons);
    const activation kind = opt_.shape().nonlinearity;
    const view before = kind == activation::relu ? run_(site::mlp_post{}, layer) : run_(site::mlp_pre{}, layer);
    detail::nonlinearity_backward<T>(kind, before, factors, neurons.view(), opt_.backend().pool());
    show(shown, site::mlp_pre{}, layer, neurons);
    const tensor<T, 2> inner = times(neurons, weights.fc1.weight);  // (row, hidden)
    if (!pre_norm) return sum(stream, inner);
    show(shown, site::ln2{}, layer, inner);
    return sum(stream, norm_backward(inner, middle, weights.ln2));
  }

  /// The gradient at `resid_pre` from that at `resid_mid`, if there is `more` to be shown.
  template <class Shown>
  tensor<T, 2> through_attention(tensor<T, 2> stream, std::size_t layer, const layer_weights<T>& weights,
                                 const std::vector<T>& factors, bool more, Shown& shown) {
    const bool pre_norm = opt_.shape().pre_layer_norm;
    const view before = run_(site::resid_pre{}, layer);
    show(shown, site::resid_mid{}, layer, stream);
    if (!pre_norm) {
      show(shown, site::ln1{}, layer, stream);
      stream = norm_backward(stream, sum(before, run_(site::attn_out{}, layer)), weights.ln1);
    }
    show(shown, site::attn_out{}, layer, stream);
    if (shown.template wants<site::result>(layer)) show_results(shown, layer, stream);
    tensor<T, 2> z = times(stream, weights.out.weight);  // (row, hidden)
    show(shown, site::z{}, layer, z);
    if (!more) return stream;
    for (std::size_t i = 0; i < z.rows(); ++i) {
      for (std::size_t d = 0; d < z.extent(1); ++d) z(i, d) *= factors[d / opt_.shape().head_dim()];
    }
    const tensor<T, 2> inner = times(through_pattern(layer, z, shown), weights.qkv.weight);
    if (pre_norm) show(shown, site::ln1{}, layer, inner);
    stream = sum(stream, pre_norm ? norm_backward(inner, before, weights.ln1) : inner);
    show(shown, site::resid_pre{}, layer, stream);
    return stream;
  }

  /// dz (row, hidden) to the gradients of q, k, v side by side: (row, 3 hidden).
  template <class Shown>
  tensor<T, 2> through_pattern(std::size_t layer, const tensor<T, 2>& dz, Shown& shown) {
    detail::attention_run<T> of{.first_row = logits_.first_row(),
                                .heads = opt_.shape().heads,
                                .q = matrix_of(run_(site::q{}, layer)),
                                .k = matrix_of(run_(site::k{}, layer)),
                                .v = matrix_of(run_(site::v{}, layer)),
                                .pattern = {}};
    const std::size_t texts = of.first_row.size() - 1, hidden = dz.extent(1);
    for (std::size_t text = 0; text < texts; ++text) of.pattern.push_back(run_(site::pattern{}, layer, text));
    const bool maps = shown.template wants<site::pattern>(layer) || shown.template wants<site::scores>(layer);
    detail::attention_gradients<T> found = detail::attention_backward<T>(of, dz, maps, opt_.backend().pool());
    for (std::size_t text = 0; maps && text < texts; ++text) {
      shown.show(site::pattern{}, layer, text, std::as_const(found.pattern[text]).view());
      shown.show(site::scores{}, layer, text, std::as_const(found.scores[text]).view());
    }
    const auto part = [&](std::size_t which) {
      return view{found.qkv.data() + which * hidden, {dz.rows(), hidden}, 3 * hidden};
    };
    show(shown, site::q{}, layer, part(0));
    show(shown, site::k{}, layer, part(1));
    show(shown, site::v{}, layer, part(2));
    return std::move(found.qkv);
  }

  /// Every head's share of `attn_out` has the gradient of the sum.
  template <class Shown>
  void show_results(Shown& shown, std::size_t layer, view of_sum) {
    const std::size_t heads = opt_.shape().heads;
    tensor<T, 2> all{{of_sum.rows(), heads * of_sum.cols()}};
    for (std::size_t row = 0; row < all.rows(); ++row) {
      for (std::size_t head = 0; head < heads; ++head) {
        std::ranges::copy(of_sum.row(row), all.row(row).data() + head * of_sum.cols());
      }
    }
    show(shown, site::result{}, layer, all);
  }

  /// From the gradient of the logits to that of the stream after the last layer: (row, hidden).
  template <class Shown>
  tensor<T, 2> after_last_layer(Shown& shown) {
    const architecture& shape = opt_.shape();
    show(shown, site::logits{}, 0, logits_.all());
    tensor<T, 2> stream = times(logits_.all(), opt_.weights().unembedding());  // (row, embed_dim)
    const outer_weights<T> outer = opt_.weights().outer();
    if (outer.project_out.size() != 0) stream = times(stream, outer.project_out);
    if (!shape.final_layer_norm) return stream;
    show(shown, site::ln_final{}, 0, stream);
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
  tensor<T, 2> times(view x, const matrix_view<T>& w) {
    tensor<T, 2> y{{x.rows(), w.cols()}};
    detail::linear_backward_on_host<T>(opt_.backend(), x, w, y.view());
    return y;
  }
  tensor<T, 2> norm_backward(view dy, view x, const norm_weights<T>& weights) {
    return detail::norm_backward<T>(dy, x, weights, opt_.backend().pool());
  }

  Model& opt_;
  unit_gates<T> open_;
  detail::run_record<T> run_;
  detail::logit_rows<T> logits_;
};

}  // namespace optscope
