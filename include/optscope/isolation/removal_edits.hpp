// SPDX-License-Identifier: MIT
#pragma once
// A removal as editors: the activations of removed parts are overwritten wherever the model runs.

#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/site.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/probe/edit_list.hpp>

namespace optscope {

/// The edits that a removal is made of.
using removal_edits = basic_edit_list<float, site_list<site::z, site::mlp_post, site::resid_pre>>;
using direction_edits = basic_edit_list<float, site_list<site::resid_pre>>;

/// The directions alone: what `pruned_weights::remove`, which cuts neurons and heads out of the weights, leaves to do.
[[nodiscard]] direction_edits direction_edits_of(const removal& what);

/// Edits of `mlp_post`, `z` and `resid_pre` that remove `what` from a model of this shape:
///
///     removal_edits edits = edits_of(read_removal("edits.json", opt.shape(), fingerprint(opt.files())), opt.shape());
///     generate(opt, prompts, {}, edits);
///
/// `pruned_weights` gives the same logits, to rounding, in less time; directions are then left to `direction_edits_of`.
[[nodiscard]] removal_edits edits_of(const removal& what, const architecture& shape);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/removal_edits.ipp>
#endif
