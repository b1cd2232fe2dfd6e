// SPDX-License-Identifier: MIT
// Units, windows, norms of heads and the sums over texts, against plain loops over captured activations.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <iterator>
#include <optscope/corpus/survey.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/corpus_sums.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/saved_sums.hpp>
#include <optscope/units/unit_sums.hpp>
#include <random>
#include <string>
#include <vector>

#include "places.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {

template <class Row>
double norm(const Row& row) {
  double square = 0;
  for (const float x : row) square += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(square);
}

}  // namespace

TEST_CASE("every unit has its number, and the number gives the unit") {
  architecture shape;
  shape.layers = 3;
  shape.heads = 2;
  shape.ffn = 5;
  const unit_table units{shape};
  REQUIRE_EQ(units.size(), 3 * (3 + 2 + 5));
  std::vector<bool> met(units.size());
  for (const unit_kind kind : all_unit_kinds) {
    for (const std::size_t number : units.all(kind)) {
      CHECK_FALSE(met[number]);
      met[number] = true;
      CHECK(units[number].kind == kind);
      CHECK_EQ(units.number(units[number]), number);
    }
  }
  CHECK_EQ(units.number({unit_kind::neuron, 1, 4}), 10 + 3 + 2 + 4);

  const unit_table more{shape, 4};  // directions after the neurons
  REQUIRE_EQ(more.size(), 3 * (3 + 2 + 5 + 4));
  const std::vector<std::size_t> directions = more.all(unit_kind::direction);
  REQUIRE_EQ(directions.size(), 3 * 4);
  for (std::size_t i = 0; i < directions.size(); ++i) {
    CHECK_EQ(directions[i], i / 4 * 14 + 10 + i % 4);
    CHECK((more[directions[i]] == unit{unit_kind::direction, i / 4, i % 4}));
  }
  CHECK((more[more.number({unit_kind::neuron, 2, 4})] == unit{unit_kind::neuron, 2, 4}));
}

TEST_CASE("a text is cut into full windows, each with its BOS, and no token is lost") {
  const token_list text{2, 10, 11, 12, 13, 14};
  const auto windows = windows_of(text, 3, token_id{2});
  REQUIRE_EQ(windows.size(), 3);
  CHECK_EQ(windows[0].tokens, token_list{2, 10, 11});
  CHECK_EQ(windows[1].tokens, token_list{2, 12, 13});
  CHECK_EQ(windows[2].tokens, token_list{2, 14});
  CHECK_EQ(windows[2].skip, 1);
  CHECK(windows_of({2}, 3, token_id{2}).empty());
  CHECK(windows_of({}, 3, token_id{2}).empty());
  const auto plain = windows_of({10, 11, 12}, 2, token_id{2});  // no BOS in the text: none is put there
  REQUIRE_EQ(plain.size(), 2);
  CHECK_EQ(plain[1].tokens, token_list{12});
  CHECK_EQ(plain[1].skip, 0);
}

TEST_CASE("texts are split into groups of equal size in all categories; no group mixes categories") {
  const text_groups few{{3, 1, 2}};
  CHECK_EQ(few.count(), 6);
  CHECK_EQ(few.category(), std::vector<std::size_t>{0, 0, 0, 1, 2, 2});
  for (const std::vector<std::size_t>& texts :
       {std::vector<std::size_t>{1000, 7, 300}, {1000, 1}, {129, 128}, {100000, 90000, 12}, {64, 64}}) {
    const text_groups many{texts};
    CHECK(many.count() <= 128);
    std::vector<std::size_t> members(many.count());
    for (std::size_t c = 0; c < texts.size(); ++c) {
      std::size_t last = 0;  // text in a group
      for (std::size_t t = 0; t < texts[c]; ++t) {
        const std::size_t group = many.of(c, t);
        if (group == text_groups::none) continue;
        CHECK_EQ(many.category()[group], c);
        ++members[group];
        last = t;
      }
      CHECK(last + 1 >= texts[c] * 9 / 10);  // from all of the category
    }
    for (const std::size_t count : members) CHECK_EQ(count, many.texts_per_group());
  }
}

