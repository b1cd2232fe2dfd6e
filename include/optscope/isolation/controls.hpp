// SPDX-License-Identifier: MIT
#pragma once
// The controls that say where the effect of a removal sits, and what they say together.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <string>
#include <vector>

namespace optscope {

/// What is done to the model in a control.
enum class control {
  nothing,            ///< the whole model
  whole_removal,      ///< the removal that was found
  layer_alone,        ///< a part of one layer's units, those of the highest score
  without_layer,      ///< the removal, with one layer left whole
  first_half,         ///< the part of the removal in the first half of the layers
  second_half,        ///< the part in the second half
  random_units,       ///< as many units, drawn at random
  reversed_score,     ///< as many units, those of the lowest score
  kept_most,          ///< a fifth of all units, those of the lowest score
  logit_shift,        ///< nothing is removed; the removal's mean change of the logits is added, `times` times
  nothing_after_bos,  ///< the whole model, with BOS alone as the prompt
  removal_after_bos   ///< the removal, with BOS alone as the prompt
};

/// A control and what the model did.
struct control_result {
  control what = control::nothing;
  std::size_t layer = 0;    ///< of `layer_alone` and `without_layer`
  double times = 0;         ///< of `logit_shift`
  std::size_t removed = 0;  ///< units
  behaviour found{};
};

/// A control in words, for tables and pictures.
[[nodiscard]] std::string label_of(const control_result& row, const candidate_terms& terms);

/// What the controls say about a removal.
struct removal_verdict {
  enum class explanation {
    not_held,      ///< the removal turns few prompts: these units do not hold the category
    output_shift,  ///< a shift of the output does the same
    input_sight,   ///< the first layers do it: other prompts are no longer seen
    between        ///< neither
  };
  explanation what = explanation::between;
  std::vector<std::size_t> layers_alone{};  ///< with `between`: layers of which a part does nearly as much
};

/// Compares the controls, of which `nothing` and `whole_removal` must be there. A control that costs the kept category
/// over 0.1 nats per token more than the removal explains nothing. `reached`: the removal turns 95 % of other prompts.
[[nodiscard]] removal_verdict verdict_of(const std::vector<control_result>& rows, std::size_t kept, bool reached);

/// The verdict in a sentence. `name`: the kept category.
[[nodiscard]] std::string sentence_of(const removal_verdict& verdict, const candidate_terms& terms, std::size_t layers,
                                      const std::string& name);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/controls.ipp>
#endif
