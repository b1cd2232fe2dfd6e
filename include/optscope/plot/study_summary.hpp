// SPDX-License-Identifier: MIT
#pragma once
// The similarity study's numbers as JSON.

#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/study_report.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

/// Writes the model, the texts, mean similarities with the test's p per layer, and the separating dimensions. NaN
/// becomes null. `more`: names of further fields with their JSON. `run`: a record of the run as JSON, or empty. Throws
/// what `output_file` throws.
void write_summary(const study_report& study, const std::filesystem::path& path, const std::string& run = {},
                   const std::vector<std::pair<std::string, std::string>>& more = {});

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/study_summary.ipp>
#endif
