// SPDX-License-Identifier: MIT
// Parts removed from a model: as editors, as cut weights, as a smaller checkpoint, all with the same logits; as a file.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/removal_order.hpp>
#include <optscope/isolation/removal_scores.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/activity.hpp>
#include <string>
#include <vector>

#include "compare.hpp"
#include "places.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {

const token_batch removal_texts{{2, 5, 9, 11, 7, 30, 12, 8}, {2, 6, 7}, {2}};

template <class Model, class... Editors>
std::vector<float> logits_of(Model& opt, Editors&&... editors) {
  capture<site::logits> probe{positions::all()};
  opt.run(trim(removal_texts, opt.shape().max_positions), editors..., probe);
  const auto all = probe(site::logits{});
  return {all.data(), all.data() + all.size()};
}

/// Some neurons and heads, differing by layer; constants in their place if `constants`.
removal some(const architecture& shape, bool constants, bool same) {
  removal result;
  result.layers.resize(shape.layers);
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    layer_removal& gone = result.layers[layer];
    for (std::size_t n = 0; n < shape.ffn; n += same || layer == 0 ? 3 : 2) gone.neurons.push_back(n);
    gone.heads.push_back(shape.heads - 1);
    if (!constants) continue;
    for (std::size_t i = 0; i < gone.neurons.size(); ++i)
      gone.neuron_values.push_back(0.01f * static_cast<float>(i % 7));
    for (std::size_t d = 0; d < shape.head_dim(); ++d)
      gone.head_values.push_back(0.1f * static_cast<float>(d % 3) - 0.1f);
  }
  return result;
}

struct z_sums {
  using sites = site_list<site::z>;
  std::vector<std::vector<double>> sum;  // [layer][head * head_dim]: of what is not BOS
  void operator()(site::z, const place& at, tensor_view<const float, 3> z) {
    if (sum.size() <= at.layer) sum.emplace_back(z.row(0).size());
    for (std::size_t i = 1; i < z.rows(); ++i) {
      for (std::size_t j = 0; j < sum[at.layer].size(); ++j) sum[at.layer][j] += z.row(i)[j];
    }
  }
};

struct overwrite_z {
  using sites = site_list<site::z>;
  std::vector<std::vector<double>> with;  // [layer][head * head_dim]; all heads but the first
  void operator()(site::z, const place& at, tensor_view<float, 3> z) const {
    for (std::size_t i = 0; i < z.rows(); ++i) {
      for (std::size_t j = z.extent(2); j < with[at.layer].size(); ++j)
        z.row(i)[j] = static_cast<float>(with[at.layer][j]);
    }
  }
};

using pruned = model<any_opt, float, cpu, pruned_weights<float>>;

}  // namespace

TEST_CASE("editors, cut weights and the smaller checkpoint give the same logits") {
  const temporary_folder out;
  for (const char* name : {"head-dim-64", "head-dim-7", "post-ln-projected", "activation-gelu", "no-bias"}) {
    for (const bool constants : {false, true}) {
      CAPTURE(name);
      CAPTURE(constants);
      pruned opt{checkpoint{model_goldens + name}};
      const std::vector<float> whole = logits_of(opt);
      const bool same = !constants;
      const removal what = some(opt.shape(), constants, same);
      removal_edits edits = edits_of(what, opt.shape());
      const std::vector<float> edited = logits_of(opt, edits);
      double change = 0, largest = 0;
      for (std::size_t i = 0; i < whole.size(); ++i) {
        change = std::max(change, static_cast<double>(std::abs(whole[i] - edited[i])));
        largest = std::max(largest, static_cast<double>(std::abs(whole[i])));
      }
      CHECK(change > 1e-3 * largest);

      opt.weights().remove(what, opt.backend().pool());
      const std::vector<float> cut = logits_of(opt);
      check_close(std::span<const float>{cut}, std::span<const float>{edited}, 1e-5, "cut weights");
      opt.weights().remove({}, opt.backend().pool());
      CHECK(logits_of(opt) == whole);

      if (constants && !opt.shape().bias) {
        CHECK_THROWS_AS(write_pruned(opt.files(), opt.shape(), what, out.path), bad_input);
        continue;
      }
      CHECK_EQ(write_pruned(opt.files(), opt.shape(), what, out.path), same || opt.layers() == 1);
      model<> smaller{checkpoint{out.path}};
      const std::vector<float> from_file = logits_of(smaller);
      check_close(std::span<const float>{from_file}, std::span<const float>{edited}, 1e-5, "smaller checkpoint");
      CHECK(smaller.shape().ffn < opt.shape().ffn);
      const bool even = same || opt.layers() == 1;
      CHECK_EQ(smaller.files().configuration().ffn_dims.empty(), even);
      CHECK_EQ(smaller.files().configuration().attention_heads,
               even ? std::vector<std::size_t>{} : std::vector<std::size_t>(opt.layers(), opt.shape().heads - 1));
      CHECK_NE(fingerprint(smaller.files()), fingerprint(opt.files()));
    }
  }
}

