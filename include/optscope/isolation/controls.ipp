// SPDX-License-Identifier: MIT
#pragma once
// Bodies of controls.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/isolation/controls.hpp>

namespace optscope {

OPTSCOPE_INLINE std::string label_of(const control_result& row, const candidate_terms& terms) {
  const std::string layer = "layer " + std::to_string(row.layer);
  switch (row.what) {
    case control::nothing: return "nothing";
    case control::whole_removal: return "the removal";
    case control::layer_alone: return std::string{terms.part_of_layer} + " of " + layer + " alone";
    case control::without_layer: return "the removal except " + layer;
    case control::first_half: return "its part in the first half of the layers";
    case control::second_half: return "its part in the second half of the layers";
    case control::random_units: return "as many units at random";
    case control::reversed_score: return "as many units by the reversed score";
    case control::kept_most: return "instead, the fifth " + std::string{terms.kept_most};
    case control::logit_shift:
      return "nothing, mean change of the logits added times " + std::to_string(std::lround(row.times));
    case control::nothing_after_bos: return "nothing, BOS alone as the prompt";
    case control::removal_after_bos: return "the removal, BOS alone as the prompt";
  }
  return "";
}

namespace detail {

/// The controls of one run, seen from the kept category.
class control_table {
 public:
  control_table(const std::vector<control_result>& rows, std::size_t kept) : rows_{rows}, kept_{kept} {}

  /// Share of other prompts that are turned; 0 if the control was not measured.
  [[nodiscard]] double share(control what) const {
    const control_result* row = find(what);
    return row == nullptr ? 0 : row->found.turned(kept_).share();
  }
  /// Nats per token that the kept category loses.
  [[nodiscard]] double cost(control what) const {
    const control_result* row = find(what);
    return row == nullptr ? 0 : cost(*row);
  }
  [[nodiscard]] double cost(const control_result& row) const {
    return row.found.loss[kept_] - find(control::nothing)->found.loss[kept_];
  }
  /// The share if it costs hardly more than the removal, otherwise 0.
  [[nodiscard]] double share_at_cost(const control_result& row) const {
    return cost(row) <= cost(control::whole_removal) + 0.1 ? row.found.turned(kept_).share() : 0;
  }
  [[nodiscard]] double share_at_cost(control what) const {
    const control_result* row = find(what);
    return row == nullptr ? 0 : share_at_cost(*row);
  }

 private:
  [[nodiscard]] const control_result* find(control what) const {
    const auto row = std::ranges::find(rows_, what, &control_result::what);
    return row == rows_.end() ? nullptr : &*row;
  }

  const std::vector<control_result>& rows_;
  std::size_t kept_;
};

}  // namespace detail

OPTSCOPE_INLINE removal_verdict verdict_of(const std::vector<control_result>& rows, std::size_t kept, bool reached) {
  using enum removal_verdict::explanation;
  const detail::control_table table{rows, kept};
  const double whole = table.share(control::whole_removal);
  if (!reached && whole < 0.5) return {.what = not_held};

  const double shift = table.share(control::logit_shift);  // the first: added once
  if (shift >= 0.8 * whole && table.cost(control::logit_shift) <= table.cost(control::whole_removal) + 0.1) {
    return {.what = output_shift};
  }

  double first = table.share_at_cost(control::first_half);
  for (const control_result& row : rows) {
    if (row.what == control::layer_alone && row.layer == 0) first = std::max(first, table.share_at_cost(row));
  }
  if (first >= 0.7 * whole && table.share(control::second_half) < 0.5 * whole) return {.what = input_sight};

  removal_verdict result{.what = between};
  for (const control_result& row : rows) {
    if (row.what == control::layer_alone && table.share_at_cost(row) >= 0.9 * whole) {
      result.layers_alone.push_back(row.layer);
    }
  }
  return result;
}

OPTSCOPE_INLINE std::string sentence_of(const removal_verdict& verdict, const candidate_terms& terms,
                                        std::size_t layers, const std::string& name) {
  switch (verdict.what) {
    case removal_verdict::explanation::not_held:
      return "These units do not hold it: removing them turns few prompts into " + name + ".";
    case removal_verdict::explanation::output_shift:
      return "A shift of the output: adding the mean change of the logits does the same at no higher cost.";
    case removal_verdict::explanation::input_sight:
      return "Sight of the input: the first layers alone do most of it and the later ones little. A prompt of another "
             "category is not turned into " +
             name + "; it is no longer seen.";
    case removal_verdict::explanation::between: break;
  }
  const std::string between = "Something between sight of the input and shift of the output: ";
  const std::vector<std::size_t>& alone = verdict.layers_alone;
  if (alone.empty()) {
    return between + "no part of the " + std::to_string(layers) +
           " layers does it alone, nor does the shift of the mean logits.";
  }
  std::string part = std::string{terms.part_of_layer} + " of layer ";
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const char* const separator = i == 0 ? "" : i + 1 == alone.size() ? " or " : ", ";
    part += separator + std::to_string(alone[i]);
  }
  return between + part + " alone does nearly as much; the shift of the mean logits does not.";
}

}  // namespace optscope
