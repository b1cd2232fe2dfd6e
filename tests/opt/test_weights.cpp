// SPDX-License-Identifier: MIT
// The weight policies: the same layers whichever order they are asked for in.
#include <doctest/doctest.h>

#include <algorithm>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/resident_weights.hpp>
#include <optscope/opt/streamed_weights.hpp>
#include <optscope/opt/variants.hpp>
#include <vector>

using namespace optscope;

namespace {
const checkpoint files{OPTSCOPE_SOURCE_DIR "/examples/demo-model"};
const architecture shape = architecture_of(files.configuration(), "config.json");

bool same(const layer_weights<float>& a, const layer_weights<float>& b) {
  const auto equal = [](const linear_weights<float>& x, const linear_weights<float>& y) {
    return std::equal(x.weight.data(), x.weight.data() + x.weight.size(), y.weight.data()) &&
           std::equal(x.bias, x.bias + x.weight.rows(), y.bias);
  };
  return equal(a.qkv, b.qkv) && equal(a.out, b.out) && equal(a.fc1, b.fc1) && equal(a.fc2, b.fc2) &&
         std::equal(a.ln1.gamma, a.ln1.gamma + shape.hidden, b.ln1.gamma);
}
}  // namespace

TEST_CASE("streamed layers are those of resident weights, in turn, again from the beginning, skipped and repeated") {
  thread_pool pool{2};
  resident_weights<float> resident{files, shape, pool};
  streamed_weights<float> streamed{files, shape, pool};
  for (const std::size_t end : {shape.layers, std::size_t{3}, shape.layers}) {
    for (std::size_t layer = 0; layer < end; ++layer) {
      CHECK(same(streamed.layer(layer, end, pool), resident.layer(layer, end, pool)));
    }
  }
  for (const std::size_t layer : {5u, 1u, 1u, 7u, 0u}) {
    CHECK(same(streamed.layer(layer, shape.layers, pool), resident.layer(layer, shape.layers, pool)));
  }
}

TEST_CASE("a streamed layer stays valid until the next call, while the following layer is being read") {
  thread_pool pool{2};
  resident_weights<float> resident{files, shape, pool};
  streamed_weights<float> streamed{files, shape, pool};
  for (int round = 0; round < 20; ++round) {
    const layer_weights<float> first = streamed.layer(0, shape.layers, pool);
    for (int look = 0; look < 5; ++look) CHECK(same(first, resident.layer(0, shape.layers, pool)));
  }
}

TEST_CASE("a policy that is moved continues reading, and one that is destroyed while reading stops") {
  thread_pool pool{2};
  resident_weights<float> resident{files, shape, pool};
  for (int round = 0; round < 20; ++round) {
    streamed_weights<float> streamed{files, shape, pool};
    (void)streamed.layer(0, shape.layers, pool);
    streamed_weights<float> moved{std::move(streamed)};
    if (round % 2 == 0) CHECK(same(moved.layer(1, shape.layers, pool), resident.layer(1, shape.layers, pool)));
  }
}
