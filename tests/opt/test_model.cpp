// SPDX-License-Identifier: MIT
// The forward pass against transformers: every site, several shapes, float and double.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <string>
#include <vector>

#include "golden.hpp"
#include "places.hpp"
#include "some_runs.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {}  // namespace

TEST_CASE_TEMPLATE("the demo model agrees with transformers in float64", Scalar, float, double) {
  compare_with_transformers<Scalar>(demo_model, model_goldens + "demo-model",
                                    std::is_same_v<Scalar, double> ? 1e-12 : 5e-5);
}

TEST_CASE("the bits of a text depend neither on the other texts of the batch nor on their order") {
  for (const std::string& folder : {model_goldens + "head-dim-80", model_goldens + "head-dim-7", demo_model}) {
    model<> opt{checkpoint{folder}};
    token_batch texts;
    for (const std::size_t length : {1u, 2u, 31u, 300u, 40u, 5u}) {
      texts.push_back(some_text(length, opt.shape().vocabulary, length));
    }
    hash_sites together;
    opt.run(texts, together);
    const token_batch reversed{texts.rbegin(), texts.rend()};
    hash_sites backwards;
    opt.run(reversed, backwards);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      hash_sites alone;
      opt.run({texts[i]}, alone);
      CHECK_EQ(alone.of_text[0], together.of_text[i]);
      CHECK_EQ(alone.of_text[0], backwards.of_text[texts.size() - 1 - i]);
    }
  }
}

TEST_CASE("the bits are the same for any number of threads") {
  std::vector<std::uint64_t> first;
  for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
    model<> opt{checkpoint{model_goldens + "head-dim-64"}, cpu{threads}};
    hash_sites probe;
    opt.run({some_text(300, 101, 1), some_text(5, 101, 2)}, probe);
    if (first.empty()) first = probe.of_text;
    CHECK_EQ(probe.of_text, first);
  }
}

TEST_CASE("a later token changes no earlier bit") {
  model<> opt{checkpoint{model_goldens + "head-dim-64"}};
  token_list text = some_text(200, 101, 3);
  capture<site::attn_out, site::resid_post, site::logits> before, after;
  opt.run({text}, before);
  text[150] = (text[150] + 1) % 101;
  opt.run({text}, after);
  const auto same = [&](auto site, std::size_t layer, std::size_t row) {
    return std::ranges::equal(before(site, layer).row(row), after(site, layer).row(row));
  };
  for (std::size_t row = 0; row < 200; ++row) {
    CHECK_EQ(same(site::resid_post{}, 1, row), row < 150);
    CHECK_EQ(same(site::logits{}, 0, row), row < 150);
  }
}

TEST_CASE("each row of the pattern sums to one and sees no later key") {
  model<> opt{checkpoint{model_goldens + "head-dim-7"}};
  capture<site::scores, site::pattern> probe;
  opt.run({some_text(37, 50, 1)}, probe);
  const auto pattern = probe(site::pattern{}, 1, 0);
  const auto scores = probe(site::scores{}, 1, 0);
  for (std::size_t head = 0; head < 3; ++head) {
    for (std::size_t i = 0; i < 37; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < 37; ++j) {
        sum += pattern(head, i, j);
        if (j > i) CHECK_EQ(pattern(head, i, j), 0.0f);
        CHECK_EQ(std::isinf(scores(head, i, j)), j > i);
      }
      CHECK(std::abs(sum - 1) < 1e-6);
    }
  }
}

TEST_CASE("a run with the pattern observed has the bits of one without") {
  model<> opt{checkpoint{model_goldens + "head-dim-80"}};
  const token_batch texts{some_text(300, 101, 1), some_text(1, 101, 2)};
  capture<site::resid_post> plain;
  capture<site::resid_post, site::pattern, site::result, site::logits> observed;
  opt.run(texts, plain);
  opt.run(texts, observed);
  const auto a = plain(site::resid_post{}, 1), b = observed(site::resid_post{}, 1);
  CHECK(std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size()));
}

TEST_CASE("a run stops after the last layer that a probe wants a site of, with the same bits") {
  model<> opt{checkpoint{model_goldens + "head-dim-64"}};
  std::size_t layers = 0;
  opt.on_progress([&](std::size_t done, std::size_t) { layers = done; });
  const token_batch texts{some_text(20, 101, 1)};
  capture<site::resid_post> first, both;
  first.only_layers({0});
  opt.run(texts, both);
  CHECK_EQ(layers, 2);
  opt.run(texts, first);
  CHECK_EQ(layers, 1);
  CHECK(std::ranges::equal(first(site::resid_post{}, 0).row(19), both(site::resid_post{}, 0).row(19)));
  capture<site::logits> logits;
  opt.run(texts, logits);
  CHECK_EQ(layers, 2);
}

