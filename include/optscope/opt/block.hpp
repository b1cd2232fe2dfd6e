// SPDX-License-Identifier: MIT
#pragma once
// The concept of a decoder block: what a model does to the stream in one layer.

#include <concepts>
#include <cstddef>
#include <optscope/core/site.hpp>
#include <optscope/opt/forward.hpp>
#include <optscope/opt/weights.hpp>
#include <type_traits>
#include <utility>

namespace optscope {

/// A decoder block: takes the stream of a chunk of texts through one layer, and shows sites on the way.
///
///     struct mlp_only {                                                    // a block without attention
///       using sites = site_list<site::ln2, site::mlp_out>;                 // what it offers
///
///       template <class Run>                                               // once per run: its memory
///       auto prepare(const Run& run) const {
///         return tensor_in<typename Run::scalar, 2, typename Run::space>{
///             run.backend(), {run.chunk_rows(), run.shape().hidden + run.shape().ffn}};
///       }
///
///       template <class Layer, class Memory>                               // once per layer and chunk
///       void operator()(Layer& at, Memory& memory) const;
///     };
///     model<any_opt, float, cpu, mapped_weights<float>, mlp_only> opt{files};
///
/// * `sites` lists the sites that the block offers; a probe that lists another one does not compile. The model itself
///   offers `resid_pre` before the block and `resid_post` after it.
/// * `prepare(run)` returns the memory of a run, of any type, sized once. `run` is a `const forward_pass&`: see
///   `chunk_rows`, `longest`, `square`, `shape`, `plan`, `cache`, `wanted_anywhere` there.
/// * `operator()(at, memory)` is the layer. `at` is a `layer_run&`: `stream` in and out, `weights`, `backend`, `shape`,
///   `for_texts`, `with_cached`, `skip_unwanted`, and for sites `offer`, `show`, `norm`, `wanted`.
///
/// All of it is in the backend's memory, `Run::space` and `Layer::space`: views are `Layer::view<2>` and
/// `Layer::const_view<2>`. A block that reads elements itself runs on backends of the host's memory alone.
///
/// The last two are templates, because the types of `run` and `at` depend on the probes. What a text's rows become must
/// not depend on other texts. A model keeps its block: `opt.block()`. README.md in this folder has a whole program.
template <class B, class T, class Backend>
concept block_for =
    std::move_constructible<B> &&
    requires(B block, const forward_pass<T, Backend>& run, layer_run<T, Backend>& at) {
      typename B::sites;
      { block.prepare(run) } -> std::move_constructible;
    } &&
    requires(B block, layer_run<T, Backend>& at,
             decltype(std::declval<B&>().prepare(std::declval<const forward_pass<T, Backend>&>()))& memory) {
      block(at, memory);
    };

namespace detail {

/// True if a model with this block shows the site: one of the block's, the model's own in a layer, or outside layers.
template <class Block, class Site>
inline constexpr bool block_has_site = !Site::per_layer || Block::sites::template contains<Site> ||
                                       std::is_same_v<Site, site::resid_pre> || std::is_same_v<Site, site::resid_post>;

}  // namespace detail
}  // namespace optscope
