// SPDX-License-Identifier: MIT
// In which order neurons and heads of the demo model are removed: in rounds, and how many by an absolute score; custom
// scores and candidates.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optscope/isolation/direction_candidates.hpp>
#include <optscope/isolation/unit_candidates.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

const std::string project = OPTSCOPE_SOURCE_DIR;
using pruned_model = model<any_opt, float, cpu, pruned_weights<float>>;

static_assert(removal_candidates<unit_candidates<pruned_model>> &&
              removal_candidates<direction_candidates<pruned_model>>);

/// Two categories, a text of each.
struct made_up {
  tokenizer words{project + "/examples/demo-model"};
  pruned_model opt{checkpoint{project + "/examples/demo-model"}};
  scoring_texts texts{.categories = {"code", "tale"}, .bos = words.bos()};

  made_up() {
    texts.texts = {{words.encode("static int next(struct list *one)\n{\n\tif (one == NULL)\n\t\treturn -1;\n\treturn "
                                 "one->next;\n}\nint main(void)\n{\n\treturn next(0);\n}\n")},
                   {words.encode("The old man went down to the river, and nobody saw him come back that night. In the "
                                 "morning they found his coat, folded, on a stone; and it was dry.")}};
  }
};

unit_candidate_settings neurons() { return {.kinds = {unit_kind::neuron}, .layers = {0, 1, 2, 3, 4, 5, 6, 7}}; }

std::vector<std::size_t> first_of(const std::vector<std::size_t>& numbers, std::size_t count) {
  return {numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// A score with exactly the members of the concept: above 0 for the `positive` units of highest ratio.
struct ratio_with_size {
  score_input reads = score_input::activity;
  bool absolute = true;
  std::size_t positive = 0;

  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    std::vector<double> score = activation_ratio<unit_statistic::rms>{}(texts, kept);
    if (positive == 0) return score;
    std::vector<double> sorted;
    for (const std::size_t u : texts.sums.units().all(unit_kind::neuron)) {
      if (!std::isnan(score[u])) sorted.push_back(score[u]);
    }
    std::ranges::sort(sorted, std::greater<>{});
    for (double& each : score) each -= sorted[positive];
    return score;
  }
};
static_assert(removal_score<ratio_with_size>);

/// Candidates that share no code with the shipped ones: the attention of whole layers, in the order of the layers.
struct whole_attention {
  static constexpr candidate_terms terms{.part_of_layer = "all", .kept_most = "of the last layers"};
  static constexpr double most_on_curves = 1;
  static constexpr std::size_t one_in = 1, first_layer = 0;
  unit_ordering heads;

  const unit_ordering& ordering() const { return heads; }
  bool depends_on_kept() const { return false; }
  void prepare(const std::vector<std::size_t>&, const study_progress&) {}
  std::vector<double> scores(std::size_t) const { return std::vector<double>(heads.units().size(), 1); }
  std::vector<std::size_t> order(std::size_t, removal_order, std::uint64_t) const { return heads.all(); }
  removal removal_of(const std::vector<std::size_t>& numbers, std::size_t) const {
    removal what;
    what.layers.resize(heads.units().layers());
    for (const std::size_t u : numbers) what.layers[heads.units()[u].layer].heads.push_back(heads.units()[u].index);
    return what;
  }
  std::optional<std::size_t> own_count(std::size_t, const std::vector<std::size_t>&) { return std::nullopt; }
  set_overlaps compare(const std::vector<std::size_t>&, std::size_t, const study_progress&) { return {}; }
};
static_assert(removal_candidates<whole_attention>);

}  // namespace