TEST_CASE("copies side by side compute what the model does, each with its own removal, and outlive it") {
  auto opt = std::make_unique<pruned>(checkpoint{model_goldens + "head-dim-64"}, cpu{3});
  const std::vector<float> whole = logits_of(*opt);
  const removal what = some(opt->shape(), true, false);
  opt->weights().remove(what, opt->backend().pool());
  const std::vector<float> cut = logits_of(*opt);
  side_by_side<pruned> copies{*opt};
  CHECK_EQ(copies.size(), 3);
  opt.reset();
  std::vector<std::vector<float>> found(20);
  copies(found.size(), [&](std::size_t i, std::size_t copy) {
    pruned& own = copies[copy];
    own.weights().remove(i % 2 == 0 ? removal{} : what, own.backend().pool());
    found[i] = logits_of(own);
  });
  for (std::size_t i = 0; i < found.size(); ++i) CHECK((found[i] == (i % 2 == 0 ? whole : cut)));
}

TEST_CASE("a head removed by its mean is one whose z is overwritten by its mean over the texts, BOS left out") {
  const std::vector<std::vector<token_list>> categories{{{2, 5, 9, 11}, {2, 6, 7}}, {{2, 8, 30, 12, 4}}};
  for (const char* name : {"head-dim-64", "head-dim-7", "post-ln-projected"}) {
    for (const replacement with : {replacement::kept_mean, replacement::mean}) {
      CAPTURE(name);
      pruned opt{checkpoint{model_goldens + name}};
      std::vector<std::vector<std::vector<double>>> means(2);  // [category]
      for (std::size_t c = 0; c < 2; ++c) {
        for (const token_list& text : categories[c]) {
          z_sums of_text;
          opt.run({text}, of_text);
          means[c].resize(opt.layers(), std::vector<double>(of_text.sum[0].size()));
          for (std::size_t l = 0; l < opt.layers(); ++l) {
            for (std::size_t j = 0; j < of_text.sum[l].size(); ++j) {
              means[c][l][j] += of_text.sum[l][j] / static_cast<double>((text.size() - 1) * categories[c].size());
            }
          }
        }
      }
      overwrite_z edit{means[0]};
      for (std::size_t l = 0; with == replacement::mean && l < opt.layers(); ++l) {
        for (std::size_t j = 0; j < edit.with[l].size(); ++j) edit.with[l][j] = (means[0][l][j] + means[1][l][j]) / 2;
      }
      const std::vector<float> expected = logits_of(opt, edit);

      const activity active = sum_up(opt, categories, token_id{2});
      const unit_table& units = active.sums.units();
      std::vector<std::size_t> numbers;
      for (const std::size_t u : units.all(unit_kind::head)) {
        if (units[u].index != 0) numbers.push_back(u);
      }
      const removal what = removal_of(numbers, active, 0, with);
      CHECK_EQ(what.heads(), numbers.size());
      opt.weights().remove(what, opt.backend().pool());
      const std::vector<float> cut = logits_of(opt);
      check_close(std::span<const float>{cut}, std::span<const float>{expected}, 1e-5, "cut weights");
    }
  }
}

TEST_CASE("halves of an activity are those of every second text alone; a single one is in both") {
  const std::vector<token_list> many{{2, 5, 9, 11}, {2, 6, 7}, {2, 8, 30, 12, 4}, {2, 10}, {2, 13, 7, 7}},
      one{{2, 9, 9}};
  pruned opt{checkpoint{model_goldens + "head-dim-7"}};
  const activity all = sum_up(opt, {many, one}, token_id{2});
  REQUIRE_EQ(all.halves.size(), 2);
  for (const std::size_t half : {0, 1}) {
    std::vector<token_list> some;
    for (std::size_t i = half; i < many.size(); i += 2) some.push_back(many[i]);
    const activity alone = sum_up(opt, {some, one}, token_id{2});
    const activity& found = all.halves[half];
    for (const std::size_t c : {0, 1}) {
      CAPTURE(half);
      CAPTURE(c);
      CHECK_EQ(found.groups.texts(c), c == 0 ? some.size() : 1);
      for (const unit_statistic by : {unit_statistic::mean, unit_statistic::rms, unit_statistic::frequency}) {
        check_close(found.sums.sum(c, by), alone.sums.sum(c, by), 1e-12, "sums");
      }
      for (std::size_t head = 0; head < opt.shape().heads; ++head) {
        check_close(std::span{found.heads(c, 1, head)}, std::span{alone.heads(c, 1, head)}, 1e-12, "heads");
      }
    }
  }
}

