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

/// What every site says of itself; `Additive` sites are summands of the residual stream.
template <std::size_t Rank, bool PerLayer, bool Additive, site_layout Layout = site_layout::position>
struct description {
  static constexpr std::size_t rank = Rank;
  static constexpr bool per_layer = PerLayer;
  static constexpr bool additive = Additive;
  static constexpr site_layout layout = Layout;
  static constexpr bool exists(const architecture&) { return true; }
};

/// (position, hidden) Token embedding, after `project_in` where the model has one.
struct embed : description<2, false, true> {
  static constexpr std::string_view name = "embed";
};
/// (position, hidden) Learned position embedding.
struct pos_embed : description<2, false, true> {
  static constexpr std::string_view name = "pos_embed";
};
/// (position, hidden) The layer's input.
struct resid_pre : description<2, true, false> {
  static constexpr std::string_view name = "resid_pre";
};
/// (position, hidden) Output of the attention block's LayerNorm: before it (pre-LN) or after the addition (post-LN).
struct ln1 : description<2, true, false> {
  static constexpr std::string_view name = "ln1";
};
/// (position, head, head_dim) Queries, bias included, before the factor 1/sqrt(head_dim).
struct q : description<3, true, false> {
  static constexpr std::string_view name = "q";
};
/// (position, head, head_dim) Keys.
struct k : description<3, true, false> {
  static constexpr std::string_view name = "k";
};
/// (position, head, head_dim) Values.
struct v : description<3, true, false> {
  static constexpr std::string_view name = "v";
};
/// (head, position, key) q·k/sqrt(head_dim), minus infinity where the key is later than the position.
struct scores : description<3, true, false, site_layout::head> {
  static constexpr std::string_view name = "scores";
};
/// (head, position, key) Softmax of `scores` over the keys.
struct pattern : description<3, true, false, site_layout::head> {
  static constexpr std::string_view name = "pattern";
};
/// (position, head, head_dim) `pattern` times `v`, before W_O.
struct z : description<3, true, false> {
  static constexpr std::string_view name = "z";
};
/// (position, head, hidden) What each head adds to the stream: `z` through its part of W_O, without the bias.
struct result : description<3, true, false> {
  static constexpr std::string_view name = "result";
};
/// (position, hidden) Sum of `result` over the heads plus the bias of W_O; before the residual addition.
struct attn_out : description<2, true, true> {
  static constexpr std::string_view name = "attn_out";
};
/// (position, hidden) Stream after attention (post-LN: after its LayerNorm).
struct resid_mid : description<2, true, false> {
  static constexpr std::string_view name = "resid_mid";
};
/// (position, hidden) Output of the MLP's LayerNorm: before it (pre-LN) or after the addition (post-LN).
struct ln2 : description<2, true, false> {
  static constexpr std::string_view name = "ln2";
};
/// (position, ffn) Neurons before the nonlinearity.
struct mlp_pre : description<2, true, false> {
  static constexpr std::string_view name = "mlp_pre";
};
/// (position, ffn) Neurons after the nonlinearity.
struct mlp_post : description<2, true, false> {
  static constexpr std::string_view name = "mlp_post";
};
/// (position, hidden) What the MLP adds to the stream.
struct mlp_out : description<2, true, true> {
  static constexpr std::string_view name = "mlp_out";
};
/// (position, hidden) The layer's output (post-LN: after its second LayerNorm); the last one before `ln_final`.
struct resid_post : description<2, true, false> {
  static constexpr std::string_view name = "resid_post";
};
/// (position, hidden) Output of the LayerNorm behind the last layer.
struct ln_final : description<2, false, false> {
  static constexpr std::string_view name = "ln_final";
  static constexpr bool exists(const architecture& shape) { return shape.final_layer_norm; }
};
/// (position, vocabulary) Scores of the next token, before the softmax.
struct logits : description<2, false, false> {
  static constexpr std::string_view name = "logits";
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
  } else {
    return {shape.hidden, 1};
  }
}

/// Every site, in the order in which the forward pass comes by.
using all_sites =
    site_list<site::embed, site::pos_embed, site::resid_pre, site::ln1, site::q, site::k, site::v, site::scores,
              site::pattern, site::z, site::result, site::attn_out, site::resid_mid, site::ln2, site::mlp_pre,
              site::mlp_post, site::mlp_out, site::resid_post, site::ln_final, site::logits>;

}  // namespace optscope
