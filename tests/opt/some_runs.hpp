// SPDX-License-Identifier: MIT
#pragma once
// Texts, models and probes that several tests of runs share.

#include <cstdint>
#include <cstring>
#include <optscope/core/probe.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <vector>

inline std::string folder_of(const std::string& name) {
  const std::string project = OPTSCOPE_SOURCE_DIR;
  return name == "demo-model" ? project + "/examples/demo-model" : project + "/tests/goldens/model/" + name;
}

inline optscope::token_list some_text(std::size_t length, std::size_t vocabulary, std::size_t seed) {
  optscope::token_list tokens{2};
  for (std::size_t i = 1; i < length; ++i) {
    tokens.push_back(static_cast<optscope::token_id>((seed + i * 7919 + i * i * 31) % vocabulary));
  }
  return tokens;
}

/// FNV-1a over the bits of every site, one hash per text, over all runs of a generation.
struct hash_sites {
  using sites = optscope::all_sites;
  std::vector<std::uint64_t> of_text;
  void begin(const optscope::run_plan& plan) {
    if (!plan.continues) of_text.assign(plan.lengths.size(), 1469598103934665603u);
  }
  template <class Site>
  void operator()(Site, const optscope::place& at, optscope::tensor_view<const float, Site::rank> view) {
    for (std::size_t row = 0; row < view.rows(); ++row) {
      for (const float value : view.row(row)) {
        std::uint32_t bits;
        std::memcpy(&bits, &value, 4);
        of_text[at.text] = (of_text[at.text] ^ bits) * 1099511628211u;
      }
    }
  }
};
