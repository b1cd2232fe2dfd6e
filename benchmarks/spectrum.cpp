// SPDX-License-Identifier: MIT
// Time, memory and accuracy of one spectrum of a block's Jacobian; spectrum_peer.py compares it with torch.
//   spectrum MODEL_DIR attn|mlp TOKENS exact|gram|per_token|automatic [VALUES.npy [MATRIX.npy]]
//   spectrum MODEL_DIR attn|mlp TOKENS quadrature STEPS PROBES [DEFLATE [VALUES.npy of the same operator]]
//   spectrum MODEL_DIR attn|mlp TOKENS largest COUNT
#include <benchmark.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum.hpp>
#include <optscope/spectrum/products.hpp>
#include <string>
#include <vector>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

std::string argument(const std::vector<std::string>& from, std::size_t index, const char* otherwise) {
  return from.size() > index ? from[index] : otherwise;
}

void print_cost(const spectrum& found, double linearised) {
  std::printf("%s %s %s: %zu values, %.1f s (the forward pass before it %.1f s), own memory %s, process %s\n",
              found.method.c_str(), found.reason.c_str(),
              found.outcome == spectrum_outcome::complete ? "complete" : found.note.c_str(), found.size, found.seconds,
              linearised, memory_text(found.bytes).c_str(), memory_text(peak_memory()).c_str());
}

/// Prints how long each stage took.
analysis_settings with_stages() {
  analysis_settings settings;
  auto stage = std::make_shared<std::string>();
  auto start = std::make_shared<std::chrono::steady_clock::time_point>();
  settings.progress = [=](const analysis_progress& at) {
    if (at.stage != *stage) {
      const auto now = std::chrono::steady_clock::now();
      if (!stage->empty())
        std::printf("  %s %.1f s\n", stage->c_str(), std::chrono::duration<double>(now - *start).count());
      *stage = at.stage;
      *start = now;
    }
    return true;
  };
  return settings;
}

template <class Op>
int dense(Op& op, const std::vector<std::string>& arguments, double linearised) {
  automatic_settings settings;
  static_cast<analysis_settings&>(settings) = with_stages();
  spectrum found;
  const bool known = analyser_list<exact, gram, per_token, automatic>::with(
      arguments[3], [&]<class A>(std::type_identity<A>) { found = make_analyser<A>(settings)(op); });
  if (!known) return std::fprintf(stderr, "no analyser %s\n", arguments[3].c_str()), 2;
  print_cost(found, linearised);
  if (!found.all_values()) return 1;
  const rank_notions ranks = ranks_of(found, op.tokens());
  std::printf(
      "largest %g, values that must be zero up to %.1e of it, floor %.1e (%s), %zu %zu %zu above it, effective "
      "rank %.1f\n",
      ranks.largest, found.values[op.rows() - op.tokens()] / ranks.largest, ranks.floor / ranks.largest,
      ranks.calibrated ? "calibrated" : "of the method", ranks.counts[0], ranks.counts[1], ranks.counts[2],
      ranks.effective_rank);
  const std::string values = argument(arguments, 4, ""), matrix = argument(arguments, 5, "");
  if (!values.empty()) {
    write_npy(values, tensor_view<const double, 1>{found.values.data(), {found.values.size()}});
  }
  if (!matrix.empty()) {
    tensor<double, 2> whole{{op.rows(), op.cols()}};
    for (std::size_t t = 0; t < op.tokens(); ++t) {
      for (std::size_t u = 0; u <= t; ++u) {
        const std::size_t width = op.width();
        if (!op.diagonal() || u == t)
          op.block(t, u, product::columns(whole.view().slice(t * width, width), u * width, width));
      }
    }
    write_npy(matrix, whole);
  }
  return 0;
}

template <class Op>
int sampled(Op& op, const std::vector<std::string>& arguments, double linearised) {
  if (arguments[3] == "largest") {
    largest_settings settings;
    settings.count = std::stoul(argument(arguments, 4, "10"));
    const auto found = largest{settings}(op);
    print_cost(found, linearised);
    for (std::size_t i = 0; i < found.values.size(); ++i)
      std::printf("%g (%.0e) ", found.values[i], found.residuals[i]);
    std::printf("\n");
    return 0;
  }
  quadrature_settings settings;
  settings.steps = std::stoul(argument(arguments, 4, "100"));
  settings.probes = std::stoul(argument(arguments, 5, "4"));
  settings.deflate = std::stoul(argument(arguments, 6, "0"));
  const spectrum found = lanczos_quadrature{settings}(op);
  print_cost(found, linearised);
  const spectral_density& density = *found.density;
  std::printf("largest %g, %zu exact zeros, resolution limit %.1e of the largest\n", density.largest(), density.zeros,
              density.resolution_limit() / density.largest());
  std::vector<double> known;
  if (arguments.size() > 7) {
    const tensor<double, 1> values = read_npy<double, 1>(arguments[7]);
    known.assign(values.data(), values.data() + values.size());
  }
  std::printf("threshold   count +- sampling +- resolution%s\n", known.empty() ? "" : "   exact, error of the size");
  for (const double share : {0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.005, 0.003, 0.001}) {
    const spectral_count count = density.above(share * density.largest());
    std::printf("%9g %9.0f %9.0f %9.0f", share, count.count, count.sampling, count.resolution);
    if (!known.empty()) {
      std::size_t above = 0;
      for (const double value : known) above += value > count.threshold;
      std::printf(" %9zu %9.4f", above, (count.count - static_cast<double>(above)) / static_cast<double>(known.size()));
    }
    std::printf("\n");
  }
  const sampled_value effective = density.effective_rank(), stable = density.stable_rank();
  std::printf("effective rank %.1f +- %.1f, stable rank %.2f +- %.2f\n", effective.value, effective.error(),
              stable.value, stable.error());
  if (!known.empty()) {
    spectrum all;
    all.size = known.size();
    all.values = known;
    const rank_notions ranks = ranks_of(all);
    std::printf("exact: effective rank %.1f, stable rank %.2f\n", ranks.effective_rank, ranks.stable_rank);
  }
  return 0;
}

template <template <class> class Jacobian>
int run(const std::vector<std::string>& arguments) {
  model<any_opt, double> opt{checkpoint{arguments[0]}};
  const std::size_t layer = opt.layers() / 2;
  token_list tokens{2};
  while (tokens.size() < std::stoul(arguments[2])) {
    tokens.push_back(static_cast<token_id>((tokens.size() * 7919 + 3) % opt.shape().vocabulary));
  }
  const bool by_products = arguments[3] == "quadrature" || arguments[3] == "largest";
  double seconds = 0;
  if (by_products) {
    std::shared_ptr<const layer_point<float>> at;
    seconds = bench::seconds([&] { at = linearise<float>(opt, tokens, layer)[0]; });
    Jacobian<float> op{at, opt.backend()};
    return sampled(op, arguments, seconds);
  }
  std::shared_ptr<const layer_point<double>> at;
  seconds = bench::seconds([&] { at = linearise(opt, tokens, layer)[0]; });
  Jacobian<double> op{at, opt.backend()};
  return dense(op, arguments, seconds);
}

}  // namespace

int main(int argc, char** argv) try {
  bench::without_blas_overrides(argv);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 4) return std::fprintf(stderr, "usage: see the top of spectrum.cpp\n"), 2;
  bench::print_machine();
  return arguments[1] == "mlp" ? run<mlp_jacobian>(arguments) : run<attention_jacobian>(arguments);
} catch (const std::exception& e) {
  std::fprintf(stderr, "spectrum: %s\n", e.what());
  return 1;
}
