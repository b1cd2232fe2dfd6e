// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <optscope/opt/model.hpp>
#include <optscope/probe/any_observer.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <vector>

using namespace optscope;

TEST_CASE("an observer whose sites are named at run time sees three axes of the layers asked for, and nothing else") {
  const architecture shape{.layers = 3, .hidden = 6, .heads = 3, .ffn = 8, .embed_dim = 6, .vocabulary = 9};
  std::vector<std::string> seen;
  any_observer probe;
  probe.before([&](const run_plan& plan) { seen.push_back(std::to_string(plan.lengths.size()) + " texts"); })
      .at("z",
          [&](const place& at, tensor_view<const float, 3> rows) {
            seen.push_back("z." + std::to_string(at.layer) + ": " + std::to_string(rows(1, 2, 1)));
          },
          {{0, 2}})
      .at("mlp_post", [&](const place& at, tensor_view<const float, 3> rows) {
        seen.push_back("mlp_post." + std::to_string(at.layer) + ": " + std::to_string(rows.extent(2)));
      });
  static_assert(probe_for<any_observer, float> && !edits_site<any_observer, site::z, float>);
  CHECK(probe.wants(site::z{}, 2));
  CHECK_FALSE(probe.wants(site::z{}, 1));
  CHECK(probe.wants(site::mlp_post{}, 1));
  CHECK_FALSE(probe.wants(site::q{}, 0));
  probe.begin({shape, {2}});
  tensor<float, 3> z{{2, 3, 2}};
  z(1, 2, 1) = 5;
  probe(site::z{}, place{0, 2, 0}, tensor_view<const float, 3>{z});
  const tensor<float, 2> neurons{{2, 8}};
  probe(site::mlp_post{}, place{0, 1, 0}, tensor_view<const float, 2>{neurons});
  CHECK_EQ(seen, std::vector<std::string>{"1 texts", "z.2: 5.000000", "mlp_post.1: 1"});
  CHECK_THROWS_WITH_AS((basic_any_observer<float, site_list<site::q, site::k>>{}.at("mlp", nullptr)),
                       "observer: expected one of the sites q k, found mlp", bad_input);
}

TEST_CASE("such an observer sees in a run what a capture keeps, bit for bit") {
  model<> opt{checkpoint{std::string{OPTSCOPE_SOURCE_DIR} + "/tests/goldens/model/head-dim-64"}, cpu{1}};
  const token_batch texts{{2, 5, 7, 9}, {2, 11}};
  capture<site::pattern, site::mlp_post, site::logits> kept;
  opt.run(texts, kept);
  std::size_t seen = 0;
  const auto compare_with = [&](auto site) {
    return [&, site](const place& at, tensor_view<const float, 3> rows) {
      const auto expected = kept(site, at.layer, at.text);
      REQUIRE_EQ(rows.size(), expected.size());
      for (std::size_t i = 0; i < rows.rows(); ++i) CHECK(std::ranges::equal(rows.row(i), expected.row(i)));
      ++seen;
    };
  };
  any_observer probe;
  probe.at("pattern", compare_with(site::pattern{}), {{1}})
      .at("mlp_post", compare_with(site::mlp_post{}))
      .at("logits", compare_with(site::logits{}));
  opt.run(texts, probe);
  CHECK_EQ(seen, 2 + 2 * opt.layers() + 2);
}
