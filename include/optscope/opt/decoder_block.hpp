// SPDX-License-Identifier: MIT
#pragma once
// OPT's decoder block, for pre-LN and post-LN models.

#include <cstddef>
#include <optscope/backend/backend.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/block.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace optscope {

/// The activations of a chunk of texts in OPT's block; those of a layer with fewer heads or neurons fill less.
template <class T>
struct decoder_memory {
  /// What only some probes need.
  struct wishes {
    bool square = false;  ///< a probe wants scores or pattern
    bool result = false;  ///< a probe wants result
    bool before = false;  ///< one edits it
  };
  decoder_memory(const architecture& shape, std::size_t chunk_rows, std::size_t longest, std::size_t square_size,
                 const wishes& wanted);

  tensor<T, 2> normed;                   // (row, hidden): the LayerNorm's output
  tensor<T, 2> qkv;                      // (row, 3 hidden): q, k, v of a position side by side
  tensor<T, 2> z;                        // (row, hidden)
  tensor<T, 2> out;                      // (row, hidden): what attention or MLP adds to the stream
  tensor<T, 2> neurons;                  // (row, ffn)
  std::vector<T> square;                 // (head, position, key) of one text
  std::vector<T> result;                 // (position, head, hidden) of one text
  std::vector<T> before;                 // the same before it is edited
  std::vector<attention_text<T>> texts;  // of a chunk

  template <class Run>
  [[nodiscard]] static decoder_memory for_run(const Run& run) {
    return {
        run.shape(), run.chunk_rows(), run.longest(), run.square(),
        wishes{.square = run.template wanted_anywhere<site::scores>() || run.template wanted_anywhere<site::pattern>(),
               .result = run.template wanted_anywhere<site::result>(),
               .before = Run::template edits<site::result>}};
  }
};

