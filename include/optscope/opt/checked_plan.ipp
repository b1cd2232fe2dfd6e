// SPDX-License-Identifier: MIT
#pragma once
// Bodies of checked_plan.hpp.

#include <numeric>
#include <optscope/opt/checked_plan.hpp>
#include <utility>

namespace optscope::detail {

inline std::string run_from(std::size_t layer) { return "a run from layer " + std::to_string(layer); }

inline void check_stream(const run_plan& plan, std::size_t rows, std::size_t cols) {
  const std::string item = run_from(plan.first_layer);
  if (plan.first_layer >= plan.shape.layers) {
    throw bad_input{"", item, "a layer below " + std::to_string(plan.shape.layers), std::to_string(plan.first_layer)};
  }
  const std::size_t wanted = std::accumulate(plan.lengths.begin(), plan.lengths.end(), std::size_t{0});
  const auto size = [](std::size_t m, std::size_t n) { return std::to_string(m) + " rows of " + std::to_string(n); };
  if (rows != wanted || cols != plan.shape.hidden) {
    throw bad_input{"", item, size(wanted, plan.shape.hidden), size(rows, cols)};
  }
}

OPTSCOPE_INLINE run_plan checked_plan(const architecture& shape, const token_batch& texts, const run_request& how) {
  const cached_texts* const cache = how.cache;
  const bool again = how.stream != nullptr;  // the cache has these tokens already
  run_plan plan{shape, {}};
  plan.first_layer = how.layer;
  plan.continues = how.continues;
  if (how.names != nullptr) {
    plan.names = *how.names;
    if (plan.names.size() != texts.size()) {
      throw bad_input{"", "names of texts", std::to_string(texts.size()), std::to_string(plan.names.size())};
    }
  }
  if (cache != nullptr && !cache->fits(shape, texts.size())) {
    const auto sizes = [](std::size_t layers, std::size_t hidden, std::size_t count) {
      return std::to_string(layers) + " layers, hidden " + std::to_string(hidden) + ", " + std::to_string(count) +
             " texts";
    };
    throw bad_input{"", "cache", sizes(shape.layers, shape.hidden, texts.size()),
                    sizes(cache->layers(), cache->hidden(), cache->texts())};
  }
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const token_list& tokens = texts[text];
    std::size_t before = cache == nullptr || cache->texts() == 0 ? 0 : cache->length(text);
    if (again && cache != nullptr) {
      if (before < tokens.size()) {
        plan.refuse(text, std::to_string(tokens.size()) + " tokens that the cache holds", std::to_string(before));
      }
      before -= tokens.size();
    }
    const std::size_t total = before + tokens.size();
    if (total == 0) plan.refuse(text, "at least one token", "none");
    if (total > shape.max_positions) {
      plan.refuse(text, "at most " + std::to_string(shape.max_positions) + " tokens", std::to_string(total));
    }
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= shape.vocabulary) {
        plan.refuse(text, "ids below " + std::to_string(shape.vocabulary),
                    std::to_string(tokens[i]) + " at position " + std::to_string(i));
      }
    }
    plan.lengths.push_back(tokens.size());
    if (cache != nullptr) plan.cached.push_back(before);
  }
  if (again) check_stream(plan, how.stream[0], how.stream[1]);
  return plan;
}

OPTSCOPE_INLINE void refuse_site_below(std::size_t first_layer, const site_info& site, std::size_t layer) {
  throw bad_input{
      "", run_from(first_layer), "probes that want nothing below it",
      "one that wants " + std::string{site.name} + (site.per_layer() ? " of layer " + std::to_string(layer) : "")};
}

OPTSCOPE_INLINE void refuse_missing_site(const std::string& folder, std::string_view site) {
  throw bad_input{folder, "site " + std::string{site}, "a site of this model",
                  "none: the architecture has no such place"};
}

OPTSCOPE_INLINE void require_stream_width(std::size_t hidden, std::size_t found) {
  if (found == hidden) return;
  throw bad_input{"", "rows of the stream", std::to_string(hidden) + " elements each", std::to_string(found)};
}

}  // namespace optscope::detail
