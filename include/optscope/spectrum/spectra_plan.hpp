// SPDX-License-Identifier: MIT
#pragma once
// Which spectra a comparison over layers, texts and numbers of tokens needs.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <string>
#include <vector>

namespace optscope {

/// What is compared: the layers, each at every text; at the layer `at`, the texts, and the lengths of the first text.
struct spectra_plan {
  std::vector<block_kind> blocks{};
  std::vector<std::size_t> layers{}, texts{}, lengths{};
  std::size_t at = 0;
  std::size_t tokens = 0;  ///< of a text, unless lengths are compared
};

/// The spectra that a plan needs, each once, and what belongs together, by number of the request.
struct planned_spectra {
  std::vector<block_request> requests{};
  std::vector<std::vector<std::size_t>> layers{}, lengths{}, texts{};  ///< (block, one that is compared)
  std::vector<std::vector<std::vector<std::size_t>>> widths{};         ///< (block, text, layer)

  /// In one of the first three: those of `widths` alone are many.
  [[nodiscard]] bool compared(std::size_t request) const;
};

/// Names are `attn-5`, `mlp-5-text-3`, `mlp-5-length-8`. If there is one layer, only `at` is needed at other texts.
[[nodiscard]] planned_spectra spectra_of(const spectra_plan& plan);

/// "attn" or "mlp", as in names of files.
[[nodiscard]] std::string short_name_of(block_kind block);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/spectra_plan.ipp>
#endif
