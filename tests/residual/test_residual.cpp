// SPDX-License-Identifier: MIT
// The stream is the sum of its components; shares of logits, beliefs at each depth and patching sweeps are what torch
// gives.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/replace.hpp>
#include <optscope/residual.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <random>
#include <string>
#include <vector>

#include "compare.hpp"
#include "places.hpp"

using namespace optscope;

namespace {

const std::vector<std::string> pre_ln_models{"pre-ln",        "pre-ln-projected", "pre-ln-wide-embedding",
                                             "untied",        "no-affine",        "no-bias",
                                             "no-final-norm", "head-dim-7",       "one-layer"};
constexpr logit_pair golden_pair{.answer = 7, .instead = 11};

template <class Model>
token_batch text_for(const Model& opt) {
  token_list text{2, 5, 17, 30, 8, 31, 12, 23, 9};
  for (token_id& id : text) id %= static_cast<token_id>(opt.shape().vocabulary);
  text.resize(std::min(text.size(), opt.shape().max_positions));
  return {text};
}

std::vector<double> golden(const std::string& model, const std::string& name) {
  const tensor_table table = read_safetensors(goldens + "residual/" + model + ".safetensors");
  const stored_tensor& stored = table.tensors.at(name);
  std::vector<double> values(stored.size());
  stored.copy_to(values.data());
  return values;
}

template <class T, std::size_t Rank>
std::span<const T> all_of(const tensor<T, Rank>& values) {
  return {values.data(), values.size()};
}

}  // namespace

TEST_CASE_TEMPLATE("shares of logits and the lens are those of torch's hooks on transformers", T, float, double) {
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : 1e-5;
  for (const std::string& name : pre_ln_models) {
    CAPTURE(name);
    model<any_opt, T> opt{checkpoint{model_goldens + name}};
    const token_batch texts = text_for(opt);
    const logit_attribution found = attribute_logits(opt, texts, {golden_pair});
    check_close<double, double>(all_of(found.shares), golden(name, "attribution"), tolerance, "shares");
    check_close<double, double>(all_of(found.difference), golden(name, "difference"), tolerance, "difference");
    CHECK(found.error() <= tolerance);
    CHECK_EQ(name_of(found.components.front()), "embed");
    CHECK_EQ(name_of(found.components.back()), "ln_final_bias");

    stream_rows<T> stream;
    opt.run(texts, stream);
    std::vector<T> lens;  // (depth, position, vocabulary)
    for (std::size_t depth = 0; depth <= opt.layers(); ++depth) {
      const tensor<T, 2> belief = opt.logits_of(stream.at(depth));
      lens.insert(lens.end(), belief.data(), belief.data() + belief.size());
    }
    check_close<T, double>(lens, golden(name, "lens"), std::max(tolerance, 1e-7), "lens");
  }
}

TEST_CASE_TEMPLATE("the stream at every depth is the sum of its components, of neurons too", T, float, double) {
  for (const std::string& name : pre_ln_models) {
    CAPTURE(name);
    model<any_opt, T> opt{checkpoint{model_goldens + name}};
    token_batch texts = text_for(opt);
    texts.push_back({3, 1, 4});
    for (std::size_t layers = 0; layers <= opt.layers(); ++layers) {
      const std::vector<std::size_t> split = layers == 0 ? std::vector<std::size_t>{} : std::vector{layers - 1};
      const auto whole = decompose(opt, texts, positions::all(), {.layers = layers});
      CHECK(whole.error() <= (std::is_same_v<T, double> ? 1e-12 : 1e-5));
      const auto found = decompose(opt, texts, positions::these({2, 0}), {.layers = layers, .neurons_of = split});
      CHECK(found.error() <= (std::is_same_v<T, double> ? 1e-12 : 1e-5));
      CHECK_EQ(found.stream.rows(), 4);
      CHECK_EQ(found.components.size(), 2 + layers * (opt.shape().heads + 2) + split.size() * opt.shape().ffn);
      CHECK_EQ(found.stream(1, 0), whole.stream(0, 0));  // position 0 of the first text, position 2 of the second
      CHECK_EQ(found.stream(2, 0), whole.stream(texts[0].size() + 2, 0));
      const std::size_t head = 2;
      if (layers != 0) CHECK_EQ(found.parts(head, 2, 1), whole.parts(head, texts[0].size() + 2, 1));
    }
  }
}

