// SPDX-License-Identifier: MIT
// A patching sweep of resid_pre, every layer and position of a prompt: `patching`, which runs from each layer and
// position on, several patches at once, beside the loop that tools with hooks have: whole runs, each with one edit.
//   patch MODEL_DIR [TOKENS] [THREADS] [OUT.npy]
// `python benchmarks/random_opt.py opt-125m DIR` makes a model. The loops of TransformerLens and transformers:
// patch_peer.py.
#include <algorithm>
#include <benchmark.hpp>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/replace.hpp>
#include <optscope/residual/patching.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

/// Seconds of the clock and of all threads together.
struct timing {
  double wall, busy;
};

template <class Action>
timing timed(Action&& action) {
  const std::clock_t start = std::clock();
  const double wall = bench::seconds(action);
  return {wall, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC};
}

/// The tokens whose logits the clean prompt raises and lowers most.
logit_pair pair_for(model<>& opt, const token_list& clean, const token_list& corrupted) {
  capture<site::logits> logits{positions::last()};
  opt.run({clean, corrupted}, logits);
  const auto rows = logits(site::logits{});
  std::vector<float> change(rows.cols());
  for (std::size_t i = 0; i < change.size(); ++i) change[i] = rows(0, i) - rows(1, i);
  return {.answer = static_cast<token_id>(std::ranges::max_element(change) - change.begin()),
          .instead = static_cast<token_id>(std::ranges::min_element(change) - change.begin())};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: patch MODEL_DIR [TOKENS] [THREADS] [OUT.npy]\n"), 2;
  const std::size_t tokens = argc > 2 ? std::stoul(argv[2]) : 20;
  model<> opt{checkpoint{argv[1]}, cpu{argc > 3 ? std::stoul(argv[3]) : 0}};
  token_list clean{2}, corrupted{2};
  for (std::size_t i = 1; i < tokens; ++i) {  // the first after BOS differs, so that no position but that is free
    clean.push_back(static_cast<token_id>(100 + 37 * i));
    corrupted.push_back(i == 1 ? token_id{99} : clean.back());
  }
  const logit_pair pair = pair_for(opt, clean, corrupted);

  patch_sweep found;
  const auto sweep = [&](std::size_t random_pairs) {
    return timed([&] {
      found = patching{opt, clean, corrupted, pair, {.random_pairs = random_pairs}}.by_position(site::resid_pre{});
    });
  };
  sweep(0);
  const timing alone = sweep(0), ours = sweep(999);

  double worst = 0, largest = 0;
  const timing loop = timed([&] {
    capture<site::resid_pre> wanted;
    opt.run({clean}, wanted);
    const auto difference = [&](auto&... editor) {
      kv_cache<float> cache;
      return detail::difference_of<float>(opt.next_logits({corrupted}, cache, editor...).row(0), pair);
    };
    const double before = difference();
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      for (std::size_t at = 0; at < tokens; ++at) {
        auto editor = edit<site::resid_pre>(patch{wanted}, where{}.layers({layer}).at(positions::these({at})));
        worst = std::max(worst, std::abs(difference(editor) - before - found.effect(layer, at)));
        largest = std::max(largest, std::abs(found.effect(layer, at)));
      }
    }
  });
  if (!(worst <= 1e-5 * largest)) return std::fprintf(stderr, "the two differ by %g of %g\n", worst, largest), 1;
  if (argc > 4) {
    tensor<float, 2> effects{found.effect.shape()};
    std::transform(found.effect.data(), found.effect.data() + found.effect.size(), effects.data(),
                   [](double value) { return static_cast<float>(value); });
    write_npy(argv[4], effects.view());
  }
  const auto print = [&](const char* what, timing time) {
    std::printf("%s: %.2f s, %.2f s of CPU, 1/%.1f of the loop's\n", what, time.wall, time.busy, loop.busy / time.busy);
  };
  std::printf("%zu layers x %zu positions, %zu threads\n", opt.layers(), tokens, opt.backend().pool().size());
  print("patching", alone);
  print("patching, with 999 random pairs", ours);
  print("one whole run with an edit each", loop);
}
