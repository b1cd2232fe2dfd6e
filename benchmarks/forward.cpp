// SPDX-License-Identifier: MIT
// Forward pass and capture of ten texts of 512 tokens on both backends, as a share of the best sgemm rate in the same
// run.
//   forward MODEL_DIR [ROUNDS]
#include <benchmark.hpp>
#include <cmath>
#include <cstdio>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

using probe = capture<site::attn_out, site::resid_post>;

/// Largest difference of the last layer's stream, relative to its largest element.
double distance(const probe& found, const probe& expected, std::size_t layer) {
  double largest = 0, worst = 0;
  for (std::size_t text = 0; text < expected.texts(); ++text) {
    const auto a = found(site::resid_post{}, layer, text), b = expected(site::resid_post{}, layer, text);
    for (std::size_t i = 0; i < b.rows(); ++i) {
      for (std::size_t j = 0; j < b.cols(); ++j) {
        largest = std::max(largest, std::abs(static_cast<double>(b(i, j))));
        worst = std::max(worst, std::abs(static_cast<double>(a(i, j)) - static_cast<double>(b(i, j))));
      }
    }
  }
  return worst / largest;
}

}  // namespace

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: forward MODEL_DIR [ROUNDS]\n"), 2;
  bench::print_machine();

  const checkpoint files{argv[1]};
  model<any_opt, float, cpu> opt{files};
  model<any_opt, float, cblas> other{files, cblas{opt.backend().pool().size()}};
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

  const auto timed = [&](auto& on, probe& into) { return bench::seconds([&] { on.run(texts, into); }); };

  std::vector<double> runs, other_runs, rates, ratios;
  double apart = 0;
  for (int round = 0; round < (argc > 2 ? std::atoi(argv[2]) : 5); ++round) {
    double best = 0;
    for (const auto& [n, k] : {std::pair{768, 768}, {3072, 768}, {768, 3072}}) {
      best = std::max(best, bench::sgemm_rate(5120, n, k));
    }
    rates.push_back(best);
    probe seen{positions::strided(length - 37, 4, 10)}, other_seen{positions::strided(length - 37, 4, 10)};
    runs.push_back(timed(opt, seen));
    other_runs.push_back(timed(other, other_seen));
    ratios.push_back(other_runs.back() / runs.back());
    apart = std::max(apart, distance(other_seen, seen, shape.layers - 1));
    std::printf("round %d: cpu %.2f s, cblas %.2f s (%.2f of cpu's time), sgemm %.0f GFLOP/s\n", round, runs.back(),
                other_runs.back(), ratios.back(), best);
  }
  const double time = bench::median(runs), rate = bench::median(rates);
  std::printf("%zu texts x %zu tokens, %zu threads: median cpu %.3f s, cblas %.3f s; ratio %.2f; streams %.1e apart\n",
              count, length, opt.backend().pool().size(), time, bench::median(other_runs), bench::median(ratios),
              apart);
  std::printf("cpu: %.0f GFLOP counted as transformers does: %.0f GFLOP/s, %.2f of the best sgemm (%.0f)\n", gflop,
              gflop / time, gflop / time / rate, rate);
  std::printf("cpu: %.0f GFLOP without the masked half of the attention: %.0f GFLOP/s, %.2f of the best sgemm\n",
              causal, causal / time, causal / time / rate);
  return apart < 1e-4 ? 0 : 1;
}
