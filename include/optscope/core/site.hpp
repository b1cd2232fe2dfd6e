// SPDX-License-Identifier: MIT
#pragma once
// Sites: the named places of the forward pass at which activations can be seen, with TransformerLens's names.

#include <array>
#include <cstddef>
#include <limits>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <string>
#include <string_view>
#include <type_traits>

namespace optscope {

/// What an axis of a site's tensor counts.
enum class axis {
  none,        ///< no axis: the site has fewer than three
  position,    ///< tokens of one text that are run
  head,        ///< attention heads
  key,         ///< tokens that a token can see, cached ones included
  hidden,      ///< elements of the residual stream
  head_dim,    ///< elements of one head
  ffn,         ///< neurons of the MLP
  vocabulary,  ///< tokens that can come next
  one          ///< a single number
};

/// Where in the forward pass a site is.
enum class site_stage {
  embedding,  ///< before the first layer
  layer,      ///< in every layer
  output      ///< after the last layer
};

/// What the first axes of a site's tensor count.
enum class site_layout {
  position,  ///< (position, ...): one row per token, so that rows of several texts can be stacked
  head       ///< (head, position, key): one matrix per head
};

/// Everything that the library knows of a site. All else is derived from it: shapes, checks, names of tensors, options
/// of programs, the table in sites.md.
struct site_info {
  std::string_view name;
  site_stage stage;
  std::array<axis, 3> axes;                             ///< the first is `position`, or `head` of (head, position, key)
  bool additive = false;                                ///< a summand of the residual stream
  double later_keys = 0;                                ///< value where the key is later than the position
  bool (*exists)(const architecture& shape) = nullptr;  ///< whether a model has it; null: every model does
  std::string_view about;                               ///< one sentence
  std::string_view post_ln = {};                        ///< what differs if LayerNorm follows the blocks, as in 350m