TEST_CASE("in a second round scores are those of what the first to go leave") {
  unit_candidate_settings how = neurons();
  how.rounds = 2;
  how.round_share = 0.2;
  made_up all;
  unit_candidates units{all.opt, all.texts, how};
  units.prepare({0}, {});
  const std::vector<std::size_t> once = units.ordering().order(units.scores(0), removal_order::by_score);
  const std::vector<std::size_t> found = units.order(0, removal_order::by_score);
  const std::size_t first = 819;  // half of the share of 8,192
  REQUIRE(std::is_permutation(found.begin(), found.end(), once.begin(), once.end()));
  CHECK(std::equal(found.begin(), found.begin() + first, once.begin()));
  CHECK_FALSE(found == once);

  // What is left, from a model that is cut.
  all.opt.weights().remove(units.removal_of(first_of(found, first), 0), all.opt.backend().pool());
  std::vector<std::vector<double>> square(2, std::vector<double>(units.ordering().units().size()));
  for (const std::size_t c : {0, 1}) {
    capture<site::mlp_post> probe{positions::all()};
    all.opt.run(all.texts.texts[c], probe);
    for (std::size_t layer = 0; layer < 8; ++layer) {
      std::vector<std::size_t> left;
      for (std::size_t i = 0; i < 1024; ++i) {
        const std::size_t number = units.ordering().units().number({unit_kind::neuron, layer, i});
        if (std::find(found.begin(), found.begin() + first, number) == found.begin() + first) left.push_back(number);
      }
      const auto rows = probe(site::mlp_post{}, layer);
      for (std::size_t i = 1; i < rows.rows(); ++i) {  // BOS does not count
        for (std::size_t n = 0; n < left.size(); ++n)
          square[c][left[n]] +=
              static_cast<double>(rows(i, n)) * static_cast<double>(rows(i, n)) / static_cast<double>(rows.rows() - 1);
      }
    }
  }
  std::vector<double> ratios;
  for (auto u = found.begin() + first; u != found.end(); ++u) {
    if (square[1][*u] > 0) ratios.push_back(std::sqrt(square[1][*u]) / (std::sqrt(square[0][*u]) + 1e-6));
  }
  CHECK(ratios.size() > 5000);
  std::size_t wrong = 0;  // but for rounding
  for (std::size_t i = 1; i < ratios.size(); ++i) wrong += ratios[i] > ratios[i - 1] * (1 + 1e-3);
  CHECK_EQ(wrong, 0);
}

TEST_CASE("by an absolute score as many units are removed as cost the kept category what they may") {
  made_up all;
  const auto loss = [&](const unit_candidates<pruned_model>& units, const std::vector<std::size_t>& numbers,
                        std::size_t count) {
    removal_edits edits = edits_of(units.removal_of(first_of(numbers, count), 0), all.opt.shape());
    all.opt.weights().remove({}, all.opt.backend().pool());
    next_token_loss found{all.texts.texts[0]};
    all.opt.run(all.texts.texts[0], edits.may_not_fire(), found);
    return found.mean([](std::size_t) { return true; });
  };
  for (const double cost : {0.1, 0.4}) {
    unit_candidate_settings how = neurons();
    how.mask.cost = cost;
    how.score = ratio_with_size{};
    unit_candidates units{all.opt, all.texts, how};
    units.prepare({0}, {});
    const std::vector<std::size_t> numbers = units.order(0, removal_order::by_score);
    const std::size_t size = units.own_count(0, numbers).value();
    CAPTURE(size);
    CHECK(size > 50);
    CHECK(size < 8000);
    CHECK(loss(units, numbers, size) - loss(units, numbers, 0) <= cost + 1e-4);
    CHECK(loss(units, numbers, size + 1) - loss(units, numbers, 0) > cost - 1e-4);

    // No more than a fiftieth above the score's own size, here a tenth of what the cost allows.
    how.score = ratio_with_size{.positive = size / 10};
    unit_candidates fewer{all.opt, all.texts, how};
    fewer.prepare({0}, {});
    CHECK_EQ(fewer.own_count(0, fewer.order(0, removal_order::by_score)).value(), size / 10 + size / 10 / 50);
    CHECK_FALSE(unit_candidates(all.opt, all.texts, neurons()).own_count(0, numbers).has_value());
  }
}
