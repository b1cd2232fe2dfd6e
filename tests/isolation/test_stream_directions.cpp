// SPDX-License-Identifier: MIT
// Directions of the stream: moments and ratios against plain loops over captures, what an erased one leaves, as a file.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/removal_bench.hpp>
#include <optscope/isolation/stream_directions.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <vector>

#include "compare.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {

using pruned = model<any_opt, float, cpu, pruned_weights<float>>;

pruned load(const std::string& name) { return pruned{checkpoint{OPTSCOPE_SOURCE_DIR "/tests/goldens/model/" + name}}; }

/// Three categories of several texts, the last of one.
std::vector<std::vector<token_list>> some_texts() {
  std::vector<std::vector<token_list>> texts(3);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t t = 0; t < (c == 2 ? 1 : 5); ++t) {
      token_list text{2};
      for (std::size_t i = 0; i < 6 + 3 * t; ++i)
        text.push_back(static_cast<token_id>(3 + (7 * i + 11 * t + 5 * c * i) % 20 + 6 * c));
      texts[c].push_back(std::move(text));
    }
  }
  return texts;
}

using vectors = std::vector<std::vector<double>>;

/// What goes into a layer at all positions of some texts but the first.
vectors streams(pruned& opt, const std::vector<token_list>& texts, std::size_t layer) {
  vectors all;
  for (const token_list& text : texts) {
    capture<site::resid_pre> probe{positions::all()};
    opt.run({text}, probe);
    const auto rows = probe(site::resid_pre{}, layer);
    for (std::size_t i = 1; i < rows.rows(); ++i) all.emplace_back(rows.row(i).begin(), rows.row(i).end());
  }
  return all;
}
std::vector<double> mean_of(const vectors& all) {
  std::vector<double> mean(all[0].size());
  for (const auto& x : all) {
    for (std::size_t j = 0; j < x.size(); ++j) mean[j] += x[j] / static_cast<double>(all.size());
  }
  return mean;
}
/// Mean of (v (x - m))².
double spread(const vectors& all, const std::vector<double>& m, std::span<const float> v) {
  double sum = 0;
  for (const auto& x : all) {
    double along = 0;
    for (std::size_t j = 0; j < x.size(); ++j) along += static_cast<double>(v[j]) * (x[j] - m[j]);
    sum += along * along / static_cast<double>(all.size());
  }
  return sum;
}

stream_moments moments_of(pruned& opt) {
  auto halves = stream_moments_of(opt, some_texts(), 2);
  halves[0].add(halves[1]);
  return halves[0];
}

/// The first `count` directions of every layer but the first.
removal leading(const std::vector<layer_directions>& all, const unit_table& units, std::size_t count) {
  std::vector<std::size_t> numbers;
  for (std::size_t layer = 1; layer < all.size(); ++layer) {
    for (std::size_t i = 0; i < count; ++i) numbers.push_back(units.first(unit_kind::direction, layer) + i);
  }
  return removal_of(numbers, units, all);
}

}  // namespace

TEST_CASE("a direction's ratio is what other categories' texts are away from the kept mean, over the kept spread") {
  for (const char* name : {"head-dim-64", "head-dim-7", "post-ln-projected"}) {
    CAPTURE(name);
    pruned opt = load(name);
    const auto texts = some_texts();
    const stream_moments moments = moments_of(opt);
    for (std::size_t layer = 1; layer < opt.layers(); ++layer) {
      for (const std::size_t kept : {0, 1}) {
        const layer_directions found = directions_of(moments, layer, kept);
        const vectors own = streams(opt, texts[kept], layer);
        const std::vector<double> m = mean_of(own);
        check_close(std::span<const float>{found.basis->bias}, std::span<const double>{m}, 1e-5, "bias");
        double variance = 0;
        for (std::size_t j = 0; j < m.size(); ++j) {
          std::vector<float> unit(m.size());
          unit[j] = 1;
          variance += spread(own, m, unit) / static_cast<double>(m.size());
        }
        CHECK(std::is_sorted(found.ratio.rbegin(), found.ratio.rend()));
        for (std::size_t i = 0; i < m.size(); i += 5) {
          const auto v = found.basis->right.row(i);
          double others = 0, length = 0;
          for (std::size_t c = 0; c < 3; ++c) others += c == kept ? 0 : spread(streams(opt, texts[c], layer), m, v) / 2;
          for (const float each : v) length += static_cast<double>(each) * static_cast<double>(each);
          const double ratio = others / (spread(own, m, v) + 1e-3 * variance * length);
          CHECK(std::abs(found.ratio[i] - ratio) < 2e-3 * std::max(1e-2 * found.ratio[0], ratio));
          for (std::size_t k = 0; k < m.size(); k += 7) {
            const double product = std::inner_product(v.begin(), v.end(), found.basis->left.row(k).begin(), 0.0);
            CHECK(std::abs(product - (i == k ? 1 : 0)) < 1e-3);
          }
        }
      }
    }
  }
}