TEST_CASE("shares of single neurons are torch's, and with the bias of fc2 they are the MLP's") {
  model<any_opt, double> opt{checkpoint{model_goldens + "pre-ln"}};
  const token_batch texts = text_for(opt);
  const logit_attribution whole = attribute_logits(opt, texts, {golden_pair});
  const logit_attribution split = attribute_logits(opt, texts, {golden_pair}, positions::all(), {0});
  CHECK(split.error() <= 1e-12);
  std::vector<double> neurons;
  for (std::size_t c = 0; c < split.components.size(); ++c) {
    if (split.components[c].kind != component_kind::neuron) continue;
    for (std::size_t at = 0; at < texts[0].size(); ++at) neurons.push_back(split.shares(0, c, at));
  }
  check_close<double, double>(neurons, golden("pre-ln", "neurons"), 1e-12, "neurons");
  const std::size_t mlp = 2 + opt.shape().heads + 1;
  CHECK_EQ(name_of(whole.components[mlp]), "0.mlp");
  CHECK_EQ(name_of(split.components[mlp]), "0.neuron.0");
  CHECK_EQ(name_of(split.components[mlp + opt.shape().ffn]), "0.mlp_bias");
  double sum = 0;
  for (std::size_t c = mlp; c <= mlp + opt.shape().ffn; ++c) sum += split.shares(0, c, 4);
  CHECK(std::abs(sum - whole.shares(0, mlp, 4)) <= 1e-12);
}

TEST_CASE("shares of an answer alone, of several pairs at once, and at chosen positions of several texts") {
  model<any_opt, double> opt{checkpoint{model_goldens + "pre-ln-projected"}};
  token_batch texts = text_for(opt);
  texts.push_back({3, 1});
  const std::vector<logit_pair> pairs{{.answer = 7}, {.answer = 11}, golden_pair};
  const logit_attribution all = attribute_logits(opt, texts, pairs);
  const logit_attribution last = attribute_logits(opt, texts, pairs, positions::last());
  CHECK(all.error() <= 1e-12);
  CHECK_EQ(last.shares.extent(2), 2);
  for (std::size_t c = 0; c < all.components.size(); ++c) {
    CHECK(std::abs(all.shares(0, c, 3) - all.shares(1, c, 3) - all.shares(2, c, 3)) <= 1e-12);
    CHECK_EQ(last.shares(2, c, 0), all.shares(2, c, texts[0].size() - 1));
    CHECK_EQ(last.shares(2, c, 1), all.shares(2, c, texts[0].size() + 1));
  }
  const auto drawn = random_logit_pairs(20, 5, true, 1);
  CHECK_EQ(drawn.size(), 20);
  for (const logit_pair& pair : drawn)
    CHECK((pair.answer >= 0 && pair.answer < 5 && pair.instead && *pair.instead < 5));
  CHECK(random_logit_pairs(1, 5, false, 1)[0].instead == std::nullopt);
  CHECK_EQ(random_logit_pairs(1, 5, false, 1)[0].answer, drawn[0].answer);
}

TEST_CASE("an edited run is taken apart and attributed as it is, and texts keep their names") {
  model<any_opt, double> opt{checkpoint{model_goldens + "pre-ln"}};
  const token_batch texts = text_for(opt);
  const named_texts named{texts, {"a.txt"}};
  auto ablate = edit<site::z>(zero{}, where{}.layers({0}).heads({1}));
  auto louder = edit<site::mlp_out>(scale{3.0}, where{}.layers({1}));
  const auto parts = decompose(opt, named, positions::all(), {}, ablate, louder);
  CHECK(parts.error() <= 1e-12);
  CHECK_EQ(parts.parts(3, 4, 2), 0);  // 0.head.1
  const logit_attribution found = attribute_logits(opt, named, {golden_pair}, positions::last(), {}, ablate, louder);
  CHECK(found.error() <= 1e-12);
  CHECK_EQ(found.shares(0, 3, 0), 0);
  basic_capture<double, site::logits> logits{positions::last()};
  opt.run(texts, ablate, louder, logits);
  const double difference = detail::difference_of<double>(logits(site::logits{}).row(0), golden_pair);
  CHECK(std::abs(found.difference(0, 0) - difference) <= 1e-12);
  CHECK(std::abs(difference - attribute_logits(opt, texts, {golden_pair}, positions::last()).difference(0, 0)) > 1e-3);
  const named_texts wrong{{{1, 40}}, {"b.txt"}};
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { static_cast<void>(decompose(opt, wrong)); },
                                          [&] { static_cast<void>(attribute_logits(opt, wrong, {golden_pair})); }}) {
    CHECK_THROWS_WITH_AS(call(), doctest::Contains("b.txt"), bad_input);
  }
}

