// SPDX-License-Identifier: MIT
#pragma once
// Bodies of patching.hpp.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optscope/core/errors.hpp>
#include <optscope/residual/patching.hpp>
#include <string>

namespace optscope::detail {

OPTSCOPE_INLINE std::size_t checked_prompts(const architecture& shape, const token_list& clean,
                                            const token_list& corrupted, const logit_pair& pair) {
  const auto refuse_token = [&](token_id token) {
    if (token >= 0 && static_cast<std::size_t>(token) < shape.vocabulary) return;
    throw bad_input{"", "token of a patching sweep", "an id below " + std::to_string(shape.vocabulary),
                    std::to_string(token)};
  };
  refuse_token(pair.answer);
  if (pair.instead) refuse_token(*pair.instead);
  if (pair.instead == pair.answer) {
    throw bad_input{"", "tokens of a patching sweep", "two different ones", std::to_string(pair.answer) + " twice"};
  }
  const std::string item = "clean and corrupted prompt";
  if (clean.size() != corrupted.size()) {
    throw bad_input{"", item, "as many tokens in one as in the other",
                    std::to_string(clean.size()) + " and " + std::to_string(corrupted.size())};
  }
  const auto first = std::ranges::mismatch(clean, corrupted).in1;
  if (first == clean.end()) throw bad_input{"", item, "different tokens", "the same"};
  return static_cast<std::size_t>(first - clean.begin());
}

OPTSCOPE_INLINE void require_restorable(double clean, double corrupted, double largest) {
  if (clean - corrupted > 1e-3 * largest) return;
  char found[120];
  std::snprintf(found, sizeof found, "differences of logits %.4g for the clean and %.4g for the corrupted one", clean,
                corrupted);
  throw bad_input{"", "clean and corrupted prompt",
                  "a clean prompt that prefers the answer more than the corrupted one does", found};
}

OPTSCOPE_INLINE std::size_t patches_at_once(const architecture& shape, std::size_t tokens, std::size_t scalar_size,
                                            const patching_options& how) {
  if (how.at_once != 0) return how.at_once;
  const std::size_t each = 2 * shape.layers * shape.hidden * tokens * scalar_size;
  return std::clamp<std::size_t>((std::size_t{1} << 28) / std::max<std::size_t>(each, 1), 1, 64);
}

OPTSCOPE_INLINE patch_sweep sweep_of(tensor<double, 2> effect, tensor_view<const double, 2> random, double difference) {
  patch_sweep result{.effect = std::move(effect), .share = {}, .usual = {}, .p = {}};
  const random_pair_level level = level_of_random_pairs({result.effect.data(), result.effect.size()}, random);
  for (tensor<double, 2>* each : {&result.share, &result.usual, &result.p}) each->resize(result.effect.shape());
  for (std::size_t i = 0; i < result.effect.size(); ++i) {
    result.share.data()[i] = result.effect.data()[i] / difference;
    result.usual.data()[i] = level.usual[i] / difference;
  }
  std::ranges::copy(level.p, result.p.data());
  return result;
}

}  // namespace optscope::detail