TEST_CASE("a layer of which every neuron is removed adds its bias alone") {
  const temporary_folder out;
  pruned opt{checkpoint{model_goldens + "head-dim-64"}};
  removal what;
  what.layers.resize(opt.layers());
  for (std::size_t n = 0; n < opt.shape().ffn; ++n) what.layers[0].neurons.push_back(n);
  for (std::size_t h = 0; h < opt.shape().heads; ++h) what.layers[0].heads.push_back(h);
  removal_edits edits = edits_of(what, opt.shape());
  const std::vector<float> edited = logits_of(opt, edits);
  opt.weights().remove(what, opt.backend().pool());
  const std::vector<float> cut = logits_of(opt);
  check_close(std::span<const float>{cut}, std::span<const float>{edited}, 1e-5, "cut weights");
  write_pruned(opt.files(), opt.shape(), what, out.path);
  model<> smaller{checkpoint{out.path}};
  const std::vector<float> from_file = logits_of(smaller);
  check_close(std::span<const float>{from_file}, std::span<const float>{edited}, 1e-5, "smaller checkpoint");
}

TEST_CASE("a model without some heads continues from its cache as the whole one with edits does") {
  const temporary_folder out;
  pruned opt{checkpoint{model_goldens + "head-dim-7"}};
  const removal what = some(opt.shape(), true, false);
  const token_batch prompts{{2, 5, 9}, {2, 7}};
  generation wanted{.new_tokens = 12, .seed_step = 1, .stop = {}};
  wanted.how.temperature = 0;
  removal_edits edits = edits_of(what, opt.shape());
  const token_batch edited = generate(opt, prompts, wanted, edits);
  opt.weights().remove(what, opt.backend().pool());
  CHECK_EQ(generate(opt, prompts, wanted), edited);
  write_pruned(opt.files(), opt.shape(), what, out.path);
  model<> smaller{checkpoint{out.path}};
  CHECK_EQ(generate(smaller, prompts, wanted), edited);
}

TEST_CASE("of layers without some neurons and heads a capture has those that are left, in front") {
  const temporary_folder out;
  pruned opt{checkpoint{model_goldens + "head-dim-7"}};
  removal what;
  what.layers.resize(opt.layers());
  what.layers.back() = {{0, 2}, {}, {0}, {}, {}, {}};
  capture<site::mlp_post, site::z, site::pattern> whole{positions::all()}, cut{positions::all()};
  removal_edits edits = edits_of(what, opt.shape());
  opt.run(removal_texts, edits, whole);
  write_pruned(opt.files(), opt.shape(), what, out.path);
  model<> smaller{checkpoint{out.path}};
  smaller.run(removal_texts, cut);
  const std::size_t last = opt.layers() - 1, left = opt.shape().ffn - 2, heads = opt.shape().heads - 1;
  const auto a = whole(site::mlp_post{}, last), b = cut(site::mlp_post{}, last);
  const auto z = whole(site::z{}, last), y = cut(site::z{}, last);
  for (std::size_t row = 0; row < a.rows(); ++row) {
    std::vector<float> expected{a(row, 1)};
    expected.insert(expected.end(), a.row(row).begin() + 3, a.row(row).end());
    check_close(std::span<const float>{b.row(row)}.first(left), std::span<const float>{expected}, 1e-5, "mlp_post");
    const std::size_t width = heads * opt.shape().head_dim();
    check_close(std::span<const float>{y.row(row)}.first(width), std::span<const float>{z.row(row)}.last(width), 1e-5,
                "z");
  }
  const auto p = whole(site::pattern{}, last, 0), q = cut(site::pattern{}, last, 0);  // (head, position, key)
  for (std::size_t head = 0; head < heads; ++head) {
    check_close(std::span<const float>{q.row(head)}, std::span<const float>{p.row(head + 1)}, 1e-5, "pattern");
  }
  what.layers[0].heads = {opt.shape().heads};
  CHECK_THROWS_AS(opt.weights().remove(what, opt.backend().pool()), bad_input);
  CHECK_THROWS_AS(write_pruned(opt.files(), opt.shape(), what, out.path), bad_input);
  CHECK_THROWS_AS(gradient_pass{smaller}, checkpoint_error);
  CHECK_THROWS_AS(ablation_pass{smaller}, checkpoint_error);
}