TEST_CASE("a model of which heads and neurons were removed has the components that are left") {
  model<any_opt, float, cpu, pruned_weights<float>> opt{checkpoint{model_goldens + "pre-ln"}};
  removal gone;
  gone.layers.resize(opt.layers());
  gone.layers[0] = {.heads = {0}};
  gone.layers[1] = {.neurons = {3, 5}};
  opt.weights().remove(gone, opt.backend().pool());
  const auto found = decompose(opt, text_for(opt), positions::all(), {.neurons_of = {1}});
  CHECK(found.error() <= 1e-5);
  CHECK_EQ(found.components.size(), 2 + 2 * (opt.shape().heads + 2) - 1 + opt.shape().ffn - 2);
  CHECK(attribute_logits(opt, text_for(opt), {golden_pair}).error() <= 1e-5);
}

TEST_CASE("a post-LN model, a layer, and a token that there is not are refused") {
  for (const char* name : {"post-ln", "post-ln-projected"}) {
    model<> opt{checkpoint{model_goldens + name}};
    const char* message = "its stream is not a sum of components";
    CHECK_THROWS_WITH_AS(static_cast<void>(decompose(opt, {{1, 2}})), doctest::Contains(message), bad_input);
    CHECK_THROWS_WITH_AS(static_cast<void>(attribute_logits(opt, {{1, 2}}, {golden_pair})), doctest::Contains(message),
                         bad_input);
    stream_rows<float> stream;  // the lens needs no sum
    opt.run({{1, 2}}, stream);
    CHECK_EQ(opt.logits_of(stream.at(0)).rows(), 2);
  }
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  CHECK_THROWS_WITH_AS(static_cast<void>(decompose(opt, {{1}}, positions::all(), {.layers = 3})),
                       doctest::Contains("layers of a stream: expected at most 2, found 3"), bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(decompose(opt, {{1}}, positions::all(), {.layers = 1, .neurons_of = {1}})),
                       doctest::Contains("expected at most 1, found 2"), bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(attribute_logits(opt, {{1}}, {{.answer = 1, .instead = 40}})),
                       doctest::Contains("expected an id below 40, found 40"), bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(attribute_logits(opt, {{1}}, {golden_pair}, positions::these({1}))),
                       doctest::Contains("1"), bad_input);
}

TEST_CASE("the likeliest tokens of a row of logits, without the padding of the vocabulary") {
  const std::vector<double> row{0, std::log(2.0), std::log(2.0), std::nan(""), std::log(3.0)};
  const std::vector<double> numbers{0, std::log(2.0), std::log(2.0), std::log(3.0)};
  const auto found = likeliest<double>(numbers, 9, 3);
  REQUIRE_EQ(found.size(), 3);
  CHECK_EQ(found[0].token, 1);  // as likely as 2
  CHECK_EQ(found[1].token, 2);
  CHECK_EQ(found[2].place, 2);
  CHECK(std::abs(found[2].probability - 1.0 / 8) < 1e-15);
  CHECK_EQ(belief_in<double>(numbers, 0).place, 3);
  CHECK(std::abs(belief_in<double>(numbers, 3).probability - 3.0 / 8) < 1e-15);
  CHECK_EQ(likeliest<double>(row, 5, 5).back().token, 3);  // what is not a number comes last
}