TEST_CASE("in the last layer only what the probe wants is computed, with the same bits") {
  for (const char* name : {"head-dim-80", "post-ln-projected"}) {
    CAPTURE(name);
    model<> opt{checkpoint{model_goldens + name}};
    const std::size_t vocabulary = opt.shape().vocabulary, last = opt.layers() - 1;
    const token_batch texts{some_text(40, vocabulary, 1), some_text(18, vocabulary, 2)};
    using everything = capture<site::q, site::pattern, site::z, site::result, site::attn_out, site::resid_mid,
                               site::mlp_post, site::resid_post, site::logits>;
    const std::vector<std::size_t> rows{17, 5};
    everything whole, some{positions::these(rows)};
    opt.run(texts, whole);
    opt.run(texts, some);
    everything::sites::for_each([&]<class Site>(Site at) {
      for (std::size_t layer = 0; layer < (Site::per_layer ? opt.layers() : 1); ++layer) {
        for (std::size_t text = 0; text < texts.size(); ++text) {
          const auto all = whole(at, layer, text), chosen = some(at, layer, text);
          for (std::size_t i = 0; i < rows.size(); ++i) {
            if constexpr (Site::layout == site_layout::position) {
              CHECK(std::ranges::equal(all.row(rows[i]), chosen.row(i)));
            } else {
              const std::size_t keys = texts[text].size();
              for (std::size_t head = 0; head < opt.shape().heads; ++head) {
                CHECK(std::ranges::equal(all.row(head).subspan(rows[i] * keys, keys),
                                         chosen.row(head).subspan(i * keys, keys)));
              }
            }
          }
        }
      }
    });

    struct first_rows {  // what is shown of the last layer
      using sites = site_list<site::q, site::mlp_post>;
      std::size_t layer;
      std::vector<std::size_t> q = {}, neurons = {};
      [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return text == 0 ? 39 : 7; }
      void operator()(site::q, const place& at, tensor_view<const float, 3>) {
        if (at.layer == layer) q.push_back(at.first_position);
      }
      void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> view) {
        if (at.layer == layer) neurons.push_back(at.first_position);
        CHECK_EQ(at.first_position + view.rows(), at.text == 0 ? 40 : 18);
      }
    } shown{last};
    opt.run(texts, shown);
    CHECK_EQ(shown.q, std::vector<std::size_t>{0, 0});
    CHECK_EQ(shown.neurons, std::vector<std::size_t>{39, 7});
    opt.run(texts, shown, whole);  // another probe that wants everything
    CHECK_EQ(shown.neurons, std::vector<std::size_t>{39, 7, 0, 0});
  }
}

TEST_CASE("input that cannot be run is refused with a reason") {
  const auto message = [](auto&& action) {
    try {
      action();
    } catch (const bad_input& e) {
      return std::string{e.what()};
    }
    return std::string{"nothing thrown"};
  };
  model<> opt{checkpoint{model_goldens + "head-dim-64"}};
  CHECK_EQ(message([&] { opt.run({{2, 101}}); }), "text 0: expected ids below 101, found 101 at position 1");
  CHECK_EQ(message([&] { opt.run({{2}, {-1}}); }), "text 1: expected ids below 101, found -1 at position 0");
  CHECK_EQ(message([&] { opt.run({{}}); }), "text 0: expected at least one token, found none");
  CHECK_EQ(message([&] { opt.run({token_list(321, 2)}); }), "text 0: expected at most 320 tokens, found 321");
  capture<site::resid_post> probe{positions::strided(5, 5, 3)};
  CHECK_EQ(message([&] { opt.run({token_list(15, 2)}, probe); }),
           "text 0: expected at least 16 tokens for position 15, found 15 tokens");
  const std::string other = message([&] { model<opt_125m>{checkpoint{model_goldens + "head-dim-64"}}; });
  CHECK(other.find("opt-125m (12 layers, hidden 768, 12 heads") != std::string::npos);
  CHECK(other.find("found 2 layers, hidden 128, 2 heads") != std::string::npos);
  model<> post_ln{checkpoint{model_goldens + "post-ln-projected"}};
  capture<site::ln_final> final;
  CHECK(message([&] { post_ln.run({{2}}, final); }).find("site ln_final") != std::string::npos);
}

