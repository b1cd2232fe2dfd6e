// SPDX-License-Identifier: MIT
// A run with weights streamed from the file, against what the disk and the products need by themselves.
//   larger_than_memory MODEL_DIR [TEXTS] [TOKENS]
#include <unistd.h>

#include <benchmark.hpp>
#include <cstdio>
#include <fstream>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <string>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

/// Resident memory that is not mapped from a file, in MB.
double anonymous_memory() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return std::stod(line.substr(8)) / 1000;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: larger_than_memory MODEL_DIR [TEXTS] [TOKENS]\n"), 2;
  bench::print_machine();
  const std::size_t count = argc > 2 ? std::stoul(argv[2]) : 2, length = argc > 3 ? std::stoul(argv[3]) : 512;

  model<> opt{checkpoint{argv[1]}};
  const architecture& shape = opt.shape();
  double bytes = 0;
  for (const auto& file : opt.files().files()) bytes += static_cast<double>(std::filesystem::file_size(file));
  token_batch texts(count);
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t i = 0; i < length; ++i) {
      texts[t].push_back(static_cast<token_id>((t * 977 + i * 7919 + 3) % shape.vocabulary));
    }
  }
  const auto h = static_cast<double>(shape.hidden), f = static_cast<double>(shape.ffn);
  const auto rows = static_cast<double>(shape.layers * count * length);
  const double gflop = 2 * rows * (4 * h * h + 2 * h * f + static_cast<double>(length) * h) / 1e9;

  double peak = anonymous_memory();
  opt.on_progress([&](std::size_t done, std::size_t all) {
    peak = std::max(peak, anonymous_memory());
    if (::isatty(2) != 0) std::fprintf(stderr, "\rlayer %zu of %zu%s", done, all, done == all ? "\n" : "");
  });
  const double time = bench::seconds([&] {
    capture<site::resid_post> probe{positions::last()};
    opt.run(texts, probe);
    peak = std::max(peak, anonymous_memory());
  });
  const double rate = bench::sgemm_rate(2048, static_cast<int>(shape.ffn), static_cast<int>(shape.hidden));
  std::printf("%zu texts x %zu tokens, %.1f GB of weights, %zu layers: %.1f s, peak anonymous memory %.0f MB\n", count,
              length, bytes / 1e9, shape.layers, time, peak);
  std::printf("products: %.0f GFLOP, %.1f s at the sgemm rate of %.0f GFLOP/s (%.2f of the time)\n", gflop,
              gflop / rate, rate, gflop / rate / time);
  std::printf("reading: %.2f GB/s over the whole run\n", bytes / time / 1e9);
}
