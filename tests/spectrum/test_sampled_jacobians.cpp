// SPDX-License-Identifier: MIT
// The density that is sampled of a block's Jacobian agrees with all of its values, at 2, 8 and 34 tokens, by the code
// that takes the whole context.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <compare.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <optscope/spectrum/rank.hpp>
#include <string>

using namespace optscope;

namespace {

const std::string models = OPTSCOPE_SOURCE_DIR "/tests/goldens/model/";

template <template <class> class Jacobian>
void compare(model<any_opt, double>& opt, std::size_t length, std::size_t steps) {
  CAPTURE(length);
  token_list tokens{2};
  while (tokens.size() < length)
    tokens.push_back(static_cast<token_id>((tokens.size() * 79 + 3) % opt.shape().vocabulary));
  Jacobian<double> whole{linearise(opt, tokens, 1)[0], opt.backend()};
  const spectrum all = automatic{}(whole);
  REQUIRE(all.all_values());
  Jacobian<float> op{linearise<float>(opt, tokens, 1)[0], opt.backend()};
  const spectrum found = lanczos_quadrature{{{}, steps, 4}}(op);
  REQUIRE(found.density);
  const spectral_density& density = *found.density;
  const double n = static_cast<double>(all.size), top = all.values[0];
  CHECK(density.zeros == length);  // each token's mean
  CHECK(density.largest() == doctest::Approx(top).epsilon(1e-3));
  for (double share = 0.9; share * top > density.resolution_limit(); share *= 0.7) {
    const spectral_count count = density.above(share * top);
    const auto exact_count = static_cast<double>(
        std::count_if(all.values.begin(), all.values.end(), [&](double value) { return value > count.threshold; }));
    CAPTURE(share);
    CAPTURE(count.count);
    CAPTURE(exact_count);
    CHECK(std::abs(count.count - exact_count) <= count.resolution + 4 * count.sampling + 1e-3 * n);
    if (share * top > 4 * density.resolution_limit()) CHECK(std::abs(count.count - exact_count) <= 0.05 * n);
  }
  const rank_notions ranks = ranks_of(all, length);
  const sampled_value effective = density.effective_rank(), stable = density.stable_rank();
  CHECK(std::abs(effective.value - ranks.effective_rank) <= 4 * effective.sampling + effective.resolution);
  CHECK(effective.resolution <= 0.5 * ranks.effective_rank);
  CHECK(std::abs(stable.value - ranks.stable_rank) <= 4 * stable.sampling + 1e-3 * ranks.stable_rank);
}

}  // namespace

TEST_CASE("sampled densities of attention and MLP agree with their exact spectra at 2, 8 and 34 tokens") {
  model<any_opt, double> opt{checkpoint{models + "head-dim-64"}};
  for (const std::size_t length : {2, 8, 34}) {
    compare<attention_jacobian>(opt, length, 60);
    compare<mlp_jacobian>(opt, length, 60);
  }
}

TEST_CASE("the same for heads of odd width") {
  model<any_opt, double> opt{checkpoint{models + "head-dim-7"}};
  compare<attention_jacobian>(opt, 34, 60);
}

TEST_CASE(
    "editors take singular directions: a step along one moves the block's output as its value says, a projection takes "
    "it away") {
  model<any_opt, double> opt{checkpoint{models + "head-dim-64"}};
  const token_list tokens{17};
  const std::size_t layer = 1;
  attention_jacobian<double> op{linearise(opt, tokens, layer)[0], opt.backend()};
  const auto top = largest{{{}, 2}}(op);
  REQUIRE(top.outcome == spectrum_outcome::complete);
  const leading_directions reads = hidden_directions(top.right.view(), op.tokens(), 2);

  const auto attn_out = [&](double step) {
    basic_capture<double, site::attn_out> kept;
    const auto right = top.right.row(0);
    auto steer =
        edit<site::resid_pre>(add{std::vector<double>(right.begin(), right.end()), step}, where{}.layers({layer}));
    opt.run({tokens}, steer, kept);
    const auto row = kept(site::attn_out{}, layer).row(0);
    return std::vector<double>(row.begin(), row.end());
  };
  std::vector<double> moved = attn_out(1e-5), expected;
  const std::vector<double> back = attn_out(-1e-5);
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i] = (moved[i] - back[i]) / 2e-5;
    expected.push_back(top.values[0] * top.left(0, i));
  }
  check_close<double, double>(moved, expected, 1e-7, "a step along the first direction");

  basic_capture<double, site::resid_pre> kept;
  auto project = edit<site::resid_pre>(project_out{vectors_of(reads)}, where{}.layers({layer}));
  opt.run({tokens}, project, kept);
  CHECK(share_in<double>(reads.rows.view(), kept(site::resid_pre{}, layer))[0] < 1e-25);
}