TEST_CASE(
    "a config that asks for more than the weights have is refused, naming the tensor, before memory is allocated") {
  namespace fs = std::filesystem;
  const temporary_folder folder;
  fs::copy_file(fs::path{model_goldens + "head-dim-64"} / "model.safetensors", folder / "model.safetensors");
  const auto with = [&](const std::string& members, const std::string& expected) {
    std::ofstream{folder / "config.json"} << "{\"model_type\": \"opt\", " << members << "}";
    std::string found;
    try {
      model<>{checkpoint{folder.path}};
    } catch (const checkpoint_error& refusal) {
      found = refusal.what();
    }
    CHECK_MESSAGE(found.find(expected) != std::string::npos, found);
  };
  const std::string rest =
      R"("num_attention_heads": 2, "ffn_dim": 96, "vocab_size": 101, "max_position_embeddings": 320)";
  with(R"("hidden_size": 16777216, "num_hidden_layers": 2, )" + rest, "expected shape [16777216");
  with(R"("hidden_size": 128, "num_hidden_layers": 4096, )" + rest, "tensor \"decoder.layers.2.");
  with(R"("hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 16777216)",
       "expected shape [16777216, 128]");
  with(R"("hidden_size": 128, "num_hidden_layers": 2, "word_embed_proj_dim": 16777216, )" + rest, "16777216");
  with(R"("hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 96)", "[50272, 128]");
  with(R"("hidden_size": 128, "num_hidden_layers": 2, "activation_function": "sine", )" + rest, "activation_function");
}

TEST_CASE("logits of the last layer's stream are the model's, bit by bit") {
  for (const std::string name : {"pre-ln", "post-ln-projected", "pre-ln-projected", "pre-ln-wide-embedding", "untied",
                                 "no-affine", "no-final-norm", "odd-vocabulary"}) {
    model<> opt{checkpoint{model_goldens + name}};
    const auto ids = static_cast<token_id>(opt.shape().vocabulary);
    capture<site::resid_post, site::logits> probe;
    opt.run({some_text(7, ids, 1), some_text(3, ids, 2)}, probe);
    const tensor<float, 2> found = opt.logits_of(probe(site::resid_post{}, opt.layers() - 1));
    const auto expected = probe(site::logits{});
    REQUIRE_EQ(found.shape(), expected.shape());
    for (std::size_t row = 0; row < found.rows(); ++row) {
      CHECK_MESSAGE(std::ranges::equal(found.row(row), expected.row(row)), name << ", row " << row);
    }
  }
}

TEST_CASE("logits of an earlier layer's stream are LayerNorm, projection and unembedding, done by hand") {
  for (const std::string name : {"pre-ln-projected", "post-ln-projected", "untied"}) {
    model<any_opt, double> opt{checkpoint{model_goldens + name}};
    const architecture& shape = opt.shape();
    basic_capture<double, site::resid_pre> probe{positions::strided(1, 2, 3)};
    opt.run({some_text(9, static_cast<token_id>(shape.vocabulary), 4)}, probe);
    const auto stream = probe(site::resid_pre{}, 1);
    const tensor<double, 2> found = opt.logits_of(stream);

    const outer_weights<double> outer = opt.weights().outer();
    std::vector<double> expected;
    for (std::size_t row = 0; row < stream.rows(); ++row) {
      std::vector<double> x(stream.row(row).begin(), stream.row(row).end());
      if (shape.final_layer_norm) {
        double mean = 0, variance = 0;
        for (const double value : x) mean += value / static_cast<double>(x.size());
        for (const double value : x) variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
          x[i] = (x[i] - mean) / std::sqrt(variance + 1e-5) * outer.final_norm.gamma[i] + outer.final_norm.beta[i];
        }
      }
      if (outer.project_out.size() != 0) {
        const tensor<double, 2> project_out = outer.project_out.values_copied();
        std::vector<double> narrow(project_out.rows());
        for (std::size_t i = 0; i < narrow.size(); ++i) {
          for (std::size_t j = 0; j < x.size(); ++j) narrow[i] += project_out(i, j) * x[j];
        }
        x = narrow;
      }
      const tensor<double, 2> unembedding = opt.weights().unembedding().values_copied();
      for (std::size_t i = 0; i < shape.vocabulary; ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < x.size(); ++j) sum += unembedding(i, j) * x[j];
        expected.push_back(sum);
      }
    }
    check_close(std::span<const double>{found.data(), found.size()}, std::span<const double>{expected}, 1e-13, name);
  }
}

