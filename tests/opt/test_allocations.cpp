// SPDX-License-Identifier: MIT
// A counting operator new: between two layers of a run nothing is allocated.
#include <doctest/doctest.h>

#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <vector>

#include "count_memory.hpp"

using namespace optscope;

TEST_CASE("nothing is allocated inside the layer loop, with probes and without, for texts of any lengths") {
  model<> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/examples/demo-model"}, cpu{2}};
  std::vector<std::size_t> after_layer;
  after_layer.reserve(opt.layers());
  opt.on_progress([&](std::size_t, std::size_t) { after_layer.push_back(memory::allocations); });
  const token_batch texts{token_list(1, 2), token_list(300, 5), token_list(40, 7)};
  capture<site::resid_post> last;
  last.only_layers({opt.layers() - 1});
  capture<site::attn_out, site::pattern, site::result, site::mlp_post> much{positions::last()};
  opt.run(texts, last);
  opt.run(texts, last, much);
  REQUIRE_EQ(after_layer.size(), 2 * opt.layers());
  for (std::size_t layer = 2; layer < opt.layers(); ++layer) {  // the first may size the backend's scratch
    CHECK_EQ(after_layer[layer], after_layer[1]);
    CHECK_EQ(after_layer[opt.layers() + layer], after_layer[opt.layers() + 1]);
  }
  CHECK(after_layer[opt.layers()] > after_layer[opt.layers() - 1]);  // the counter counts
}

TEST_CASE("nothing is allocated inside the layer loop of a run after cached tokens") {
  model<> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/examples/demo-model"}, cpu{2}};
  std::vector<std::size_t> after_layer;
  after_layer.reserve(3 * opt.layers());
  opt.on_progress([&](std::size_t, std::size_t) { after_layer.push_back(memory::allocations); });
  kv_cache<float> cache;
  capture<site::pattern> patterns;
  opt.run({token_list(1, 2), token_list(30, 5)}, cache);
  opt.run({{7}, {8}}, cache);
  opt.run({{7}, {}}, cache, patterns);
  REQUIRE_EQ(after_layer.size(), 3 * opt.layers());
  for (std::size_t run = 0; run < 3; ++run) {
    for (std::size_t layer = 2; layer < opt.layers(); ++layer) {  // the first may size the backend's scratch
      CHECK_EQ(after_layer[run * opt.layers() + layer], after_layer[run * opt.layers() + 1]);
    }
  }
}
