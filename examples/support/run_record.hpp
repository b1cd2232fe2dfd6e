// SPDX-License-Identifier: MIT
#pragma once
// The record of a run in summary.json: with what it was made, so that it can be made again.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/corpus/corpus.hpp>
#include <string>
#include <utility>
#include <vector>

namespace program {

/// What a program knows of its run.
struct run_record {
  std::vector<std::string> command{};
  std::filesystem::path model{};
  std::size_t threads = 0;
  std::vector<std::pair<std::string, std::size_t>> seeds{};  ///< by name
  std::chrono::steady_clock::time_point begin{};
};

/// The record as a JSON object: command line, version, model, its folder and fingerprint (of its tensors), texts and
/// their fingerprints (FNV-1a of their bytes; null for what is no regular file), seeds, threads, CPU, kernels, seconds.
[[nodiscard]] std::string json_of(const run_record& run, const optscope::checkpoint& files,
                                  const optscope::corpus& input);

}  // namespace program