  [[nodiscard]] constexpr std::size_t rank() const { return axes[2] == axis::none ? 2 : 3; }
  [[nodiscard]] constexpr bool has(axis which) const {
    return axes[0] == which || axes[1] == which || axes[2] == which;
  }
  [[nodiscard]] constexpr bool per_layer() const { return stage == site_stage::layer; }
  [[nodiscard]] constexpr site_layout layout() const {
    return axes[0] == axis::head ? site_layout::head : site_layout::position;
  }
  [[nodiscard]] constexpr bool exists_in(const architecture& shape) const { return !exists || exists(shape); }
};

/// Which activation a probe is shown.
struct place {
  std::size_t text = 0;            ///< index into the batch
  std::size_t layer = 0;           ///< 0 for sites without a layer
  std::size_t first_position = 0;  ///< position of the first row
};

/// The sites as types. To add one, write a struct with an `info` here and put it into `all_sites` below, in the order
/// of the forward pass; the decoder block has to offer it. A custom block may offer new sites, which are
/// defined next to it in the same way and are not in `all_sites`.
namespace site {

/// The base of every site: what is used of its `info` in types.
template <class Site>
struct description {
  static constexpr std::string_view name = Site::info.name;
  static constexpr std::size_t rank = Site::info.rank();
  static constexpr site_stage stage = Site::info.stage;
  static constexpr bool per_layer = Site::info.per_layer();
  static constexpr site_layout layout = Site::info.layout();
  static constexpr bool exists(const architecture& shape) { return Site::info.exists_in(shape); }
};

struct embed : description<embed> {
  static constexpr site_info info{
      .name = "embed",
      .stage = site_stage::embedding,
      .axes = {axis::position, axis::hidden},
      .additive = true,
      .about = "Token embedding, after `project_in` where the model has one.",
  };
};
struct pos_embed : description<pos_embed> {
  static constexpr site_info info{
      .name = "pos_embed",
      .stage = site_stage::embedding,
      .axes = {axis::position, axis::hidden},
      .additive = true,
      .about = "Learned position embedding.",
  };
};
struct resid_pre : description<resid_pre> {
  static constexpr site_info info{
      .name = "resid_pre",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .about = "The layer's input: the stream.",
  };
};
struct ln1_scale : description<ln1_scale> {
  static constexpr site_info info{
      .name = "ln1_scale",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::one},
      .about = "What the LayerNorm `ln1` divides by: sqrt(variance + 1e-5) of `resid_pre`.",
      .post_ln = "of `resid_pre` + `attn_out`",
  };
};
struct ln1 : description<ln1> {
  static constexpr site_info info{
      .name = "ln1",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .about = "LayerNorm of `resid_pre`, weights included: what `q`, `k` and `v` are computed from.",
      .post_ln = "LayerNorm of `resid_pre` + `attn_out`: the same values as `resid_mid`",
  };
};
struct q : description<q> {
  static constexpr site_info info{
      .name = "q",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::head, axis::head_dim},
      .about = "Queries, bias included, before the factor 1/sqrt(head_dim).",
      .post_ln = "computed from `resid_pre`",
  };
};
struct k : description<k> {
  static constexpr site_info info{
      .name = "k",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::head, axis::head_dim},
      .about = "Keys, bias included.",
      .post_ln = "computed from `resid_pre`",
  };
};
struct v : description<v> {
  static constexpr site_info info{
      .name = "v",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::head, axis::head_dim},
      .about = "Values, bias included.",
      .post_ln = "computed from `resid_pre`",
  };
};
struct scores : description<scores> {
  static constexpr site_info info{
      .name = "scores",
      .stage = site_stage::layer,
      .axes = {axis::head, axis::position, axis::key},
      .later_keys = -std::numeric_limits<double>::infinity(),
      .about = "`q`·`k`/sqrt(head_dim), minus infinity where the key is later than the position.",
  };
};
struct pattern : description<pattern> {
  static constexpr site_info info{
      .name = "pattern",
      .stage = site_stage::layer,
      .axes = {axis::head, axis::position, axis::key},
      .about = "Softmax of `scores` over the keys.",
  };
};
struct z : description<z> {
  static constexpr site_info info{
      .name = "z",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::head, axis::head_dim},
      .about = "`pattern` times `v`, before W_O.",
  };
};
struct result : description<result> {
  static constexpr site_info info{
      .name = "result",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::head, axis::hidden},
      .about = "`z` of each head through its part of W_O, without the bias: its share of `attn_out`.",
  };
};
struct attn_out : description<attn_out> {
  static constexpr site_info info{
      .name = "attn_out",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .additive = true,
      .about = "Output of attention: the sum of `result` over the heads plus the bias of W_O.",
      .post_ln = "added before `ln1`",
  };
};
struct resid_mid : description<resid_mid> {
  static constexpr site_info info{
      .name = "resid_mid",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .about = "The stream between attention and MLP: `resid_pre` + `attn_out`.",
      .post_ln = "after `ln1`",
  };
};
struct ln2_scale : description<ln2_scale> {
  static constexpr site_info info{
      .name = "ln2_scale",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::one},
      .about = "What the LayerNorm `ln2` divides by: sqrt(variance + 1e-5) of `resid_mid`.",
      .post_ln = "of `resid_mid` + `mlp_out`",
  };
};
struct ln2 : description<ln2> {
  static constexpr site_info info{
      .name = "ln2",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .about = "LayerNorm of `resid_mid`, weights included: what `mlp_pre` is computed from.",
      .post_ln = "LayerNorm of `resid_mid` + `mlp_out`: the same values as `resid_post`",
  };
};
struct mlp_pre : description<mlp_pre> {
  static constexpr site_info info{
      .name = "mlp_pre",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::ffn},
      .about = "Neurons before the nonlinearity, bias included.",
      .post_ln = "computed from `resid_mid`",
  };
};
struct mlp_post : description<mlp_post> {
  static constexpr site_info info{
      .name = "mlp_post",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::ffn},
      .about = "Neurons after the nonlinearity.",
  };
};
struct mlp_out : description<mlp_out> {
  static constexpr site_info info{
      .name = "mlp_out",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .additive = true,
      .about = "Output of the MLP, bias included.",
      .post_ln = "added before `ln2`",
  };
};
struct resid_post : description<resid_post> {
  static constexpr site_info info{
      .name = "resid_post",
      .stage = site_stage::layer,
      .axes = {axis::position, axis::hidden},
      .about = "The layer's output: `resid_mid` + `mlp_out`. That of the last layer is before `ln_final`.",
      .post_ln = "after `ln2`",
  };
};
struct ln_final_scale : description<ln_final_scale> {
  static constexpr site_info info{
      .name = "ln_final_scale",
      .stage = site_stage::output,
      .axes = {axis::position, axis::one},
      .exists = [](const architecture& shape) { return shape.final_layer_norm; },
      .about = "What the LayerNorm `ln_final` divides by: sqrt(variance + 1e-5) of the last `resid_post`.",
      .post_ln = "none",
  };
};
struct ln_final : description<ln_final> {
  static constexpr site_info info{
      .name = "ln_final",
      .stage = site_stage::output,
      .axes = {axis::position, axis::hidden},
      .exists = [](const architecture& shape) { return shape.final_layer_norm; },
      .about = "LayerNorm after the last layer, weights included, where the model has one.",
      .post_ln = "none",
  };
};
struct logits : description<logits> {
  static constexpr site_info info{
      .name = "logits",
      .stage = site_stage::output,
      .axes = {axis::position, axis::vocabulary},
      .about = "Scores of the next token, before the softmax.",
  };
};

}  // namespace site

