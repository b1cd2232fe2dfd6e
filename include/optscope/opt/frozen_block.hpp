// SPDX-License-Identifier: MIT
#pragma once
// A decoder block that is linear in the stream: attention patterns, LayerNorm scales and MLP gates of an earlier run.

#include <cstddef>
#include <memory>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/block.hpp>
#include <optscope/opt/decoder_block.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <vector>

namespace optscope {

/// An observer that keeps of a run what `frozen_block` needs. Memory, for each layer and text of n tokens:
/// n (heads n + ffn + 2) scalars.
template <class T>
class frozen_activations {
 public:
  using sites = site_list<site::ln1_scale, site::pattern, site::ln2_scale, site::mlp_pre, site::mlp_post>;

  /// Of one layer and text.
  struct record {
    tensor<T, 2> ln1_scale, ln2_scale;  // (position, 1)
    tensor<T, 3> pattern;               // (head, position, key)
    tensor<T, 2> gate;                  // (position, ffn): (mlp_post - f(0)) / mlp_pre, f being the nonlinearity
  };

  /// Throws `bad_input` for a run from a layer on or after cached tokens: all of a text is needed.
  void begin(const run_plan& plan);
  void operator()(site::ln1_scale, const place& at, tensor_view<const T, 2> scale);
  void operator()(site::pattern, const place& at, tensor_view<const T, 3> pattern);
  void operator()(site::ln2_scale, const place& at, tensor_view<const T, 2> scale);
  void operator()(site::mlp_pre, const place& at, tensor_view<const T, 2> neurons);
  void operator()(site::mlp_post, const place& at, tensor_view<const T, 2> neurons);

  [[nodiscard]] const record& operator()(std::size_t layer, std::size_t text) const { return layers_[layer][text]; }

  /// The nonlinearity at 0: what a neuron gives where its input is 0.
  [[nodiscard]] T at_zero() const noexcept { return at_zero_; }

  /// Throws `bad_input` if a run differs from the recorded one in number or lengths of texts, or has a cache.
  void require_same_texts(const run_plan& plan) const;

 private:
  std::vector<std::size_t> lengths_;         // [text]
  std::vector<std::vector<record>> layers_;  // [layer][text]
  T at_zero_ = 0;
};

namespace detail {

/// y = neurons times gate plus `constant`, in place; gates from row `first` on.
template <class T>
void apply_gates(tensor_view<const T, 2> gates, std::size_t first, T constant, tensor_view<T, 2> neurons);

}  // namespace detail

/// OPT's block with all that is not linear held as it was in an earlier run over the same texts: attention patterns,
/// LayerNorm scales, and for every neuron the factor from its input to its output (with ReLU: 0 or 1). What remains is
/// an affine map of the stream, so that contributions add up exactly:
///
///     const auto record = std::make_shared<frozen_activations<float>>();
///     opt.run(texts, *record);
///     using frozen = frozen_block<float>;
///     model<any_opt, float, cpu, mapped_weights<float>, frozen> linear{files, cpu{}, frozen{.from = record}};
///     linear.run_from(0, stream, texts, probe);  // what becomes of any other stream
///
/// On the stream of the recorded run it gives that run's activations, to rounding. Without `constants`, biases,
/// LayerNorm shifts and the nonlinearity at 0 are left out: the map is linear, and the image of a sum is the sum of the
/// images. The final LayerNorm follows the layers and is not frozen; an editor of `ln_final_scale` can hold its scale.
///
/// Queries, keys and scores are not computed. Throws `bad_input` when a run is not over texts of the recorded lengths,
/// or has a cache.
template <class T>
struct frozen_block {
  using sites = site_list<site::ln1, site::v, site::z, site::result, site::attn_out, site::resid_mid, site::ln2,
                          site::mlp_pre, site::mlp_post, site::mlp_out>;

  std::shared_ptr<const frozen_activations<T>> from = nullptr;
  bool constants = true;

  /// The recorded activations of a text where the backend can use them.
  template <class Space>
  struct memory_type : decoder_memory<T, Space> {
    tensor_in<T, 2, Space> scale;    // (position, 1)
    tensor_in<T, 3, Space> pattern;  // (head, position, key)
  };

  template <class Run>
  [[nodiscard]] auto prepare(const Run& run) const {
    if (from == nullptr) throw bad_input{"", "frozen block", "activations of an earlier run", "none"};
    from->require_same_texts(run.plan());
    using space = typename Run::space;
    return memory_type<space>{decoder_memory<T, space>::for_run(run), {}, {}};
  }

