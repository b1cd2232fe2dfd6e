// SPDX-License-Identifier: MIT
#pragma once
// Where the effect of a removal sits, and what that says in one sentence.

#include <algorithm>
#include <cstddef>
#include <optscope/isolation/isolation.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A row of "where it sits".
struct row {
  std::string what;
  std::size_t removed;
  behaviour found;
};

/// What was found, in one sentence.
[[nodiscard]] inline std::string verdict(const std::vector<row>& rows, std::size_t kept, std::size_t layers,
                                         const std::string& name, bool reached) {
  const auto share = [&](const std::string& what) {
    for (const row& each : rows) {
      if (each.what == what) return each.found.turned_share(kept);
    }
    return 0.0;
  };
  const double whole = share("the removal");
  if (!reached && whole < 0.5)
    return "These units do not hold it: taking them out turns few prompts into " + name + ".";
  double shift = 0, cost = 0, own = 0;
  for (const row& each : rows) {
    if (each.what.find("times 1") != std::string::npos) {
      shift = each.found.turned_share(kept);
      cost = each.found.loss[kept] - rows[0].found.loss[kept];
    }
    if (each.what == "the removal") own = each.found.loss[kept] - rows[0].found.loss[kept];
  }
  const auto at_its_cost = [&](const std::string& what) {  // what costs the kept category more explains nothing
    for (const row& each : rows) {
      if (each.what == what && each.found.loss[kept] - rows[0].found.loss[kept] <= own + 0.1) return share(what);
    }
    return 0.0;
  };
  const double first =
      std::max(at_its_cost("half of layer 0 alone"), at_its_cost("its part in the first half of the layers"));
  const double second = share("its part in the second half of the layers");
  if (shift >= 0.8 * whole && cost <= own + 0.1) {
    return "A shift of the output: the change of the mean logits, added by hand, does the same at no higher cost.";
  }
  if (first >= 0.7 * whole && second < 0.5 * whole) {
    return "Sight of the input: the first layers alone do most of it and the later ones little; a prompt of another "
           "kind is not turned into " +
           name + ", it is not seen.";
  }
  const std::string between = "Something between sight of the input and shift of the output: ";
  std::string part;
  std::vector<std::string> alone;  // the layers of which a part does it
  for (const row& each : rows) {
    constexpr std::string_view of_layer = " of layer ", end = " alone";
    const std::size_t at = each.what.find(of_layer);
    if (at == std::string::npos || !each.what.ends_with(end) || at_its_cost(each.what) < 0.9 * whole) continue;
    part = each.what.substr(0, at + of_layer.size());
    alone.push_back(each.what.substr(part.size(), each.what.size() - part.size() - end.size()));
  }
  for (std::size_t i = 0; i < alone.size(); ++i) {
    part += (i == 0 ? "" : i + 1 == alone.size() ? " or " : ", ") + alone[i];
  }
  if (!alone.empty()) return between + part + " alone does nearly as much; the shift of the mean logits does not.";
  return between + "no part of the " + std::to_string(layers) +
         " layers does it alone, and the shift of the mean logits does not either.";
}

}  // namespace optscope
