// SPDX-License-Identifier: MIT
#pragma once
// Tables, notes and JSON of the spectra of blocks, with every number and its error.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

struct architecture;

/// A table as text.
struct spectrum_table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

/// Ranks in every notion, counts by decade, kinks, and, if directions were found, how much of the activations lies in
/// them.
[[nodiscard]] std::vector<spectrum_table> tables_of(std::span<const block_spectrum> spectra, std::size_t hidden);

/// What the curves show and what they do not, in sentences, with the numbers of these spectra.
[[nodiscard]] std::vector<std::string> notes_of(std::span<const block_spectrum> spectra, const architecture& shape);

/// Adds the ranks, counts and kinks of a spectrum to an open JSON object: `size`, `bound`, `largest`, `floor`,
/// `effective_rank`, … A sampled spectrum has errors and no kinks.
void write_ranks(json_writer& json, const block_spectrum& of, std::size_t hidden);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/spectrum_tables.ipp>
#endif