namespace detail {

/// Rows (row, width) as (row, head, head_dim).
template <class T>
[[nodiscard]] tensor_view<T, 3> by_head(tensor_view<T, 2> rows, std::size_t head_dim) {
  return rows.template reshape<3>({rows.rows(), rows.cols() / head_dim, head_dim});
}

/// Gives the rows of `out` (position, hidden) in which a head's share was edited, so that `result` is no longer what it
/// was `before`, the sum of the shares and the bias.
template <class T>
void sum_edited_heads(tensor_view<const T, 3> result, const T* before, const T* bias, tensor_view<T, 2> out);

/// Shows `result`: each head's z (row, width) through its columns of W_O, text by text; an edit of it changes `out`.
template <class Layer, class T>
void show_result(Layer& at, tensor_view<T, 2> z, const T* bias, tensor_view<T, 2> out, decoder_memory<T>& memory) {
  const matrix_view<T>& w = at.weights().out.weight;
  const std::size_t width = at.shape().head_dim(), hidden = at.shape().hidden, heads = z.cols() / width;
  at.for_texts([&](const text_rows& text) {
    if (text.rows == 0) return;
    const tensor_view<T, 3> result{memory.result.data(), {text.rows, heads, hidden}};
    for (std::size_t head = 0; head < heads; ++head) {
      at.backend().linear(
          tensor_view<const T, 2>{z.row(text.row).data() + head * width, {text.rows, width}, z.stride()},
          w.columns(head * width, width), static_cast<const T*>(nullptr),
          tensor_view<T, 2>{result.data() + head * hidden, {text.rows, hidden}, heads * hidden});
    }
    constexpr bool edited = Layer::template edits<site::result>;
    if constexpr (edited) std::copy_n(result.data(), result.size(), memory.before.data());
    at.template show<site::result>(text, result);
    if constexpr (edited) {
      sum_edited_heads<T>(result, memory.before.data(), bias, out.slice(text.row, text.rows));
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
  [[nodiscard]] decoder_memory<typename Run::scalar> prepare(const Run& run) const {
    return decoder_memory<typename Run::scalar>::for_run(run);
  }

  template <class Layer, class T = typename Layer::scalar>
  void operator()(Layer& at, decoder_memory<T>& memory) const {
    const layer_weights<T>& weights = at.weights();
    const bool pre = at.shape().pre_layer_norm;
    tensor_view<T, 2> stream = at.stream(), normed = memory.normed.view().slice(0, at.rows());

    if (pre) at.template norm<site::ln1, site::ln1_scale>(stream, weights.ln1, normed);
    attention<T>(at, pre ? normed : stream, memory);
    if (at.rows() == 0) return;
    stream = at.stream();
    normed = normed.slice(0, at.rows());
    const tensor_view<T, 2> out = memory.out.view().slice(0, at.rows());
    at.template offer<site::attn_out>(out);
    at.backend().add(tensor_view<const T, 2>{out}, stream);
    if (!pre) at.template norm<site::ln1, site::ln1_scale>(stream, weights.ln1, stream);
    at.template offer<site::resid_mid>(stream);

    if (pre) at.template norm<site::ln2, site::ln2_scale>(stream, weights.ln2, normed);
    mlp<T>(at, pre ? normed : stream, out, memory);
    at.template offer<site::mlp_out>(out);
    at.backend().add(tensor_view<const T, 2>{out}, stream);
    if (!pre) at.template norm<site::ln2, site::ln2_scale>(stream, weights.ln2, stream);
  }

  /// x (row, hidden) to memory.out (row, hidden): W_O softmax(q·k / sqrt(head_dim)) v, head by head. Skips what no
  /// probe wants of the last layer.
  template <class T, class Layer>
  static void attention(Layer& at, tensor_view<const T, 2> x, decoder_memory<T>& memory) {
    const layer_weights<T>& weights = at.weights();
    const std::size_t head_dim = at.shape().head_dim(), width = weights.out.weight.cols();  // of this layer's heads
    const tensor_view<T, 2> qkv{memory.qkv.data(), {at.rows(), 3 * width}};
    at.backend().linear(x, weights.qkv.weight, weights.qkv.bias, qkv);
    const tensor_view<T, 2> q{qkv.data(), {qkv.rows(), width}, qkv.stride()};
    const tensor_view<T, 2> k{qkv.data() + width, {qkv.rows(), width}, qkv.stride()};
    const tensor_view<T, 2> v{qkv.data() + 2 * width, {qkv.rows(), width}, qkv.stride()};
    at.template offer<site::q>(detail::by_head(q, head_dim));
    at.template offer<site::k>(detail::by_head(k, head_dim));
    at.template offer<site::v>(detail::by_head(v, head_dim));

    at.skip_unwanted();
    const tensor_view<T, 2> z{memory.z.data(), {at.rows(), width}};
    mix_values<T>(at, q, k, v, z, memory);
    if (at.rows() == 0) return;
    at.template offer<site::z>(detail::by_head(z, head_dim));
    const tensor_view<T, 2> out = memory.out.view().slice(0, at.rows());
    at.backend().linear(tensor_view<const T, 2>{z}, weights.out.weight, weights.out.bias, out);
    if constexpr (Layer::template lists<site::result>) {
      if (at.template wanted<site::result>()) {
        detail::show_result<Layer, T>(at, z, weights.out.bias, out, memory);
      }
    }
  }

  /// x (row, hidden) to out (row, hidden).
  template <class T, class Layer>
  static void mlp(Layer& at, tensor_view<const T, 2> x, tensor_view<T, 2> out, decoder_memory<T>& memory) {
    const layer_weights<T>& weights = at.weights();
    const tensor_view<T, 2> neurons{memory.neurons.data(), {at.rows(), weights.fc1.weight.rows()}};
    at.backend().linear(x, weights.fc1.weight, weights.fc1.bias, neurons);
    at.template offer<site::mlp_pre>(neurons);
    at.backend().activate(at.shape().nonlinearity, neurons);
    at.template offer<site::mlp_post>(neurons);
    at.backend().linear(tensor_view<const T, 2>{neurons}, weights.fc2.weight, weights.fc2.bias, out);
  }

 private:
  /// z (row, width): pattern times v, of each text and head. q, k and v have the rows before any was skipped.
  template <class T, class Layer>
  static void mix_values(Layer& at, tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<const T, 2> v,
                         tensor_view<T, 2> z, decoder_memory<T>& memory) {
    const std::size_t heads = z.cols() / at.shape().head_dim();
    memory.texts.clear();
    at.for_texts([&](const text_rows& text) {
      const auto [keys, values] =
          at.with_cached(text, k.slice(text.run_row, text.run_all), v.slice(text.run_row, text.run_all));
      if (text.rows == 0) return;
      const attention_text<T> part{.q = q.slice(text.run_row + text.run_all - text.rows, text.rows),
                                   .k = keys,
                                   .v = values,
                                   .z = z.slice(text.row, text.rows)};
      if constexpr (Layer::template lists<site::scores> || Layer::template lists<site::pattern>) {
        if (at.template wanted<site::scores>() || at.template wanted<site::pattern>()) {
          const tensor_view<T, 3> square{memory.square.data(), {heads, text.rows, keys.rows()}};
          at.backend().attention_scores(part.q, part.k, square);
          at.template show<site::scores>(text, square);
          at.backend().attention_softmax(square);
          at.template show<site::pattern>(text, square);
          at.backend().attention_mix(tensor_view<const T, 3>{square}, part.v, part.z);
          return;
        }
      }
      memory.texts.push_back(part);
    });
    if (!memory.texts.empty()) at.backend().attention(std::span{std::as_const(memory.texts)}, heads);
  }
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/decoder_block.ipp>
#endif
