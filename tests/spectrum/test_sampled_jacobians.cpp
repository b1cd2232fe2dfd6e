// SPDX-License-Identifier: MIT
// The density that is sampled of a block's Jacobian agrees with all of its values, at 2, 8 and 34 tokens, by the code
// that takes the whole context.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/automatic.hpp>
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
  CHECK(std::abs(effective.value - ranks.effective_rank) <= 4 * effective.error + 0.03 * ranks.effective_rank);
  CHECK(std::abs(stable.value - ranks.stable_rank) <= 4 * stable.error + 0.01 * ranks.stable_rank);
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
