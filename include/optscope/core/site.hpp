// SPDX-License-Identifier: MIT
#pragma once
// Sites: the named places of the forward pass at which activations can be seen, with TransformerLens's names.

#include <array>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/tensor.hpp>
#include <string_view>
#include <type_traits>

namespace optscope {

/// What the first axes of a site's tensor count.
enum class site_layout {
  position,  ///< (position, ...): one row a token, so that rows of several texts can be stacked
  head       ///< (head, position, key): one matrix a head
};

/// Which activation a probe is shown.
struct place {
  std::size_t text = 0;            ///< index into the batch
  std::size_t layer = 0;           ///< 0 for sites without a layer
  std::size_t first_position = 0;  ///< position of the first row
};

namespace site {

/// What every site says of itself; `Additive` sites are summands of the residual stream. Each has a `name`, the `axes`
/// of its tensor, `about`, and `post_ln`: what is different where LayerNorm comes behind the blocks, as in 350m.
template <std::size_t Rank, bool PerLayer, bool Additive, site_layout Layout = site_layout::position>
struct description {
  static constexpr std::size_t rank = Rank;
  static constexpr bool per_layer = PerLayer;
  static constexpr bool additive = Additive;
  static constexpr site_layout layout = Layout;
  static constexpr std::string_view post_ln{};
  static constexpr bool exists(const architecture&) { return true; }
};

struct embed : description<2, false, true> {
  static constexpr std::string_view name = "embed", axes = "position, hidden";
  static constexpr std::string_view about = "Token embedding, after `project_in` where the model has one.";
};
struct pos_embed : description<2, false, true> {
  static constexpr std::string_view name = "pos_embed", axes = "position, hidden";
  static constexpr std::string_view about = "Learned position embedding.";
};
struct resid_pre : description<2, true, false> {
  static constexpr std::string_view name = "resid_pre", axes = "position, hidden";
  static constexpr std::string_view about = "The layer's input: the stream.";
};
struct ln1_scale : description<2, true, false> {
  static constexpr std::string_view name = "ln1_scale", axes = "position, 1";
  static constexpr std::string_view about =
      "What the LayerNorm `ln1` divides by: sqrt(variance + 1e-5) of `resid_pre`.";
  static constexpr std::string_view post_ln = "of `resid_pre` + `attn_out`";
};
struct ln1 : description<2, true, false> {
  static constexpr std::string_view name = "ln1", axes = "position, hidden";
  static constexpr std::string_view about =
      "LayerNorm of `resid_pre`, weights included: what `q`, `k` and `v` are computed from.";
  static constexpr std::string_view post_ln = "LayerNorm of `resid_pre` + `attn_out`: the same values as `resid_mid`";
};
struct q : description<3, true, false> {
  static constexpr std::string_view name = "q", axes = "position, head, head_dim";
  static constexpr std::string_view about = "Queries, bias included, before the factor 1/sqrt(head_dim).";
  static constexpr std::string_view post_ln = "computed from `resid_pre`";
};
struct k : description<3, true, false> {
  static constexpr std::string_view name = "k", axes = "position, head, head_dim";
  static constexpr std::string_view about = "Keys, bias included.";
  static constexpr std::string_view post_ln = "computed from `resid_pre`";
};
struct v : description<3, true, false> {
  static constexpr std::string_view name = "v", axes = "position, head, head_dim";
  static constexpr std::string_view about = "Values, bias included.";
  static constexpr std::string_view post_ln = "computed from `resid_pre`";
};
struct scores : description<3, true, false, site_layout::head> {
  static constexpr std::string_view name = "scores", axes = "head, position, key";
  static constexpr std::string_view about =
      "`q`·`k`/sqrt(head_dim), minus infinity where the key is later than the position.";
};
struct pattern : description<3, true, false, site_layout::head> {
  static constexpr std::string_view name = "pattern", axes = "head, position, key";
  static constexpr std::string_view about = "Softmax of `scores` over the keys.";
};
struct z : description<3, true, false> {
  static constexpr std::string_view name = "z", axes = "position, head, head_dim";
  static constexpr std::string_view about = "`pattern` times `v`, before W_O.";
};
struct result : description<3, true, false> {
  static constexpr std::string_view name = "result", axes = "position, head, hidden";
  static constexpr std::string_view about =
      "`z` of each head through its part of W_O, without the bias: its share of `attn_out`.";
};
struct attn_out : description<2, true, true> {
  static constexpr std::string_view name = "attn_out", axes = "position, hidden";
  static constexpr std::string_view about =
      "Output of attention: the sum of `result` over the heads plus the bias of W_O.";
  static constexpr std::string_view post_ln = "added in front of `ln1`";
};
struct resid_mid : description<2, true, false> {
  static constexpr std::string_view name = "resid_mid", axes = "position, hidden";
  static constexpr std::string_view about = "The stream between attention and MLP: `resid_pre` + `attn_out`.";
  static constexpr std::string_view post_ln = "behind `ln1`";
};
struct ln2_scale : description<2, true, false> {
  static constexpr std::string_view name = "ln2_scale", axes = "position, 1";
  static constexpr std::string_view about =
      "What the LayerNorm `ln2` divides by: sqrt(variance + 1e-5) of `resid_mid`.";
  static constexpr std::string_view post_ln = "of `resid_mid` + `mlp_out`";
};
struct ln2 : description<2, true, false> {
  static constexpr std::string_view name = "ln2", axes = "position, hidden";
  static constexpr std::string_view about =
      "LayerNorm of `resid_mid`, weights included: what `mlp_pre` is computed from.";
  static constexpr std::string_view post_ln = "LayerNorm of `resid_mid` + `mlp_out`: the same values as `resid_post`";
};
struct mlp_pre : description<2, true, false> {
  static constexpr std::string_view name = "mlp_pre", axes = "position, ffn";
  static constexpr std::string_view about = "Neurons before the nonlinearity, bias included.";
  static constexpr std::string_view post_ln = "computed from `resid_mid`";
};
struct mlp_post : description<2, true, false> {
  static constexpr std::string_view name = "mlp_post", axes = "position, ffn";
  static constexpr std::string_view about = "Neurons after the nonlinearity.";
};
struct mlp_out : description<2, true, true> {
  static constexpr std::string_view name = "mlp_out", axes = "position, hidden";
  static constexpr std::string_view about = "Output of the MLP, bias included.";
  static constexpr std::string_view post_ln = "added in front of `ln2`";
};
struct resid_post : description<2, true, false> {
  static constexpr std::string_view name = "resid_post", axes = "position, hidden";
  static constexpr std::string_view about =
      "The layer's output: `resid_mid` + `mlp_out`. That of the last layer is before `ln_final`.";
  static constexpr std::string_view post_ln = "behind `ln2`";
};
struct ln_final_scale : description<2, false, false> {
  static constexpr std::string_view name = "ln_final_scale", axes = "position, 1";
  static constexpr std::string_view about =
      "What the LayerNorm `ln_final` divides by: sqrt(variance + 1e-5) of the last `resid_post`.";
  static constexpr std::string_view post_ln = "none";
  static constexpr bool exists(const architecture& shape) { return shape.final_layer_norm; }
};
struct ln_final : description<2, false, false> {
  static constexpr std::string_view name = "ln_final", axes = "position, hidden";
  static constexpr std::string_view about =
      "LayerNorm behind the last layer, weights included, where the model has one.";
  static constexpr std::string_view post_ln = "none";
  static constexpr bool exists(const architecture& shape) { return shape.final_layer_norm; }
};
struct logits : description<2, false, false> {
  static constexpr std::string_view name = "logits", axes = "position, vocabulary";
  static constexpr std::string_view about = "Scores of the next token, before the softmax.";
};

}  // namespace site

/// A list of sites as a type.
template <class... Sites>
struct site_list {
  template <class Site>
  static constexpr bool contains = (std::is_same_v<Site, Sites> || ...);