namespace {

/// The prompts of the goldens, and a sweep of them.
struct golden_prompts {
  explicit golden_prompts(const std::string& model) {
    for (const double id : golden("patching-" + model, "clean")) clean.push_back(static_cast<token_id>(id));
    for (const double id : golden("patching-" + model, "corrupted")) corrupted.push_back(static_cast<token_id>(id));
    const std::vector<double> tokens = golden("patching-" + model, "pair");
    pair = {.answer = static_cast<token_id>(tokens[0]), .instead = static_cast<token_id>(tokens[1])};
  }
  token_list clean, corrupted;
  logit_pair pair;
};

/// The difference of logits after a whole run of the corrupted prompt with an editor.
template <class Model, class Editor>
double edited_difference(Model& opt, const golden_prompts& given, Editor& editor) {
  capture<site::logits> logits{positions::last()};
  opt.run({given.corrupted}, editor, logits);
  return detail::difference_of<float>(logits(site::logits{}).row(0), given.pair);
}

tensor<double, 2> matrix(std::size_t rows, const std::vector<double>& values) {
  tensor<double, 2> result{{rows, values.size() / rows}};
  std::ranges::copy(values, result.data());
  return result;
}

std::vector<double> divided(std::vector<double> values, double by) {
  for (double& value : values) value /= by;
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("patching sweeps and their first-order estimates are those of torch's hooks", T, float, double) {
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : 1e-5;
  for (const char* name :
       {"pre-ln", "pre-ln-projected", "post-ln", "post-ln-projected", "head-dim-7", "one-layer", "no-bias"}) {
    CAPTURE(name);
    const std::string file = std::string{"patching-"} + name;
    const golden_prompts given{name};
    model<any_opt, T> opt{checkpoint{model_goldens + name}};
    patching sweep{opt, given.clean, given.corrupted, given.pair, {.random_pairs = 20, .at_once = 3}};
    const std::vector<double> differences = golden(file, "differences");
    const double difference = differences[0] - differences[1];
    CHECK(std::abs(sweep.clean_difference() - differences[0]) <= 10 * tolerance);
    CHECK(std::abs(sweep.corrupted_difference() - differences[1]) <= 10 * tolerance);
    CHECK_EQ(sweep.first_difference(), 2);
    const auto slope = sweep.gradients(gradient_pass{opt});

    const auto check = [&](const char* site, const patch_sweep& found, const tensor<double, 2>& estimate) {
      check_close<double, double>(all_of(found.effect), golden(file, site), tolerance, site);
      check_close<double, double>(all_of(found.share), divided(golden(file, site), difference), tolerance, site);
      check_close<double, double>(all_of(estimate), divided(golden(file, std::string{"estimate-"} + site), difference),
                                  tolerance, site);
    };
    const patch_sweep stream = sweep.by_position(site::resid_pre{});
    check("resid_pre", stream, sweep.estimate_by_position(site::resid_pre{}, slope));
    check("attn_out", sweep.by_position(site::attn_out{}), sweep.estimate_by_position(site::attn_out{}, slope));
    check("mlp_out", sweep.by_position(site::mlp_out{}), sweep.estimate_by_position(site::mlp_out{}, slope));
    check("z", sweep.by_head(), sweep.estimate_by_head(site::z{}, slope));
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {  // equal tokens: nothing to restore
      CHECK_EQ(stream.effect(layer, 0), 0);
      CHECK_EQ(stream.effect(layer, 1), 0);
      CHECK_EQ(stream.p(layer, 1), 1);
    }
  }
}

TEST_CASE("a patch of any site is a whole run with an edit there, to the bit, however many are in a batch") {
  const golden_prompts given{"pre-ln"};
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  using sites = site_list<site::q, site::mlp_post>;
  patching<model<>, sites> one{opt, given.clean, given.corrupted, given.pair, {.random_pairs = 5, .at_once = 1}};
  patching<model<>, sites> all{opt, given.clean, given.corrupted, given.pair, {.random_pairs = 5}};
  std::size_t done = 0, of = 0;
  all.on_progress([&](std::size_t now, std::size_t total) {
    CHECK((now > done || done == of));  // of one sweep, then of the next
    done = now;
    of = total;
  });
  const patch_sweep neurons = all.by_position(site::mlp_post{}), heads = all.by_head(site::q{});
  CHECK_EQ(done, of);
  CHECK_EQ(of, opt.layers() * opt.shape().heads);
  CHECK(std::ranges::equal(all_of(neurons.share), all_of(one.by_position(site::mlp_post{}).share)));
  CHECK(std::ranges::equal(all_of(heads.p), all_of(one.by_head(site::q{}).p)));

  capture<site::q, site::mlp_post> clean;
  opt.run({given.clean}, clean);
  const auto difference = [&](auto& editor) {
    return edited_difference(opt, given, editor) - all.corrupted_difference();
  };
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    for (std::size_t at = 0; at < given.clean.size(); ++at) {
      auto editor = edit<site::mlp_post>(patch{clean}, where{}.layers({layer}).at(positions::these({at})));
      CHECK_EQ(neurons.effect(layer, at), difference(editor));
    }
    for (std::size_t head = 0; head < opt.shape().heads; ++head) {
      auto editor = edit<site::q>(patch{clean}, where{}.layers({layer}).heads({head}));
      CHECK_EQ(heads.effect(layer, head), difference(editor));
    }
  }
}

TEST_CASE("a model of which heads and neurons were removed is patched as it is: nothing where nothing is left") {
  const golden_prompts given{"pre-ln"};
  model<any_opt, float, cpu, pruned_weights<float>> opt{checkpoint{model_goldens + "pre-ln"}};
  removal gone;
  gone.layers.resize(opt.layers());
  gone.layers[0] = {.heads = {0}};
  gone.layers[1] = {.neurons = {3, 5}};
  opt.weights().remove(gone, opt.backend().pool());
  patching sweep{opt, given.clean, given.corrupted, given.pair, {.random_pairs = 5}};
  const patch_sweep heads = sweep.by_head(), attention = sweep.by_position(site::attn_out{});
  const std::size_t last = opt.shape().heads - 1;
  CHECK_EQ(heads.effect(0, last), 0);  // the heads that are left count from 0
  CHECK_EQ(heads.p(0, last), 1);
  basic_capture<float, site::z, site::attn_out> clean;
  opt.run({given.clean}, clean);
  const auto difference = [&](auto& editor) {
    return edited_difference(opt, given, editor) - sweep.corrupted_difference();
  };
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    auto head = edit<site::z>(patch{clean}, where{}.layers({layer}).heads({0}));
    CHECK_EQ(heads.effect(layer, 0), difference(head));
    auto position = edit<site::attn_out>(patch{clean}, where{}.layers({layer}).at(positions::these({4})));
    CHECK_EQ(attention.effect(layer, 4), difference(position));
  }
}