  template <class Layer, class Memory>
  void operator()(Layer& at, Memory& memory) const {
    using in = typename Layer::template const_view<2>;
    const auto& weights = at.weights();
    const bool pre = at.shape().pre_layer_norm;
    auto stream = at.stream(), normed = memory.normed.view().slice(0, at.rows());

    if (pre) norm<site::ln1>(at, stream, weights.ln1, &record::ln1_scale, normed, memory);
    attention(at, pre ? normed : stream, memory);
    if (at.rows() == 0) return;
    stream = at.stream();
    normed = normed.slice(0, at.rows());
    const auto out = memory.out.view().slice(0, at.rows());
    at.template offer<site::attn_out>(out);
    at.backend().add(in{out}, stream);
    if (!pre) norm<site::ln1>(at, stream, weights.ln1, &record::ln1_scale, stream, memory);
    at.template offer<site::resid_mid>(stream);

    if (pre) norm<site::ln2>(at, stream, weights.ln2, &record::ln2_scale, normed, memory);
    mlp(at, pre ? normed : stream, out, memory);
    at.template offer<site::mlp_out>(out);
    at.backend().add(in{out}, stream);
    if (!pre) norm<site::ln2>(at, stream, weights.ln2, &record::ln2_scale, stream, memory);
  }

 private:
  using record = typename frozen_activations<T>::record;

  template <class Pointer>
  [[nodiscard]] Pointer bias_of(Pointer bias) const {
    return constants ? bias : Pointer{};
  }

  /// y = LayerNorm of x, divided by the recorded scales.
  template <class Site, class Layer, class Memory>
  void norm(Layer& at, typename Layer::template view<2> x, const norm_weights<T, typename Layer::space>& weights,
            tensor<T, 2> record::*scale, typename Layer::template view<2> y, Memory& memory) const {
    using in = typename Layer::template const_view<2>;
    const auto beta = bias_of(weights.beta);
    at.for_texts([&](const text_rows& text) {
      const tensor_view<const T, 2> scales = ((*from)(at.layer(), text.text).*scale).view();
      if constexpr (Layer::space::host) {
        at.backend().pool().parallel_for(text.rows, [&](std::size_t i, std::size_t) {
          detail::normalize_row<T>(x, scales(text.position + i, 0), weights.gamma, beta, y, text.row + i);
        });
      } else {
        if (text.rows == 0) return;
        at.backend().layer_norm(in{x.slice(text.row, text.rows)}, weights.gamma, beta,
                                detail::lend_to(at.backend(), scales.slice(text.position, text.rows), memory.scale),
                                y.slice(text.row, text.rows));
      }
    });
    at.template offer<Site>(y);
  }

  template <class Layer, class Memory>
  void attention(Layer& at, typename Layer::template const_view<2> x, Memory& memory) const {
    using in = typename Layer::template const_view<2>;
    const auto& weights = at.weights();
    const std::size_t head_dim = at.shape().head_dim(), width = weights.out.weight.cols();
    const auto v = memory.qkv.as(at.rows(), width);
    const auto bias = weights.qkv.bias == nullptr ? weights.qkv.bias : weights.qkv.bias + 2 * width;
    at.backend().linear(x, weights.qkv.weight.slice(2 * width, width), bias_of(bias), v);
    at.template offer<site::v>(detail::by_head(v, head_dim));

    at.skip_unwanted();
    const auto z = memory.z.as(at.rows(), width);
    at.for_texts([&](const text_rows& text) {
      if (text.rows == 0) return;
      const tensor<T, 3>& pattern = (*from)(at.layer(), text.text).pattern;  // (head, position, key)
      const std::size_t keys = pattern.extent(2);
      const tensor_view<const T, 3> rows{
          pattern.data() + text.position * keys, {pattern.extent(0), text.rows, keys}, pattern.extent(1) * keys};
      at.backend().attention_mix(detail::lend_to(at.backend(), rows, memory.pattern),
                                 in{v.slice(text.run_row, text.run_all)}, z.slice(text.row, text.rows));
    });
    if (at.rows() == 0) return;
    at.template offer<site::z>(detail::by_head(z, head_dim));
    const auto out = memory.out.view().slice(0, at.rows());
    at.backend().linear(in{z}, weights.out.weight, bias_of(weights.out.bias), out);
    if constexpr (Layer::template lists<site::result>) {
      if (at.template wanted<site::result>()) {
        detail::show_result(at, z, bias_of(weights.out.bias), out, memory);
      }
    }
  }

  template <class Layer, class Memory>
  void mlp(Layer& at, typename Layer::template const_view<2> x, typename Layer::template view<2> out,
           Memory& memory) const {
    const auto& weights = at.weights();
    const auto neurons = memory.neurons.as(at.rows(), weights.fc1.weight.rows());
    at.backend().linear(x, weights.fc1.weight, bias_of(weights.fc1.bias), neurons);
    at.template offer<site::mlp_pre>(neurons);
    at.for_texts([&](const text_rows& text) {
      const tensor_view<const T, 2> gates = (*from)(at.layer(), text.text).gate.view();
      const row_range all{0, text.rows};
      at.backend().edit(neurons.slice(text.row, text.rows), std::span{&all, 1}, [&](tensor_view<T, 2> rows) {
        at.backend().pool().parallel_for(text.rows, [&](std::size_t i, std::size_t) {
          detail::apply_gates<T>(gates, text.position + i, constants ? from->at_zero() : T{0}, rows.slice(i, 1));
        });
      });
    });
    at.template offer<site::mlp_post>(neurons);
    at.backend().linear(typename Layer::template const_view<2>{neurons}, weights.fc2.weight, bias_of(weights.fc2.bias),
                        out);
  }
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/frozen_block.ipp>
#endif