TEST_CASE("a continuation of which there is enough leaves the batch; the others go on as if it had stayed") {
  model<> opt{checkpoint{model_goldens + "post-ln-projected"}};
  const token_batch prompts{{2, 5, 9}, {2, 7}, {2, 11, 30, 4}};
  generation wanted{.new_tokens = 20,
                    .how = {.temperature = 0.8, .top_p = 0.9, .seed = 3},
                    .seed_step = 1,
                    .stop = {},
                    .enough_every = 8};
  const token_batch whole = generate(opt, prompts, wanted);
  wanted.enough = [&](const token_list& text) { return text.size() == 8 && text[0] == whole[1][0]; };
  const token_batch some = generate(opt, prompts, wanted);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CHECK_EQ(whole[i].size(), 20);
    const std::size_t size = whole[i][0] == whole[1][0] ? 8 : 20;
    CHECK_EQ(some[i], token_list(whole[i].begin(), whole[i].begin() + static_cast<std::ptrdiff_t>(size)));
  }
}

TEST_CASE("a removal comes back from its file; those for another model, and broken ones, are refused by name") {
  const temporary_folder out;
  const auto file = out.path / "edits.json";
  const model<> opt{checkpoint{model_goldens + "head-dim-64"}};
  const removal what = some(opt.shape(), true, false);
  const std::string print = fingerprint(opt.files());
  write_removal(file, what, print, "a test");
  const removal read = read_removal(file, opt.shape(), print);
  CHECK_EQ(read.neurons(), what.neurons());
  CHECK_EQ(read.heads(), what.heads());
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    CHECK(read.layers[layer].neurons == what.layers[layer].neurons);
    CHECK(read.layers[layer].neuron_values == what.layers[layer].neuron_values);
    CHECK(read.layers[layer].head_values == what.layers[layer].head_values);
  }
  const auto message = [&](const std::string& text, const std::string& model) {
    if (!text.empty()) write_file(file, text);
    try {
      (void)read_removal(file, opt.shape(), model);
    } catch (const bad_input& e) {
      return std::string{e.what()};
    }
    return std::string{};
  };
  CHECK(message("", "0123").find("edits of this model, 0123") != std::string::npos);
  const std::string begin = R"({"format":"optscope edits 1","model":")" + print + R"(","layers":)";
  CHECK(message(begin + "[{}]}", print).find("a list of 2") != std::string::npos);
  CHECK(message(begin + R"([{"neurons":[3,3]},{}]})", print).find("ascending numbers below") != std::string::npos);
  CHECK(message(begin + R"([{"heads":[9]},{}]})", print).find("layers[0].heads") != std::string::npos);
  CHECK(message(begin + R"([{"neurons":[1],"neuron_values":[1,2]},{}]})", print).find("a list of 1 numbers") !=
        std::string::npos);
  CHECK(message(R"({"format":"something"})", print).find("optscope edits 1") != std::string::npos);
}

TEST_CASE("units are removed by score, at random or reversed; those without a score last; sets overlap by Jaccard") {
  architecture shape;
  shape.layers = 2;
  shape.heads = 1;
  shape.ffn = 4;
  const unit_table units{shape};
  std::vector<double> score(units.size(), 0.0);
  const std::size_t first = units.first(unit_kind::neuron, 0);
  score[first] = std::nan("");
  score[first + 2] = 5;
  score[first + 3] = -1;
  using list = std::vector<std::size_t>;
  CHECK_EQ(order_of_removal(score, units, unit_kind::neuron, {0}, removal_order::by_score),
           list{first + 2, first + 1, first + 3, first});
  CHECK_EQ(order_of_removal(score, units, unit_kind::neuron, {0}, removal_order::reversed),
           list{first + 3, first + 1, first + 2, first});
  const list drawn = order_of_removal(score, units, unit_kind::neuron, {0, 1}, removal_order::random, 3);
  CHECK_EQ(drawn.size(), 8);
  CHECK_EQ(drawn.back(), first);
  CHECK(overlap({1, 2, 3}, {3, 2, 9}) == doctest::Approx(0.5));
  CHECK(overlap({}, {}) == 1);
}
