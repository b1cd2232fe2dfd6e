// SPDX-License-Identifier: MIT
#pragma once
// What a study of isolation removes, and how much it measures.

#include <cstddef>
#include <cstdint>
#include <optional>

namespace optscope {

struct isolation_settings {
  std::size_t kept = 0;                  ///< the category to keep
  bool only_kept = false;                ///< every other category is not kept in turn
  bool search = true;                    ///< measure curves and search the smallest removal
  std::optional<double> share{};         ///< of the units to remove, without a search
  bool compare_sets = true;              ///< how much sets from halves of the texts overlap
  std::size_t held_out = 512;            ///< tokens of each category whose loss is measured on curves
  std::size_t held_out_finally = 16384;  ///< in the end; windows drawn evenly from all held-out texts if they have more
  std::size_t prompts = 16;              ///< of each category on curves; three times as many others in the end
  std::size_t prompt_tokens = 32;        ///< of a prompt
  std::size_t draws = 3;                 ///< random removals for each point
  std::optional<std::size_t> points{};   ///< of a curve; otherwise 20, or as many as `minutes` allow
  double minutes = 10;                   ///< about how long all removals may take
  double sure_on_curves = 0.85;          ///< see `measurement::sure`
  std::uint64_t seed = 0;                ///< of prompts and random removals
};

}  // namespace optscope
