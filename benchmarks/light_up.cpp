// SPDX-License-Identifier: MIT
// The cost of summing the activity of every unit compared with the bare forward pass, batch by batch in turn.
//   light_up MODEL_DIR [TOKENS]
// The same with PyTorch hooks: light_up_peer.py MODEL_DIR [TOKENS]
#include <benchmark.hpp>
#include <cstdio>
#include <cstdlib>
#include <optscope/opt/model.hpp>
#include <optscope/units/unit_sums.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

struct last_layer {  // wants what makes the whole pass run
  using sites = site_list<site::resid_post>;
  std::size_t layer;
  [[nodiscard]] bool wants(site::resid_post, std::size_t at) const { return at == layer; }
  void operator()(site::resid_post, const place&, tensor_view<const float, 2>) {}
};

}  // namespace

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: light_up MODEL_DIR [TOKENS]\n"), 2;
  const std::size_t tokens = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100000;
  model<> opt{checkpoint{argv[1]}};
  const std::size_t length = std::min<std::size_t>(1024, opt.shape().max_positions), texts = 8;

  const text_groups groups{{500, 500}};
  unit_sums sums{opt.shape(), groups, head_norms_of(opt)};
  last_layer bare{opt.layers() - 1};

  double bare_time = 0, sums_time = 0;
  std::size_t done = 0;
  for (std::size_t batch = 0; done < tokens || batch == 0; ++batch) {
    token_batch windows(texts);
    std::vector<text_part> parts;
    for (std::size_t t = 0; t < texts; ++t) {
      for (std::size_t i = 0; i < length; ++i) {
        windows[t].push_back(
            static_cast<token_id>(((batch * texts + t) * 977 + i * 7919 + 3) % opt.shape().vocabulary));
      }
      parts.push_back({.category = t % 2,
                       .group = groups.of(t % 2, batch % 500),
                       .text_tokens = length - 1,
                       .skip = 1,
                       .ends = true});
    }
    const bool first = batch % 2 == 0;
    if (first) bare_time += bench::seconds([&] { opt.run(windows, bare); });
    sums.expect(parts);
    sums_time += bench::seconds([&] { opt.run(windows, sums); });
    if (!first) bare_time += bench::seconds([&] { opt.run(windows, bare); });
    done += texts * length;
  }
  std::printf(
      "%zu tokens, windows of %zu, %zu threads: bare %.1f s (%.0f tokens/s), with the sums %.1f s: %.3f times\n", done,
      length, opt.backend().pool().size(), bare_time, static_cast<double>(done) / bare_time, sums_time,
      sums_time / bare_time);
}