TEST_CASE("prompts and tokens that a patching sweep cannot compare are refused") {
  const golden_prompts given{"pre-ln"};
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  const auto refused = [&](token_list clean, token_list corrupted, logit_pair pair, const char* message) {
    CAPTURE(message);
    CHECK_THROWS_WITH_AS((patching{opt, std::move(clean), std::move(corrupted), pair}), doctest::Contains(message),
                         bad_input);
  };
  refused({2, 5}, {2, 5, 7}, given.pair, "expected as many tokens in one as in the other, found 2 and 3");
  refused({2, 5}, {2, 5}, given.pair, "expected different tokens, found the same");
  refused({}, {}, given.pair, "expected different tokens, found the same");
  refused({2, 5}, {2, 6}, {.answer = 3, .instead = 3}, "expected two different ones, found 3 twice");
  refused({2, 5}, {2, 6}, {.answer = 40, .instead = 3}, "expected an id below 40, found 40");
  refused({2, 5}, {2, 6}, {.answer = 3, .instead = -1}, "expected an id below 40, found -1");
  refused({2, 40}, {2, 6}, given.pair, "40");
  refused(given.corrupted, given.clean, given.pair,  // the answer is that of the other prompt
          "expected a clean prompt that prefers the answer more than the corrupted one does, found differences of "
          "logits -2.418 for the clean and 4.085 for the corrupted one");
  for (const double clean : {1.0, 1.0009, 0.5, std::nan("")}) {  // nothing to divide by
    CHECK_THROWS_AS(detail::require_restorable(clean, 1, 1), bad_input);
  }
  CHECK_NOTHROW(detail::require_restorable(1.002, 1, 1));
}

