// SPDX-License-Identifier: MIT
#pragma once
// The sums of a long run over texts in a file, so that the run can be stopped and resumed.

#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/units/unit_sums.hpp>
#include <string>

namespace optscope {

/// How far a run over texts has come: the next window to run.
struct run_place {
  std::uint64_t text = 0, window = 0;
};

/// Writes the sums and the place to resume from; see `write_state`. `fingerprint` says which run they belong to.
void save_sums(const std::string& file, const std::string& fingerprint, const run_place& next, const unit_sums& sums);

/// Reads the sums of the same run and returns the place to resume from: the beginning if there is no file. Throws
/// `bad_input` if the file is another run's or broken.
[[nodiscard]] run_place load_sums(const std::string& file, const std::string& fingerprint, unit_sums& sums);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/saved_sums.ipp>
#endif
