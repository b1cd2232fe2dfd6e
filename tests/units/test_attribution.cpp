// SPDX-License-Identifier: MIT
// First-order attribution agrees with torch's autograd and with finite differences.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/attribution.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <string>
#include <vector>

#include "compare.hpp"
#include "places.hpp"

using namespace optscope;

namespace {

template <class Model>
token_list text_for(const Model& opt) {
  token_list text{2, 5, 17, 30, 8, 31, 12, 23, 9};
  for (token_id& id : text) id %= static_cast<token_id>(opt.shape().vocabulary);
  text.resize(std::min(text.size(), opt.shape().max_positions));
  return text;
}

std::vector<double> units_of(const std::vector<double>& all, const unit_table& units, unit_kind kind) {
  std::vector<double> some;
  for (const std::size_t u : units.all(kind)) some.push_back(all[u]);
  return some;
}

/// Multiplies one neuron by a factor.
struct scaled_neuron {
  using sites = site_list<site::mlp_post>;
  std::size_t layer, neuron;
  double factor;
  void operator()(site::mlp_post, const place& at, tensor_view<double, 2> x) const {
    for (std::size_t i = 0; at.layer == layer && i < x.rows(); ++i) x(i, neuron) *= factor;
  }
};

struct summed_loss {
  using sites = site_list<site::logits>;
  const token_list& text;
  double sum = 0;
  void operator()(site::logits, const place&, tensor_view<const double, 2> rows) {
    for (std::size_t i = 0; i + 1 < rows.rows(); ++i) {
      double total = 0;
      for (const double logit : rows.row(i)) total += std::exp(logit);
      sum += std::log(total) - rows(i, static_cast<std::size_t>(text[i + 1]));
    }
  }
};

}  // namespace

TEST_CASE_TEMPLATE("attribution of neurons and heads is what torch's autograd gives", T, float, double) {
  for (const std::string name :
       {"pre-ln", "post-ln", "post-ln-projected", "pre-ln-projected", "no-affine", "no-bias", "untied", "head-dim-7",
        "activation-gelu-accurate", "activation-gelu-new", "activation-silu", "activation-relu2"}) {
    CAPTURE(name);
    model<any_opt, T> opt{checkpoint{goldens + "model/" + name}};
    const unit_table units{opt.shape()};
    loss_attribution found{2, units.size()};
    attribution_pass pass{opt};
    const token_list text = text_for(opt);
    pass.add(text, 1, found);
    const tensor_table golden = read_safetensors(goldens + "attribution/" + name + ".safetensors");
    for (const unit_kind kind : {unit_kind::neuron, unit_kind::head}) {
      const auto expected = [&](const char* what) {
        const stored_tensor& stored = golden.tensors.at(std::string{name_of(kind)} + "." + what);
        std::vector<double> values(stored.size());
        stored.copy_to(values.data());
        return values;
      };
      const double tolerance = std::is_same_v<T, double> ? 1e-10 : 1e-4;
      const auto close = [&](const std::vector<double>& a, const std::vector<double>& b, const char* what) {
        check_close(std::span<const double>{a}, std::span<const double>{b}, tolerance, what);
      };
      close(units_of(found.effect[1], units, kind), expected("effect"), "effect");
      close(units_of(found.magnitude[1], units, kind), expected("magnitude"), "magnitude");
    }
    CHECK(found.tokens[1] == static_cast<double>(text.size() - 1));
    CHECK(std::all_of(found.effect[0].begin(), found.effect[0].end(), [](double value) { return value == 0; }));
  }
}

TEST_CASE("gradients at the input of each layer, times it, are what torch's autograd gives") {
  for (const std::string name : {"pre-ln", "post-ln-projected", "pre-ln-projected", "activation-silu"}) {
    model<any_opt, double> opt{checkpoint{goldens + "model/" + name}};
    const token_list text = text_for(opt);
    basic_capture<double, site::resid_pre> activations, gradients;
    opt.run({text}, activations);
    gradient_pass{opt}.run(
        {text}, [&](std::size_t, tensor_view<double, 2> logits) { detail::turn_to_loss_gradient(text, 1, logits); },
        gradients);
    std::vector<double> found, expected;  // (layer, position)
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      const auto x = activations(site::resid_pre{}, layer), g = gradients(site::resid_pre{}, layer);
      for (std::size_t i = 0; i < x.rows(); ++i) {
        found.push_back(std::inner_product(x.row(i).begin(), x.row(i).end(), g.row(i).begin(), 0.0));
      }
    }
    const tensor_table golden = read_safetensors(goldens + "attribution/" + name + ".safetensors");
    expected.resize(found.size());
    REQUIRE_EQ(golden.tensors.at("resid_pre.effect").size(), found.size());
    golden.tensors.at("resid_pre.effect").copy_to(expected.data());
    check_close(std::span<const double>{found}, std::span<const double>{expected}, 1e-10, name);
  }
}

TEST_CASE("the effect of a neuron is the slope of the loss when it is scaled") {
  model<any_opt, double> opt{checkpoint{goldens + "model/pre-ln"}};
  const unit_table units{opt.shape()};
  loss_attribution found{1, units.size()};
  const token_list text = text_for(opt);
  attribution_pass{opt}.add(text, 0, found);
  const auto loss = [&](std::size_t layer, std::size_t neuron, double factor) {
    scaled_neuron edit{layer, neuron, factor};
    summed_loss probe{text};
    opt.run({text}, edit, probe);
    return probe.sum;
  };
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    for (std::size_t neuron = 0; neuron < opt.shape().ffn; neuron += 5) {
      const double slope = (loss(layer, neuron, 1 + 1e-5) - loss(layer, neuron, 1 - 1e-5)) / 2e-5;
      CHECK(found.effect[0][units.first(unit_kind::neuron, layer) + neuron] ==
            doctest::Approx(slope).epsilon(1e-5).scale(0.01));
    }
  }
}
