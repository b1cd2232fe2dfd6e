// SPDX-License-Identifier: MIT
#pragma once
// OPT's decoder block, for pre-LN and post-LN models.

#include <cstddef>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/block.hpp>
#include <optscope/opt/forward.hpp>
#include <span>
#include <vector>

namespace optscope {

/// The activations of a chunk of texts in OPT's block; those of a layer with fewer heads or neurons fill less.
template <class T, class Space = host_memory>
struct decoder_memory {
  tensor_in<T, 2, Space> normed;                // (row, hidden): the LayerNorm's output
  tensor_in<T, 2, Space> qkv;                   // (row, 3 hidden): q, k, v of a position side by side
  tensor_in<T, 2, Space> z;                     // (row, hidden)
  tensor_in<T, 2, Space> out;                   // (row, hidden): what attention or MLP adds to the stream
  tensor_in<T, 2, Space> neurons;               // (row, ffn)
  tensor_in<T, 1, Space> square;                // (head, position, key) of one text; empty if no probe wants one
  tensor_in<T, 1, Space> result;                // (position, head, hidden) of one text; likewise
  tensor_in<T, 1, Space> before;                // the same before it is edited
  std::vector<attention_text<T, Space>> texts;  // of a chunk

  template <class Run>
  [[nodiscard]] static decoder_memory for_run(const Run& run) {
    auto& backend = run.backend();
    const architecture& shape = run.shape();
    decoder_memory memory;
    memory.normed.resize(backend, {run.chunk_rows(), shape.hidden});
    memory.qkv.resize(backend, {run.chunk_rows(), 3 * shape.hidden});
    memory.z.resize(backend, {run.chunk_rows(), shape.hidden});
    memory.out.resize(backend, {run.chunk_rows(), shape.hidden});
    memory.neurons.resize(backend, {run.chunk_rows(), shape.ffn});
    if (run.template wanted_anywhere<site::scores>() || run.template wanted_anywhere<site::pattern>()) {
      memory.square.resize(backend, {shape.heads * run.square()});
    }
    if (run.template wanted_anywhere<site::result>()) {
      memory.result.resize(backend, {run.longest() * shape.heads * shape.hidden});
      if (Run::template edits<site::result>) memory.before.resize(backend, memory.result.shape());
    }
    return memory;
  }
};

namespace detail {

/// Rows (row, width) as (row, head, head_dim).
template <class T, class Space>
[[nodiscard]] tensor_view<T, 3, Space> by_head(tensor_view<T, 2, Space> rows, std::size_t head_dim) {
  return rows.template reshape<3>({rows.rows(), rows.cols() / head_dim, head_dim});
}

/// Shows `result`: each head's z (row, width) through its columns of W_O, text by text; an edit of it changes `out`.
template <class Layer, class Memory>
void show_result(Layer& at, typename Layer::template view<2> z,
                 pointer_to<const typename Layer::scalar, typename Layer::space> bias,
                 typename Layer::template view<2> out, Memory& memory) {
  using T = typename Layer::scalar;
  using in = typename Layer::template const_view<2>;
  const auto& w = at.weights().out.weight;
  const std::size_t width = at.shape().head_dim(), hidden = at.shape().hidden, heads = z.cols() / width;
  at.for_texts([&](const text_rows& text) {
    if (text.rows == 0) return;
    const auto result = memory.result.as(text.rows, heads * hidden);
    const auto before = memory.before.as(text.rows, heads * hidden);
    const auto shares = result.template reshape<3>({text.rows, heads, hidden});
    for (std::size_t head = 0; head < heads; ++head) {
      at.backend().linear(in{z.slice(text.row, text.rows).columns(head * width, width)}, w.columns(head * width, width),
                          pointer_to<const T, typename Layer::space>{}, result.columns(head * hidden, hidden));
    }
    constexpr bool edited = Layer::template edits<site::result>;
    if constexpr (edited) at.backend().copy(in{result}, before);
    at.template show<site::result>(text, shares);
    if constexpr (edited) {
      using cube = typename Layer::template const_view<3>;
      at.backend().sum_heads(cube{shares}, cube{before.template reshape<3>(shares.shape())}, bias,
                             out.slice(text.row, text.rows));
    }
  });
}

}  // namespace detail

/// OPT's block. Pre-LN: the stream plus attention of its LayerNorm, then plus the MLP of its LayerNorm. Post-LN, as in
/// 350m: each LayerNorm follows an addition. In the last layer, once keys are computed, positions before the first one
/// any probe wants are skipped.
struct decoder_block {
  using sites = site_list<site::ln1_scale, site::ln1, site::q, site::k, site::v, site::scores, site::pattern, site::z,
                          site::result, site::attn_out, site::resid_mid, site::ln2_scale, site::ln2, site::mlp_pre,
                          site::mlp_post, site::mlp_out>;

  template <class Run>
  [[nodiscard]] auto prepare(const Run& run) const {
    return decoder_memory<typename Run::scalar, typename Run::space>::for_run(run);
  }