TEST_CASE("along an erased direction every text stands at the kept mean, but for the first position") {
  pruned opt = load("head-dim-64");
  const std::vector<layer_directions> all = directions_of(moments_of(opt), 0);
  CHECK(all[0].ratio.empty());
  const removal what = leading(all, unit_table{opt.shape(), opt.shape().hidden}, 3);
  CHECK_EQ(what.directions(), 3 * (opt.layers() - 1));
  const stream_basis& basis = *all[1].basis;
  const auto texts = some_texts();
  for (const token_list& text : texts[1]) {
    capture<site::resid_pre> before{positions::all()}, after{positions::all()};
    opt.run({text}, before);
    direction_edits edits = direction_edits_of(what);
    opt.run({text}, edits, after);
    const auto x = before(site::resid_pre{}, 1), y = after(site::resid_pre{}, 1);
    CHECK(std::ranges::equal(x.row(0), y.row(0)));
    for (std::size_t row = 1; row < x.rows(); ++row) {
      std::vector<double> moved(y.row(row).begin(), y.row(row).end());
      for (std::size_t i = 0; i < 3; ++i) {
        double was = 0, is = 0;
        for (std::size_t j = 0; j < moved.size(); ++j) {
          was += basis.right(i, j) * (x(row, j) - basis.bias[j]);
          is += basis.right(i, j) * (y(row, j) - basis.bias[j]);
        }
        CHECK(std::abs(is) < 1e-3 * (1 + std::abs(was)));
        for (std::size_t j = 0; j < moved.size(); ++j) moved[j] += was * static_cast<double>(basis.left(i, j));
      }
      check_close(std::span<const double>{moved}, x.row(row), 1e-4, "what it was");
    }
  }
}

TEST_CASE("directions come out of the cache as out of whole runs; isolation measures them; no weight holds them") {
  pruned opt = load("head-dim-7");
  const removal what = leading(directions_of(moments_of(opt), 1), unit_table{opt.shape(), opt.shape().hidden}, 2);
  const token_batch prompts{{2, 5, 9}, {2}, {2, 11, 30, 4}};
  generation wanted{.new_tokens = 8, .seed_step = 1, .stop = {}};
  wanted.how.temperature = 0;
  removal_edits edits = edits_of(what, opt.shape());
  const token_batch found = generate(opt, prompts, wanted, edits);
  CHECK(found != generate(opt, prompts, wanted));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    token_list text = prompts[i];
    for (const token_id id : found[i]) {
      capture<site::logits> probe{positions::last()};
      opt.run({text}, edits, probe);
      const auto row = probe(site::logits{}).row(0);
      CHECK_EQ(id, std::ranges::max_element(row) - row.begin());
      text.push_back(id);
    }
  }

  kv_cache<float> cache;  // from layer 1 on: what goes into it is what is given, not computed again
  capture<site::resid_pre> below{positions::all()};
  opt.run(prompts, cache, below.only_layers({1}));
  const auto stream = below(site::resid_pre{}, 1);
  CHECK_EQ(generate_from(1, stream, cache, opt, prompts, wanted, edits), found);
  const tensor<float, 2> zeros{stream.shape()};
  CHECK(generate_from(1, zeros.view(), cache, opt, prompts, wanted, edits) != found);

  side_by_side<pruned> copies{opt};
  const ngram_judge judge{{{"some text"}, {"other words"}}};
  removal_bench bench{opt, copies, judge};
  bench.what.wanted = wanted;
  bench.what.decode = [](const token_list& ids) {
    std::string text;
    for (const token_id id : ids) text += std::to_string(id) + " ";
    return text;
  };
  bench.what.prompts.categories = bench.what.held_out.categories = {"some", "other"};
  for (const token_list& prompt : prompts) bench.what.prompts.add(0, prompt);
  bench.what.held_out.add(0, {2, 5, 9, 11, 7});
  bench.what.held_out.add(1, {2, 6, 7, 8});
  next_token_loss loss{bench.what.held_out.tokens};
  opt.run(bench.what.held_out.tokens, edits, loss);
  const std::vector<behaviour> measured = bench.measure_all({what, {}}, std::nullopt, [] {});
  for (std::size_t i = 0; i < prompts.size(); ++i) CHECK_EQ(measured[0].written[i], bench.what.decode(found[i]));
  CHECK_EQ(measured[0].loss[0], loss.mean([](std::size_t text) { return text == 0; }));
  CHECK(measured[1].loss[0] != measured[0].loss[0]);
  CHECK_EQ(bench.measure_prompts(what, bench.what.prompts).written, measured[0].written);

  // Side by side, layers below the first change are not run again: the same bits.
  removal last, first;
  last.layers.resize(opt.layers());
  last.layers.back().neurons = {0, 3, 4};
  last.layers.back().heads = {1};
  first.layers.resize(opt.layers());
  first.layers[0].neurons = {2};
  for (const removal& each : {what, removal{}, last, first}) {
    const behaviour alone = bench.measure(each), together = bench.measure_all({each, last}, std::nullopt, [] {})[0];
    CHECK_EQ(alone.written, together.written);
    CHECK_EQ(alone.loss, together.loss);
  }
  CHECK(bench.measure(last).loss != bench.measure({}).loss);

  CHECK_THROWS_AS(write_pruned(opt.files(), opt.shape(), what, temporary_folder{}.path), bad_input);
}