TEST_CASE("norms of heads computed from z are those of result") {
  for (const char* name : {"head-dim-64", "head-dim-80", "head-dim-1", "head-dim-7", "no-bias", "post-ln-projected"}) {
    CAPTURE(name);
    model<> opt{checkpoint{model_goldens + name}};
    capture<site::z, site::result> probe{positions::all()};
    opt.run({{2, 5, 9, 11, 7, 30}}, probe);
    const auto norms = head_norms_of(opt);
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      const auto z = probe(site::z{}, layer), result = probe(site::result{}, layer);
      tensor<float, 2> found{{z.rows(), z.extent(1)}};
      norms[layer](z, found.view());
      for (std::size_t row = 0; row < z.rows(); ++row) {
        for (std::size_t head = 0; head < z.extent(1); ++head) {
          const std::span<const float> whole{result.row(row).data() + head * opt.shape().hidden, opt.shape().hidden};
          CHECK(found(row, head) == doctest::Approx(norm(whole)).epsilon(1e-5));
        }
      }
    }
  }
}

TEST_CASE("a head whose part of W_O has fewer directions than it has numbers gets the norm of what is left") {
  tensor<double, 2> weight{{4, 4}};  // (hidden, hidden), one head: columns 2 and 3 repeat 0 and 1
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j)
      weight(i, j) = static_cast<double>(i + 1) * (j % 2 == 0 ? 1.0 : 0.5 - static_cast<double>(i));
  }
  const head_norms norms{tensor_view<const double, 2>{weight.view()}, 1};
  const std::vector<float> z{1, -2, 0.5f, 3};
  tensor<float, 2> found{{1, 1}};
  norms({z.data(), {1, 1, 4}}, found.view());
  double square = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) sum += weight(i, j) * static_cast<double>(z[j]);
    square += sum * sum;
  }
  CHECK(found(0, 0) == doctest::Approx(std::sqrt(square)).epsilon(1e-6));
}

TEST_CASE("sums over texts agree with plain loops for any windows and batches; saved sums resume to the same bits") {
  model<> opt{checkpoint{model_goldens + "head-dim-64"}};
  const token_batch texts{{2, 5, 9, 11, 7, 30, 12, 8, 9, 4}, {2, 6, 7}, {2, 21, 22, 23, 24, 25}, {2, 3}};
  const std::vector<std::size_t> category{0, 0, 1, 1};
  const text_groups groups{{2, 2}};
  constexpr std::size_t length = 4;
  std::vector<std::pair<window, text_part>> all;
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const auto windows = windows_of(texts[t], length, token_id{2});
    for (const window& w : windows) {
      all.push_back({w, {category[t], groups.of(category[t], t % 2), texts[t].size() - 1, 1, &w == &windows.back()}});
    }
  }
  const auto run = [&](unit_sums& sums, std::size_t first, std::size_t last) {
    token_batch batch;
    std::vector<text_part> parts;
    for (std::size_t i = first; i < last; ++i) {
      batch.push_back(all[i].first.tokens);
      parts.push_back(all[i].second);
    }
    sums.expect(parts);
    opt.run(batch, sums);
  };
  unit_sums sums{opt.shape(), groups, head_norms_of(opt)};
  run(sums, 0, 2);  // ends inside the first text
  const temporary_folder folder;
  const auto file = folder / "sums";
  save_sums(file, "this run", {1, 2}, sums);
  run(sums, 2, all.size());

  unit_sums again{opt.shape(), groups, head_norms_of(opt)};
  const run_place next = load_sums(file, "this run", again);
  CHECK_EQ(next.window, 2);
  run(again, 2, all.size());
  CHECK_THROWS_AS((void)load_sums(file, "that run", again), bad_input);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  unit_sums third{opt.shape(), groups, head_norms_of(opt)};
  CHECK_THROWS_AS((void)load_sums(file, "this run", third), bad_input);

  capture<site::result, site::attn_out, site::mlp_post, site::mlp_out, site::resid_post> probe{positions::all()};
  token_batch batch;
  for (const auto& [w, unused] : all) batch.push_back(w.tokens);
  opt.run(batch, probe);
  const auto value = [&](const unit& u, std::size_t text, std::size_t row) -> double {
    switch (u.kind) {
      case unit_kind::layer: return norm(probe(site::resid_post{}, u.layer, text).row(row));
      case unit_kind::attention: return norm(probe(site::attn_out{}, u.layer, text).row(row));
      case unit_kind::mlp: return norm(probe(site::mlp_out{}, u.layer, text).row(row));
      case unit_kind::head: {
        const auto result = probe(site::result{}, u.layer, text).row(row);
        return norm(result.subspan(u.index * opt.shape().hidden, opt.shape().hidden));
      }
      default: return static_cast<double>(probe(site::mlp_post{}, u.layer, text)(row, u.index));
    }
  };
  const unit_table& units = sums.units();
  std::size_t wrong = 0;
  for (std::size_t u = 0; u < units.size(); ++u) {
    double expected[2][4] = {}, squares[2][4] = {}, energy[2] = {};
    for (std::size_t t = 0; t < texts.size(); ++t) {
      double s[4] = {};
      for (std::size_t w = 0; w < all.size(); ++w) {
        if (all[w].second.category != category[t] || all[w].second.group != groups.of(category[t], t % 2)) continue;
        for (std::size_t row = 1; row < all[w].first.tokens.size(); ++row) {
          const double x = value(units[u], w, row), n = static_cast<double>(texts[t].size() - 1);
          s[0] += (x > 0) / n;
          s[1] += x / n;
          s[2] += std::abs(x) / n;
          s[3] += x * x / n;
        }
      }
      energy[category[t]] += s[3];
      s[3] = std::sqrt(s[3]);
      for (std::size_t k = 0; k < 4; ++k) {
        expected[category[t]][k] += s[k];
        squares[category[t]][k] += s[k] * s[k];
      }
    }
    for (std::size_t c = 0; c < 2; ++c) {
      const auto differs = [&](double a, double b) { return std::abs(a - b) > 2e-5 * std::max(1e-3, std::abs(b)); };
      for (const unit_statistic k : all_unit_statistics) {
        const auto i = static_cast<std::size_t>(k);
        wrong += differs(sums.sum(c, k)[u], expected[c][i]);
        wrong += differs(sums.sum_of_squares(c, k)[u], squares[c][i]);
        wrong += sums.sum(c, k)[u] != again.sum(c, k)[u];
        const double grouped = static_cast<double>(sums.group_sum(2 * c, k)[u] + sums.group_sum(2 * c + 1, k)[u]);
        wrong += differs(grouped, expected[c][i]);
      }
      wrong += differs(sums.mean_squares(c)[u], energy[c]);
    }
  }
  CHECK_EQ(wrong, 0);
}