  template <class Layer, class Memory>
  void operator()(Layer& at, Memory& memory) const {
    using in = typename Layer::template const_view<2>;
    const auto& weights = at.weights();
    const bool pre = at.shape().pre_layer_norm;
    auto stream = at.stream(), normed = memory.normed.view().slice(0, at.rows());

    if (pre) at.template norm<site::ln1, site::ln1_scale>(stream, weights.ln1, normed);
    attention(at, pre ? normed : stream, memory);
    if (at.rows() == 0) return;
    stream = at.stream();
    normed = normed.slice(0, at.rows());
    const auto out = memory.out.view().slice(0, at.rows());
    at.template offer<site::attn_out>(out);
    at.backend().add(in{out}, stream);
    if (!pre) at.template norm<site::ln1, site::ln1_scale>(stream, weights.ln1, stream);
    at.template offer<site::resid_mid>(stream);

    if (pre) at.template norm<site::ln2, site::ln2_scale>(stream, weights.ln2, normed);
    mlp(at, pre ? normed : stream, out, memory);
    at.template offer<site::mlp_out>(out);
    at.backend().add(in{out}, stream);
    if (!pre) at.template norm<site::ln2, site::ln2_scale>(stream, weights.ln2, stream);
  }

  /// x (row, hidden) to memory.out (row, hidden): W_O softmax(q·k / sqrt(head_dim)) v, head by head. Skips what no
  /// probe wants of the last layer.
  template <class Layer, class Memory>
  static void attention(Layer& at, typename Layer::template const_view<2> x, Memory& memory) {
    const auto& weights = at.weights();
    const std::size_t head_dim = at.shape().head_dim(), width = weights.out.weight.cols();  // of this layer's heads
    const auto qkv = memory.qkv.as(at.rows(), 3 * width);
    at.backend().linear(x, weights.qkv.weight, weights.qkv.bias, qkv);
    const auto q = qkv.columns(0, width), k = qkv.columns(width, width), v = qkv.columns(2 * width, width);
    at.template offer<site::q>(detail::by_head(q, head_dim));
    at.template offer<site::k>(detail::by_head(k, head_dim));
    at.template offer<site::v>(detail::by_head(v, head_dim));

    at.skip_unwanted();
    const auto z = memory.z.as(at.rows(), width);
    mix_values(at, q, k, v, z, memory);
    if (at.rows() == 0) return;
    at.template offer<site::z>(detail::by_head(z, head_dim));
    const auto out = memory.out.view().slice(0, at.rows());
    at.backend().linear(typename Layer::template const_view<2>{z}, weights.out.weight, weights.out.bias, out);
    if constexpr (Layer::template lists<site::result>) {
      if (at.template wanted<site::result>()) detail::show_result(at, z, weights.out.bias, out, memory);
    }
  }

  /// x (row, hidden) to out (row, hidden).
  template <class Layer, class Memory>
  static void mlp(Layer& at, typename Layer::template const_view<2> x, typename Layer::template view<2> out,
                  Memory& memory) {
    const auto& weights = at.weights();
    const auto neurons = memory.neurons.as(at.rows(), weights.fc1.weight.rows());
    at.backend().linear(x, weights.fc1.weight, weights.fc1.bias, neurons);
    at.template offer<site::mlp_pre>(neurons);
    at.backend().activate(at.shape().nonlinearity, neurons);
    at.template offer<site::mlp_post>(neurons);
    at.backend().linear(typename Layer::template const_view<2>{neurons}, weights.fc2.weight, weights.fc2.bias, out);
  }

 private:
  /// z (row, width): pattern times v, of each text and head. q, k and v have the rows before any was skipped.
  template <class Layer, class View, class Memory>
  static void mix_values(Layer& at, View q, View k, View v, View z, Memory& memory) {
    using text_view = attention_text<typename Layer::scalar, typename Layer::space>;
    const std::size_t heads = z.cols() / at.shape().head_dim();
    memory.texts.clear();
    at.for_texts([&](const text_rows& text) {
      const auto [keys, values] =
          at.with_cached(text, k.slice(text.run_row, text.run_all), v.slice(text.run_row, text.run_all));
      if (text.rows == 0) return;
      const text_view part{.q = q.slice(text.run_row + text.run_all - text.rows, text.rows),
                           .k = keys,
                           .v = values,
                           .z = z.slice(text.row, text.rows)};
      if constexpr (Layer::template lists<site::scores> || Layer::template lists<site::pattern>) {
        if (at.template wanted<site::scores>() || at.template wanted<site::pattern>()) {
          const auto square = memory.square.as(heads, text.rows, keys.rows());
          at.backend().attention_scores(part.q, part.k, square);
          at.template show<site::scores>(text, square);
          at.backend().attention_softmax(square);
          at.template show<site::pattern>(text, square);
          at.backend().attention_mix(typename Layer::template const_view<3>{square}, part.v, part.z);
          return;
        }
      }
      memory.texts.push_back(part);
    });
    if (!memory.texts.empty()) at.backend().attention(std::span<const text_view>{memory.texts}, heads);
  }
};

}  // namespace optscope