TEST_CASE("directions come back from their file; broken ones are refused by name") {
  const temporary_folder folder;
  const auto file = folder / "directions.json";
  pruned opt = load("head-dim-64");
  removal what = leading(directions_of(moments_of(opt), 2), unit_table{opt.shape(), opt.shape().hidden}, 3);
  what.layers[0].neurons = {3, 5};
  const std::string print = fingerprint(opt.files());
  write_removal(file, what, print, "a test");
  const removal read = read_removal(file, opt.shape(), print);
  CHECK_EQ(read.neurons(), 2);
  REQUIRE_EQ(read.directions(), what.directions());
  for (std::size_t layer = 1; layer < opt.layers(); ++layer) {
    const stream_basis &a = *what.layers[layer].basis, &b = *read.layers[layer].basis;
    CHECK(a.bias == b.bias);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(std::ranges::equal(a.left.row(i), b.left.row(i)));
      CHECK(std::ranges::equal(a.right.row(i), b.right.row(i)));
    }
  }
  const auto message = [&](const std::string& directions) {
    write_file(file, R"({"format":"optscope edits 1","model":")" + print + R"(","layers":[{},{"directions":)" +
                         directions + "}]}");
    try {
      static_cast<void>(read_removal(file, opt.shape(), print));
    } catch (const error& e) {
      return std::string{e.what()};
    }
    return std::string{};
  };
  const auto says = [&](const std::string& directions, const char* part) {
    const std::string found = message(directions);
    CHECK_MESSAGE(found.find(part) != std::string::npos, found);
  };
  std::string row = "[1", rows;
  for (std::size_t i = 1; i < opt.shape().hidden; ++i) row += ",0";
  row += "]";
  says("7", "layers[1].directions");
  says("{}", "layers[1].directions.bias");
  says(R"({"bias":[1]})", "layers[1].directions.bias: expected a list of 128 numbers");
  says(R"({"bias":)" + row + "}", "layers[1].directions.left");
  says(R"({"bias":)" + row + R"(,"left":[]})", "layers[1].directions.left: expected 1 to 128 lists");
  says(R"({"bias":)" + row + R"(,"left":[)" + row + R"(],"right":[[1]]})", "a list of 128 numbers");
  says(R"({"bias":)" + row + R"(,"left":[)" + row + R"(],"right":[)" + row + "," + row + "]}", "lists, as in left");
}

TEST_CASE("removals of directions overlap by their spans, whatever the vectors") {
  pruned opt = load("head-dim-64");
  const std::vector<layer_directions> all = directions_of(moments_of(opt), 0);
  const unit_table units{opt.shape(), opt.shape().hidden};
  const auto take = [&](const std::vector<std::size_t>& which, const std::vector<layer_directions>& from) {
    std::vector<std::size_t> numbers;
    for (const std::size_t i : which) numbers.push_back(units.number({unit_kind::direction, 1, i}));
    return removal_of(numbers, units, from);
  };
  CHECK(overlap(take({0, 1}, all), take({0, 1}, all), all) == doctest::Approx(1));
  CHECK(overlap(take({0, 1}, all), take({2, 3}, all), all) == doctest::Approx(0).epsilon(1e-4));
  CHECK(overlap(take({0, 1}, all), take({1, 2}, all), all) == doctest::Approx(1.0 / 3).epsilon(1e-3));
  CHECK(overlap(take({}, all), take({}, all), all) == 1);
  std::vector<layer_directions> turned = all;
  stream_basis other = *all[1].basis;
  for (std::size_t j = 0; j < opt.shape().hidden; ++j) {
    const float a = other.right(0, j), b = other.right(1, j);
    other.right(0, j) = a + b;
    other.right(1, j) = 3 * a - b;
  }
  turned[1].basis = std::make_shared<const stream_basis>(other);
  CHECK(overlap(take({0, 1}, all), take({0, 1}, turned), all) == doctest::Approx(1).epsilon(1e-4));
}

TEST_CASE("a kept category whose stream is the same everywhere is refused") {
  pruned opt = load("head-dim-64");
  const auto halves = stream_moments_of(opt, {{{2, 5}}, {{2, 6, 7}, {2, 9, 11}}}, 2);
  CHECK_THROWS_AS(static_cast<void>(directions_of(halves[0], 0)), bad_input);
}
