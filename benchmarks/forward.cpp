// SPDX-License-Identifier: MIT
// Forward pass and capture of ten texts of 512 tokens, as a share of the best sgemm rate in the same run.
//   forward MODEL_DIR [ROUNDS]
#include <benchmark.hpp>
#include <cstdio>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: forward MODEL_DIR [ROUNDS]\n"), 2;
  bench::print_machine();

  model<> opt{checkpoint{argv[1]}};
  const architecture& shape = opt.shape();
  const std::size_t length = std::min<std::size_t>(512, shape.max_positions), count = 10;
  token_batch texts(count);
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t i = 0; i < length; ++i) {
      texts[t].push_back(static_cast<token_id>((t * 977 + i * 7919 + 3) % shape.vocabulary));
    }
  }
  // Multiplications of the products as transformers computes them: all keys of every query.
  const auto h = static_cast<double>(shape.hidden), f = static_cast<double>(shape.ffn), t = static_cast<double>(length);
  const double rows = static_cast<double>(shape.layers * count) * t;
  const double gflop = 2 * rows * (4 * h * h + 2 * h * f + 2 * t * h) / 1e9;
  const double causal = gflop - 2 * rows * t * h / 1e9;

  std::vector<double> runs, rates;
  for (int round = 0; round < (argc > 2 ? std::atoi(argv[2]) : 5); ++round) {
    double best = 0;
    for (const auto& [n, k] : {std::pair{768, 768}, {3072, 768}, {768, 3072}}) {
      best = std::max(best, bench::sgemm_rate(5120, n, k));
    }
    rates.push_back(best);
    runs.push_back(bench::seconds([&] {
      capture<site::attn_out, site::resid_post> probe{positions::strided(length - 37, 4, 10)};
      opt.run(texts, probe);
    }));
    std::printf("round %d: %.2f s, sgemm %.0f GFLOP/s\n", round, runs.back(), best);
  }
  const double time = bench::median(runs), rate = bench::median(rates);
  std::printf("%zu texts x %zu tokens, %zu threads: median %.3f s\n", count, length, opt.backend().pool().size(), time);
  std::printf("%.0f GFLOP counted as transformers does: %.0f GFLOP/s, %.2f of the best sgemm (%.0f)\n", gflop,
              gflop / time, gflop / time / rate, rate);
  std::printf("%.0f GFLOP without the masked half of the attention: %.0f GFLOP/s, %.2f of the best sgemm\n", causal,
              causal / time, causal / time / rate);
}
