// SPDX-License-Identifier: MIT
#pragma once
// Bodies of spectra_plan.hpp.

#include <algorithm>
#include <optscope/spectrum/spectra_plan.hpp>

namespace optscope {

OPTSCOPE_INLINE bool planned_spectra::compared(std::size_t request) const {
  for (const auto* each : {&layers, &lengths, &texts}) {
    for (const std::vector<std::size_t>& of_block : *each) {
      if (std::ranges::count(of_block, request) > 0) return true;
    }
  }
  return false;
}

OPTSCOPE_INLINE std::string short_name_of(block_kind block) { return block == block_kind::mlp ? "mlp" : "attn"; }

OPTSCOPE_INLINE planned_spectra spectra_of(const spectra_plan& plan) {
  planned_spectra result;
  const auto add = [&](block_kind block, std::size_t layer, std::size_t text, std::size_t tokens,
                       const std::string& suffix) {
    const block_request next{.block = block,
                             .layer = layer,
                             .text = text,
                             .tokens = tokens,
                             .name = short_name_of(block) + "-" + std::to_string(layer) + suffix};
    const auto known = std::ranges::find_if(result.requests, [&](const auto& each) { return each.same_as(next); });
    const auto place = static_cast<std::size_t>(known - result.requests.begin());
    if (known == result.requests.end()) result.requests.push_back(next);
    return place;
  };
  for (const block_kind block : plan.blocks) {
    auto& layers = result.layers.emplace_back();
    for (const std::size_t layer : plan.layers) layers.push_back(add(block, layer, plan.texts[0], plan.tokens, ""));
    auto& lengths = result.lengths.emplace_back();
    for (const std::size_t n : plan.lengths) {
      lengths.push_back(add(block, plan.at, plan.texts[0], n, "-length-" + std::to_string(n)));
    }
    auto& texts = result.texts.emplace_back();
    for (const std::size_t text : plan.texts) {
      texts.push_back(add(block, plan.at, text, plan.tokens, "-text-" + std::to_string(text)));
    }
    auto& widths = result.widths.emplace_back();
    if (plan.layers.size() < 2) continue;
    for (const std::size_t text : plan.texts) {
      auto& of_text = widths.emplace_back();
      for (const std::size_t layer : plan.layers) {
        of_text.push_back(add(block, layer, text, plan.tokens, "-text-" + std::to_string(text)));
      }
    }
  }
  return result;
}

}  // namespace optscope