  /// Calls `action(Site{})` for every site of the list, in order.
  template <class Action>
  static constexpr void for_each(Action&& action) {
    (action(Sites{}), ...);
  }
};

/// Extents of a site's axes after the first: {width, 1} or {head, width}; {head, 1} for (head, position, key).
template <class Site>
[[nodiscard]] constexpr std::array<std::size_t, 2> inner_shape(Site, const architecture& shape) {
  if constexpr (Site::layout == site_layout::head) {
    return {shape.heads, 1};
  } else if constexpr (std::is_same_v<Site, site::result>) {
    return {shape.heads, shape.hidden};
  } else if constexpr (Site::rank == 3) {
    return {shape.heads, shape.head_dim()};
  } else if constexpr (std::is_same_v<Site, site::mlp_pre> || std::is_same_v<Site, site::mlp_post>) {
    return {shape.ffn, 1};
  } else if constexpr (std::is_same_v<Site, site::logits>) {
    return {shape.vocabulary, 1};
  } else if constexpr (Site::axes == "position, 1") {
    return {1, 1};
  } else {
    return {shape.hidden, 1};
  }
}

/// Every site, in the order in which the forward pass comes by.
using all_sites = site_list<site::embed, site::pos_embed, site::resid_pre, site::ln1_scale, site::ln1, site::q, site::k,
                            site::v, site::scores, site::pattern, site::z, site::result, site::attn_out,
                            site::resid_mid, site::ln2_scale, site::ln2, site::mlp_pre, site::mlp_post, site::mlp_out,
                            site::resid_post, site::ln_final_scale, site::ln_final, site::logits>;

}  // namespace optscope
