// SPDX-License-Identifier: MIT
#pragma once
// Whether a text repeats itself: what a model writes is often a loop.

#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>

namespace optscope {

/// Share of different ones among the runs of four tokens of a text, in (0, 1]; 1 for a text below four tokens.
[[nodiscard]] double distinct_share(const token_list& text);

/// Whether fewer than half of a text's runs of four tokens are different: at least half of it was there before. False
/// below 12 tokens, in which there is no room to tell.
[[nodiscard]] bool is_loop(const token_list& text);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/repetition.ipp>
#endif