TEST_CASE("logits of rows that are not the stream's are refused, and of no rows there are none") {
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  const tensor<float, 2> narrow{{3, opt.shape().hidden - 1}}, none{{0, opt.shape().hidden}};
  CHECK_THROWS_WITH_AS(static_cast<void>(opt.logits_of(narrow)),
                       "rows of the stream: expected 24 elements each, found 23", bad_input);
  CHECK_THROWS_AS(static_cast<void>(opt.last_hidden_state(narrow)), bad_input);
  CHECK_EQ(opt.logits_of(none).shape(), std::array<std::size_t, 2>{0, opt.shape().vocabulary});
}

TEST_CASE("the weights of a head turn its input into its q, k and v, and its z into its result") {
  for (const std::string name : {"head-dim-7", "head-dim-80", "no-bias"}) {
    model<any_opt, double> opt{checkpoint{model_goldens + name}};
    basic_capture<double, site::ln1, site::q, site::k, site::v, site::z, site::result> probe;
    opt.run({some_text(3, static_cast<token_id>(opt.shape().vocabulary), 5)}, probe);
    const layer_weights<double> layer = opt.weights().layer(1, 2, opt.backend().pool());
    const auto check = [&](tensor_view<const double, 2> x, const linear_weights<double>& map,
                           tensor_view<const double, 3> expected, std::size_t head, const std::string& what) {
      const tensor_view<const double, 2> wanted = head_of(expected, head);
      const tensor<double, 2> weight = map.weight.values_copied();
      for (std::size_t i = 0; i < x.rows(); ++i) {
        std::vector<double> found(weight.rows());
        for (std::size_t j = 0; j < found.size(); ++j) {
          found[j] = map.bias == nullptr ? 0 : map.bias[j];
          for (std::size_t k = 0; k < x.cols(); ++k) found[j] += weight(j, k) * x(i, k);
        }
        check_close(std::span<const double>{found}, wanted.row(i), 1e-12, name + " " + what);
      }
    };
    for (std::size_t head = 0; head < opt.shape().heads; ++head) {
      const head_weights<double> weights = head_slice(layer, opt.shape(), head);
      const auto in = probe(site::ln1{}, 1);
      check(in, weights.q, probe(site::q{}, 1), head, "q");
      check(in, weights.k, probe(site::k{}, 1), head, "k");
      check(in, weights.v, probe(site::v{}, 1), head, "v");
      check(head_of(probe(site::z{}, 1), head), {.weight = weights.out}, probe(site::result{}, 1), head, "result");
    }
  }
}

TEST_CASE("a run over named texts names them where it refuses them, one text a run too") {
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  const named_texts texts{{{2, 5}, {2, 999}, token_list(10, 3), {}}, {"a.txt", "b.txt", "c.txt", "d.txt"}};
  const auto refusal = [&](const named_texts& some) -> std::string {
    capture<site::resid_post> probe;
    try {
      opt.run(some, probe);
    } catch (const bad_input& e) {
      return e.what();
    }
    return probe.name_of(0);
  };
  CHECK_EQ(refusal(texts), "b.txt: expected ids below 40, found 999 at position 1");
  CHECK_EQ(refusal(texts.only(0)), "a.txt");
  CHECK_EQ(refusal(texts.only(1)), "b.txt: expected ids below 40, found 999 at position 1");
  CHECK_EQ(refusal(texts.only(2)), "c.txt: expected at most 9 tokens, found 10");
  CHECK_EQ(refusal(trim(texts.only(2), 9)), "c.txt");
  CHECK_EQ(refusal(texts.only(3)), "d.txt: expected at least one token, found none");
  CHECK_EQ(refusal({{{2}}, {}}), "names of texts: expected 1, found 0");
  kv_cache<float> cache;
  CHECK_THROWS_WITH_AS(opt.run(texts.only(1), cache), "b.txt: expected ids below 40, found 999 at position 1",
                       bad_input);
  CHECK_THROWS_WITH_AS(opt.run({{2, 999}}), "text 0: expected ids below 40, found 999 at position 1", bad_input);
}

TEST_CASE("hidden states that there are not are refused by name") {
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  hidden_states states{opt};
  const auto refusal = [&](std::size_t index, std::size_t text) -> std::string {
    try {
      static_cast<void>(states(index, text));
    } catch (const bad_input& e) {
      return e.what();
    }
    return "read";
  };
  CHECK_EQ(refusal(0, 0), "hidden_states: expected a run before they are read, found none");
  opt.run({{2, 5}}, states);
  CHECK_EQ(refusal(2, 0), "read");
  CHECK_EQ(refusal(3, 0), "hidden_states: expected a number below 3, found 3");
  CHECK_EQ(refusal(0, 1), "hidden_states: expected a text below 1, found 1");
}