TEST_CASE("texts are cut to one length where the categories' are not: then short texts alone make no findings" *
          doctest::test_suite("long")) {
  CHECK_EQ(equal_length({{500, 600, 550}, {480, 2000, 600}}), 0);
  CHECK_EQ(equal_length({{5000, 6000, 5500}, {2800, 2500, 4000}}), 2500);
  CHECK_EQ(equal_length({{500, 600, 550}, {40, 50, 60}, {}}), 40);

  const temporary_folder folder;
  std::mt19937_64 bits{5};
  for (const char* name : {"long", "short"}) std::filesystem::create_directory(folder / name);
  const char* words[]{"the ", "of ", "a ", "(", ") ", "x ", "model ", "data\n", "int ", "is ", ", ", "for "};
  for (int t = 0; t < 8; ++t) {
    for (const char* name : {"long", "short"}) {
      std::string text;
      for (int i = 0; i < (name[0] == 'l' ? 100 : 8); ++i) text += words[bits() % std::size(words)];
      folder.put(std::string{name} + "/" + std::to_string(t) + ".txt", text);
    }
  }
  model<> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/examples/demo-model"}};
  corpus texts = find_corpus({folder.path});
  texts.words = tokenizer{OPTSCOPE_SOURCE_DIR "/examples/demo-model"};
  const text_groups groups{texts.texts_of_each()};
  std::vector<std::vector<std::size_t>> lengths(2);
  const text_survey known = survey(texts);
  for (std::size_t t = 0; t < texts.size(); ++t) lengths[texts.category_of[t]].push_back(known.lengths[t]);
  std::size_t findings[2] = {};
  for (const bool equal : {false, true}) {
    unit_sums sums{opt.shape(), groups, head_norms_of(opt)};
    const resumable_run run{.state = (folder / (equal ? "equal" : "whole")).string(),
                            .fingerprint = "",
                            .length = equal ? equal_length(lengths) : 0};
    REQUIRE_EQ(sum_up_corpus(opt, texts, groups, sums, run), 16);
    const unit_effects effects = compare_categories(sums, groups, unit_statistic::mean, opt.backend());
    for (const std::size_t u : sums.units().all(unit_kind::neuron)) findings[equal] += effects.q(0, u) <= 0.05;
  }
  CHECK(findings[false] > 500);
  CHECK(findings[true] < 20);
}
