// SPDX-License-Identifier: MIT
// The order in which `isolate` takes units out, of the demo model: in rounds, and how many of a mask's order may go.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../../examples/isolate_units.hpp"

using namespace isolate;

namespace {

const std::string project = OPTSCOPE_SOURCE_DIR;

/// Everything that `candidates` refer to: two categories, a text of each.
struct made_up {
  settings how;
  tokenizer words{project + "/examples/demo-model"};
  pruned_model opt{checkpoint{project + "/examples/demo-model"}};
  halves texts;
  std::optional<activity> active;

  explicit made_up(settings wanted) : how{std::move(wanted)} {
    texts.categories = {"code", "tale"};
    texts.scoring = {
        {words.encode("static int next(struct list *one)\n{\n\tif (one == NULL)\n\t\treturn -1;\n\treturn "
                      "one->next;\n}\nint main(void)\n{\n\treturn next(0);\n}\n")},
        {words.encode("The old man went down to the river, and nobody saw him come back that night. In the "
                      "morning they found his coat, folded, on a stone; and it was dry.")}};
    active = sum_up(opt, texts.scored(), words.bos());
  }
  candidates units(std::vector<unit_kind> kinds) {
    return {how,
            words,
            opt,
            texts,
            *active,
            {.sums = active->sums, .texts = active->groups},
            {0, 1, 2, 3, 4, 5, 6, 7},
            std::move(kinds)};
  }
};

}  // namespace

TEST_CASE("in a second round scores are those of what the first to go leave") {
  settings how;
  how.rounds = 2;
  how.share = 0.2;
  made_up all{how};
  const candidates units = all.units({unit_kind::neuron});
  const std::vector<std::size_t> once = units.order(0, removal_order::by_score, units.scored, units.layers);
  const std::vector<std::size_t> found = units.in_rounds(0, units.scored);
  const std::size_t first = 819;  // half of the share of 8,192
  REQUIRE(std::is_permutation(found.begin(), found.end(), once.begin(), once.end()));
  CHECK(std::equal(found.begin(), found.begin() + first, once.begin()));
  CHECK_FALSE(found == once);

  // What is left, from a model that is cut.
  all.opt.weights().remove(units.remove(std::span{found}.first(first), 0), all.opt.backend().pool());
  std::vector<std::vector<double>> square(2, std::vector<double>(units.numbering.size()));
  for (const std::size_t c : {0, 1}) {
    capture<site::mlp_post> probe{positions::all()};
    all.opt.run(all.texts.scoring[c], probe);
    for (std::size_t layer = 0; layer < 8; ++layer) {
      std::vector<std::size_t> left;
      for (std::size_t i = 0; i < 1024; ++i) {
        const std::size_t number = units.numbering.number({unit_kind::neuron, layer, i});
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

TEST_CASE("of a mask's order as many units go as cost the kept category what they may") {
  settings how;
  how.by = "mask";
  made_up all{how};
  candidates units = all.units({unit_kind::neuron});
  units.orders.resize(2);
  // In place of a mask: the ratio, and how many are of a positive score.
  const std::vector<double> ratio = activation_ratio<unit_statistic::rms>{}(units.scored, 0);
  const auto loss = [&](const std::vector<std::size_t>& numbers, std::size_t count) {
    removal_edits edits = edits_of(units.remove(std::span{numbers}.first(count), 0), all.opt.shape());
    all.opt.weights().remove({}, all.opt.backend().pool());
    next_token_loss found{all.texts.scoring[0]};
    all.opt.run(all.texts.scoring[0], edits.may_not_fire(), found);
    return found.mean([](std::size_t) { return true; });
  };
  for (const double cost : {0.1, 0.4}) {
    all.how.mask.cost = cost;
    units.masks = {ratio, {}};
    units.scored.masks = &units.masks;
    std::vector<std::size_t> numbers = units.order(0);
    const std::size_t size = units.size_of_mask(0, numbers);
    CAPTURE(size);
    CHECK(size > 50);
    CHECK(size < 8000);
    CHECK(loss(numbers, size) - loss(numbers, 0) <= cost + 1e-4);
    CHECK(loss(numbers, size + 1) - loss(numbers, 0) > cost - 1e-4);

    // No more than a fiftieth above the mask's own size, here a tenth of what the cost allows.
    for (double& each : units.masks[0]) each = std::isnan(each) ? each : -1 / each;
    for (std::size_t i = 0; i < size / 10; ++i) units.masks[0][numbers[i]] = static_cast<double>(size - i);
    CHECK_EQ(units.size_of_mask(0, units.order(0)), size / 10 + size / 10 / 50);
  }
}
