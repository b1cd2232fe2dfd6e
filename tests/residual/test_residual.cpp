// SPDX-License-Identifier: MIT
// The stream is the sum of its components, and shares of logits and beliefs at each depth are what torch gives.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/residual.hpp>
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
