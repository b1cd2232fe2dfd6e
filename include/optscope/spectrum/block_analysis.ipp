// SPDX-License-Identifier: MIT
#pragma once
// Bodies of block_analysis.hpp.

#include <algorithm>
#include <filesystem>
#include <optscope/spectrum/block_analysis.hpp>
#include <system_error>

namespace optscope::detail {

OPTSCOPE_INLINE void block_ends::keep(tensor_view<const double, 2> rows, tensor<double, 2>& to) {
  to = tensor<double, 2>{rows.shape()};
  for (std::size_t t = 0; t < rows.rows(); ++t) std::ranges::copy(rows.row(t), to.row(t).data());
}

OPTSCOPE_INLINE std::string state_file(const block_settings& settings, const block_request& of, const char* extension) {
  return settings.folder + "/" + of.name + extension;
}

OPTSCOPE_INLINE std::string description_of(const block_settings& settings, const block_request& of,
                                           const token_list& tokens) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  const automatic_settings& chosen = settings.analysis;
  std::string text = "block " + std::string{of.block == block_kind::mlp ? "mlp" : "attn"};
  text += "\nlayer " + number(of.layer) + "\nsteps " + number(chosen.steps) + ", probes " + number(chosen.probes) +
          ", deflate " + number(chosen.deflate) + "\ndirections " + number(settings.directions) + "\n";
  text += settings.description + (settings.description.empty() || settings.description.back() == '\n' ? "" : "\n");
  text += number(of.tokens) + " tokens:";
  for (const token_id token : tokens) text += " " + std::to_string(token);
  return text;
}

OPTSCOPE_INLINE void remove_part(const block_settings& settings, const block_request& of) {
  std::error_code ignored;
  if (!settings.folder.empty()) std::filesystem::remove(state_file(settings, of, ".part"), ignored);
}

}  // namespace optscope::detail
