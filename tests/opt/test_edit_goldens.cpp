// SPDX-License-Identifier: MIT
// Edited runs against forward hooks on transformers in float64: the cases of tests/goldens/edits/make_edit_goldens.py.
#include <doctest/doctest.h>

#include <cmath>
#include <compare.hpp>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/replace.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "some_runs.hpp"

using namespace optscope;

namespace {

const token_batch texts{{2, 5, 17, 30, 8, 41, 12, 23, 9}, {2, 44, 3, 19, 28, 33}};

std::vector<double> wave(std::size_t n, double (*f)(double)) {
  std::vector<double> values;
  for (std::size_t i = 1; i <= n; ++i) values.push_back(f(static_cast<double>(i)));
  return values;
}

template <class Scalar>
double compare_edits(const std::string& name) {
  const double tolerance = std::is_same_v<Scalar, double> ? 1e-12 : 5e-5;
  const tensor_table table = read_safetensors(OPTSCOPE_SOURCE_DIR "/tests/goldens/edits/" + name + ".safetensors");
  model<any_opt, Scalar> opt{checkpoint{folder_of(name)}};
  const std::size_t hidden = opt.shape().hidden;
  const std::vector<double> d = wave(hidden, std::sin), e = wave(hidden, std::cos);
  basic_capture<Scalar, site::k, site::v, site::mlp_out> recorded;
  opt.run(texts, recorded);

  double worst = 0;
  std::size_t compared = 0;
  basic_edit_list<Scalar> edits;
  basic_capture<Scalar, site::logits> logits;
  const auto compare = [&](const std::string& key) {
    for (std::size_t text = 0; text < texts.size(); ++text) {
      const stored_tensor& stored = table.tensors.at(key + "." + std::to_string(text));
      std::vector<double> expected(stored.size());
      stored.copy_to(expected.data());
      const auto found = logits(site::logits{}, 0, text).slice(texts[text].size() - 2, 2);
      worst = std::max(
          worst, check_close<Scalar, double>({found.data(), found.size()}, expected, tolerance, name + " " + key));
      ++compared;
    }
  };
  const auto run = [&](const std::string& key) {
    opt.run(texts, edits, logits);
    compare(key);
    edits = {};
  };
  run("plain");
  edits.add("embed", add{d}, where{}.at(positions::these({1})));
  run("embed");
  edits.add("pos_embed", scale{0.5});
  run("pos_embed");
  edits.add("resid_pre", project_out{std::vector{d, e}}, where{}.layers({1}));
  run("resid_pre");
  edits.add("ln1", set{d}, where{}.layers({1}).at(positions::these({3})));
  run("ln1");
  edits.add("ln1_scale", scale{1.5}, where{}.layers({1}));
  run("ln1_scale");
  edits.add("ln2_scale", scale{0.7}, where{}.layers({0}));
  run("ln2_scale");
  edits.add("q", zero{}, where{}.layers({0}).heads({1}));
  run("q");
  edits.add("k", patch{recorded, {1, 0}}.may_lack(), where{}.layers({1}));
  run("k");
  edits.add("v", mean{recorded, site::v{}}, where{}.layers({1}).heads({0}));
  run("v");
  edits.add("scores", add{1.0}, where{}.layers({1}).heads({1}).units({0}));
  run("scores");
  edits.add("pattern", set{0.25}, where{}.layers({0}).heads({0}).at(positions::these({2})).units({0, 1}));
  run("pattern");
  edits.add("z", scale{d}, where{}.layers({1}));
  run("z");
  edits.add("result", zero{}, where{}.texts({0}).layers({1}).heads({1}));
  run("result");
  edits.add("attn_out", scale{0.5}, where{}.texts({1}).layers({0}));
  run("attn_out");
  edits.add("resid_mid", add{d}, where{}.layers({1}));
  run("resid_mid");
  edits.add("ln2", add{d}, where{}.layers({1}));
  run("ln2");
  edits.add("mlp_pre", add{0.5}, where{}.layers({0}).units({1, 3}));
  run("mlp_pre");
  edits.add("mlp_post", zero{}, where{}.units({0, 2, 5}));
  run("mlp_post");
  edits.add("mlp_out", mean{recorded, site::mlp_out{}}, where{}.layers({0}));
  run("mlp_out");
  edits.add("resid_post", zero{}, where{}.layers({0}).mask([](const vector_place& at, std::size_t unit) {
    return (at.position + unit) % 3 == 0;
  }));
  run("resid_post");
  edits.add("mlp_post", add{1.0}, where{}.layers({0}))
      .add("mlp_post", scale{2.0}, where{}.layers({0}))
      .add("mlp_post", zero{}, where{}.layers({0}).units({0}));
  run("composed");
  edits.add("logits", scale{0.5}, where{}.units({1, 4}));
  run("logits");
  if (opt.shape().final_layer_norm) {
    auto normed = edit<site::ln_final>(add{d});
    opt.run(texts, normed, logits);
    compare("ln_final");
    auto divided = edit<site::ln_final_scale>(scale{1.5});
    opt.run(texts, divided, logits);
    compare("ln_final_scale");
  }
  CHECK_EQ(compared, table.tensors.size());
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("edited runs agree with forward hooks on transformers in float64", Scalar, float, double) {
  for (const char* name : {"head-dim-7", "post-ln-projected"}) {
    MESSAGE(std::string{name} << ": worst error " << compare_edits<Scalar>(name));
  }
}

TEST_CASE("while generating, editors count over all runs, and one that never fired is found at the end") {
  model<any_opt, float, cpu, mapped_weights<float>> opt{checkpoint{folder_of("head-dim-7")}};
  const generation what{.new_tokens = 6, .stop = {}};
  edit_list edits;
  edits.add("mlp_post", scale{0.5}, where{}.layers({1}))
      .add("z", zero{}, where{}.layers({0}).heads({2}).at(positions::these({1})))    // in the prompts
      .add("z", zero{}, where{}.layers({0}).heads({2}).at(positions::these({10})));  // in what is generated
  const token_batch ids = generate(opt, texts, what, edits);
  CHECK_EQ(edits.fired(0), 9 + 6 + 2 * 5);
  CHECK_EQ(edits.fired(1), 2);
  CHECK_EQ(edits.fired(2), 2);

  // The same by whole runs, each over all tokens so far.
  token_batch whole = texts;
  capture<site::logits> logits{positions::last()};
  for (std::size_t step = 0; step < what.new_tokens; ++step) {
    edits.may_not_fire();
    opt.run(whole, edits, logits);
    for (std::size_t text = 0; text < texts.size(); ++text) {
      whole[text].push_back(greedy(logits(site::logits{}, 0, text).row(0)));
      CHECK_EQ(whole[text].back(), ids[text][step]);
    }
  }
  auto beyond = edit<site::mlp_out>(zero{}, where{}.at(positions::these({50})));
  CHECK_THROWS_AS((void)generate(opt, texts, what, beyond), unfired_hook);
  CHECK_THROWS_AS(opt.run(texts, beyond), unfired_hook);
}

TEST_CASE("a capture has a whole generation: what a run over prompt and new tokens shows") {
  model<any_opt, float, cpu, mapped_weights<float>> opt{checkpoint{folder_of("head-dim-7")}};
  capture<site::mlp_post, site::pattern, site::scores, site::logits> steps, whole;
  const token_batch ids = generate(opt, texts, {.new_tokens = 6, .stop = {}}, steps);
  token_batch all = texts;
  for (std::size_t text = 0; text < texts.size(); ++text) {  // the last id was never run
    all[text].insert(all[text].end(), ids[text].begin(), ids[text].end() - 1);
  }
  opt.run(all, whole);
  for (std::size_t text = 0; text < texts.size(); ++text) {
    CHECK_EQ(steps.positions_of(text), whole.positions_of(text));
    decltype(steps)::sites::for_each([&]<class Site>(Site site) {
      for (std::size_t layer = 0; layer < steps.layers(site); ++layer) {
        const auto a = steps(site, layer, text), b = whole(site, layer, text);
        REQUIRE_EQ(a.shape(), b.shape());
        check_close<float, float>({a.data(), a.size()}, {b.data(), b.size()}, 1e-5, std::string{Site::name});
      }
    });
  }
}