/// A list of sites as a type.
template <class... Sites>
struct site_list {
  static constexpr std::size_t size = sizeof...(Sites);
  template <class Site>
  static constexpr bool contains = (std::is_same_v<Site, Sites> || ...);
  /// The place of a site in the list; `size` if it is not there.
  template <class Site>
  static constexpr std::size_t index = [] {
    std::size_t before = 0;
    static_cast<void>(((std::is_same_v<Site, Sites> || (++before, false)) || ...));
    return before;
  }();
  /// [site] What each is.
  static constexpr std::array<const site_info*, sizeof...(Sites)> infos{&Sites::info...};

  /// Calls `action(Site{})` for every site of the list, in order.
  template <class Action>
  static constexpr void for_each(Action&& action) {
    (action(Sites{}), ...);
  }
};

namespace detail {
/// The lists one after the other.
template <class... Lists>
struct joined_sites;
template <>
struct joined_sites<> {
  using type = site_list<>;
};
template <class... Sites>
struct joined_sites<site_list<Sites...>> {
  using type = site_list<Sites...>;
};
template <class... A, class... B, class... More>
struct joined_sites<site_list<A...>, site_list<B...>, More...> : joined_sites<site_list<A..., B...>, More...> {};

template <class List>
struct sites_of_every_model;
template <class... Sites>
struct sites_of_every_model<site_list<Sites...>>
    : joined_sites<std::conditional_t<Sites::info.exists == nullptr, site_list<Sites>, site_list<>>...> {};
}  // namespace detail

/// Every site of OPT's decoder, in the order of the forward pass.
using all_sites = site_list<site::embed, site::pos_embed, site::resid_pre, site::ln1_scale, site::ln1, site::q, site::k,
                            site::v, site::scores, site::pattern, site::z, site::result, site::attn_out,
                            site::resid_mid, site::ln2_scale, site::ln2, site::mlp_pre, site::mlp_post, site::mlp_out,
                            site::resid_post, site::ln_final_scale, site::ln_final, site::logits>;

/// Those that every model has.
using common_sites = detail::sites_of_every_model<all_sites>::type;

/// Number of elements along an axis; 1 for `position` and `key`, which depend on the text.
[[nodiscard]] std::size_t extent_of(axis which, const architecture& shape);

/// Extents of a site's axes after the first: {width, 1} or {head, width}; {head, 1} for (head, position, key).
[[nodiscard]] std::array<std::size_t, 2> inner_shape(const site_info& site, const architecture& shape);
template <class Site>
[[nodiscard]] std::array<std::size_t, 2> inner_shape(Site, const architecture& shape) {
  return inner_shape(Site::info, shape);
}

/// The axes in words, such as `position, head, head_dim`.
[[nodiscard]] std::string axes_text(const site_info& site);

/// `SITE.LAYER`, or `SITE` for a site that has no layer: how tensors are named in files.
[[nodiscard]] std::string name_of(const site_info& site, std::size_t layer);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/site.ipp>
#endif
