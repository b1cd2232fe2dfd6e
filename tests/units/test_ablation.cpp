// SPDX-License-Identifier: MIT
// The effect of every unit on the loss is what removing it and running the whole model again gives.
#include <doctest/doctest.h>

#include <backend/fenced_backend.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/units/ablation.hpp>
#include <string>
#include <vector>

#include "compare.hpp"
#include "places.hpp"

using namespace optscope;

namespace {

using pruned = model<any_opt, float, cpu, pruned_weights<float>>;

template <class Model>
double loss_of(Model& opt, const token_batch& texts, std::size_t text) {
  next_token_loss loss{texts};
  opt.run(texts, loss);
  return loss.mean([&](std::size_t t) { return t == text; }) * static_cast<double>(texts[text].size() - 1);
}

}  // namespace

TEST_CASE("ablation of neurons and heads equals removal and a whole run, text by text") {
  for (const char* name : {"pre-ln", "post-ln", "post-ln-projected", "pre-ln-projected", "no-affine", "no-bias",
                           "untied", "head-dim-7", "head-dim-64", "activation-gelu"}) {
    CAPTURE(name);
    pruned opt{checkpoint{model_goldens + name}};
    token_batch texts{{2, 5, 17, 30, 8, 31, 12, 23, 9}, {2, 6}, {2, 11, 7, 3, 28}};
    for (token_list& text : texts) {
      for (token_id& id : text) id %= static_cast<token_id>(opt.shape().vocabulary);
    }
    texts = trim(texts, opt.shape().max_positions);
    double done = 0, all = -1;
    const auto found = ablation_pass{opt}(texts, [&](double so_far, double of) {
      CHECK(so_far > done);
      done = so_far;
      all = of;
    });
    CHECK(done == all);

    const unit_table units{opt.shape()};
    std::vector<double> whole;
    for (std::size_t t = 0; t < texts.size(); ++t) whole.push_back(loss_of(opt, texts, t));
    for (const unit_kind kind : {unit_kind::neuron, unit_kind::head}) {
      std::vector<double> by_pass, by_removal;
      for (const std::size_t u : units.all(kind)) {
        if (kind == unit_kind::neuron && u % 5 != 0) continue;
        removal what;
        what.layers.resize(opt.layers());
        layer_removal& gone = what.layers[units[u].layer];
        (kind == unit_kind::head ? gone.heads : gone.neurons).push_back(units[u].index);
        opt.weights().remove(what, opt.backend().pool());
        for (std::size_t t = 0; t < texts.size(); ++t) {
          by_pass.push_back(found[t].sum[u]);
          by_removal.push_back(loss_of(opt, texts, t) - whole[t]);
        }
      }
      opt.weights().remove({}, opt.backend().pool());
      check_close(std::span<const double>{by_pass}, std::span<const double>{by_removal}, 1e-4, "effects");
    }
  }
}

TEST_CASE("in a device's memory ablation has cpu's effects") {
  const auto effects = [](auto&& opt) {
    const token_batch texts{{2, 5, 17, 30, 8}, {2, 6, 11}};
    return ablation_pass{opt}(texts, [](double, double) {})[0].sum;
  };
  for (const char* name : {"post-ln", "post-ln-bare"}) {
    const checkpoint files{model_goldens + name};
    CHECK(effects(model<any_opt, float, fenced>{files}) == effects(model<>{files}));
  }
}

TEST_CASE("ablation samples pieces from all of the texts; two halves share none") {
  model<> opt{checkpoint{model_goldens + "pre-ln"}};
  std::vector<std::vector<token_list>> texts(2);
  for (token_id t = 0; t < 6; ++t) texts[0].push_back({2, 5, 17, static_cast<token_id>(3 + t)});
  texts[1] = {{2, 9, 8, 7}};
  const ablation_effects found = ablate(opt, texts, token_id{2}, 256, [](double, double) {});
  CHECK_EQ(found.pieces.size(), 5);
  CHECK(found.pieces[0].tokens == 3);
  const ablation_effects first = found.half(0), second = found.half(1);
  CHECK_EQ(first.pieces.size(), 3);
  CHECK_EQ(second.pieces.size(), 3);
  const auto sum = &loss_gain::sum;
  const std::vector<double> whole = found.mean(0, sum), a = first.mean(0, sum), b = second.mean(0, sum);
  for (std::size_t u = 0; u < whole.size(); ++u) CHECK(whole[u] == doctest::Approx((a[u] + b[u]) / 2));
  CHECK(first.mean(1, sum) == found.mean(1, sum));
}