TEST_CASE("values are compared with those of random pairs: the size at each place, p over all places together") {
  const tensor<double, 2> random = matrix(4, {1, 10, 0, -1, 10, 0, 2, 10, 0, 0, -10, 0});
  const std::vector<double> values{-3, 10, 0};
  const random_pair_level found = level_of_random_pairs(values, random.view());
  CHECK(std::abs(found.usual[0] - std::sqrt(1.5)) < 1e-15);  // of 1, -1, 2, 0
  CHECK_EQ(found.usual[1], 10);
  CHECK_EQ(found.p[0], 1.0 / 5);  // 2.45 usual sizes: more than any pair has anywhere
  CHECK_EQ(found.p[1], 5.0 / 5);  // 1: every pair has it
  CHECK_EQ(found.p[2], 1);
  CHECK_EQ(level_of_random_pairs(values, tensor<double, 2>{{0, 3}}.view()).p, std::vector<double>{1, 1, 1});

  std::mt19937_64 bits{3};
  std::normal_distribution<double> normal;
  constexpr std::size_t draws = 400, pairs = 99, places = 8;
  std::size_t below = 0;
  for (std::size_t draw = 0; draw < draws; ++draw) {  // a pair like all others: one sweep in 20 has a p up to 0.05
    tensor<double, 2> all{{pairs + 1, places}};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all.data()[i] = normal(bits) * static_cast<double>(1 + i % places);
    }
    const random_pair_level level = level_of_random_pairs(all.row(pairs), all.view().slice(0, pairs));
    below += *std::ranges::min_element(level.p) <= 0.05 ? 1 : 0;
  }
  CHECK(below >= 8);  // binomial with 400 and 0.05: within 8 and 35 but for 1 in 1,000
  CHECK(below <= 35);
}

TEST_CASE("the agreement of a sweep and its estimate: numpy's correlation, an interval, and chance") {
  const tensor<double, 2> exact = matrix(2, {9, 0.1, 0.7, -0.2, 9, 0.3, 0.9, 0.05});
  const tensor<double, 2> estimate = matrix(2, {0, 0.2, 0.5, -0.1, 0, 0.1, 0.8, 0.15});
  const patch_agreement found = agreement_of(exact, estimate, 1, agreement_unit::column);
  CHECK_EQ(found.places, 6);
  CHECK_EQ(found.units, 3);
  // numpy.corrcoef([.1, .7, -.2, .3, .9, .05], [.2, .5, -.1, .1, .8, .15])[0, 1]
  CHECK(std::abs(found.correlation.value() - 0.9496703194) < 1e-9);
  CHECK(!found.interval);  // of three columns
  CHECK(std::abs(found.error - 0.2) < 1e-15);
  CHECK_EQ(found.p, 1.0 / 6);  // of the six orders of three columns

  const patch_agreement itself = agreement_of(exact, exact, 0, agreement_unit::cell);
  CHECK_EQ(itself.units, 8);
  CHECK(std::abs(itself.correlation.value() - 1) < 1e-12);
  CHECK(itself.interval.value()[0] > 1 - 1e-9);
  CHECK(itself.p < 0.05);
  CHECK(!agreement_of(exact, tensor<double, 2>{{2, 4}}, 0, agreement_unit::cell).correlation);  // all zero
  CHECK_EQ(agreement_of(exact, estimate, 4, agreement_unit::cell).places, 0);

  std::mt19937_64 bits{5};
  std::normal_distribution<double> normal;
  std::size_t below = 0, covered = 0;
  for (std::size_t draw = 0; draw < 60; ++draw) {  // nothing in common but within columns
    tensor<double, 2> a{{3, 10}}, b{{3, 10}};
    for (std::size_t column = 0; column < 10; ++column) {
      const double shift_a = 3 * normal(bits), shift_b = 3 * normal(bits);
      for (std::size_t row = 0; row < 3; ++row) {
        a(row, column) = shift_a + normal(bits);
        b(row, column) = shift_b + normal(bits);
      }
    }
    const patch_agreement none = agreement_of(a, b, 0, agreement_unit::column);
    below += none.p <= 0.05 ? 1 : 0;
    covered += none.interval.value()[0] <= 0 && none.interval.value()[1] >= 0 ? 1 : 0;
  }
  CHECK(below <= 9);     // binomial with 60 and 0.05: more in 1 of 1,000
  CHECK(covered >= 45);  // an interval from ten columns is a little too narrow
}
