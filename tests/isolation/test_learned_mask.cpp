// SPDX-License-Identifier: MIT
// Gates close units as a removal does, their gradients are slopes, and a learned mask turns what follows.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/learned_mask.hpp>
#include <optscope/isolation/removal_scores.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "compare.hpp"
#include "places.hpp"

using namespace optscope;

namespace {

/// Every third neuron and the first head of each layer, with values in their place.
removal some(const architecture& shape) {
  removal what;
  what.layers.resize(shape.layers);
  for (layer_removal& layer : what.layers) {
    for (std::size_t n = 0; n < shape.ffn; n += 3) {
      layer.neurons.push_back(n);
      layer.neuron_values.push_back(0.01f * static_cast<float>(n % 7));
    }
    layer.heads = {0};
    for (std::size_t d = 0; d < shape.head_dim(); ++d) {
      layer.head_values.push_back(0.1f * static_cast<float>(d % 3) - 0.1f);
    }
  }
  return what;
}

unit_gates<double> closed(const architecture& shape, const removal& what, double factor) {
  unit_gates<double> gates{shape};
  for (std::size_t l = 0; l < what.layers.size(); ++l) {
    auto& gate = gates.layers[l];
    for (std::size_t i = 0; i < what.layers[l].neurons.size(); ++i) {
      gate.neurons[what.layers[l].neurons[i]] = factor;
      gate.neuron_values[what.layers[l].neurons[i]] = static_cast<double>(what.layers[l].neuron_values[i]);
    }
    gate.heads[0] = factor;
    for (std::size_t d = 0; d < shape.head_dim(); ++d) {
      gate.head_values[d] = static_cast<double>(what.layers[l].head_values[d]);
    }
  }
  return gates;
}

/// Sum over all positions of a fixed function of the logits.
struct weighted_logits {
  using sites = site_list<site::logits>;
  double sum = 0;
  static double weight(std::size_t position, std::size_t id) {
    return std::sin(static_cast<double>(1 + position * 31 + id));
  }
  void operator()(site::logits, const place& at, tensor_view<const double, 2> rows) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      for (std::size_t id = 0; id < rows.cols(); ++id) sum += weight(at.first_position + i, id) * rows(i, id);
    }
  }
};

/// The mean probability of ids from `first` on, after each token.
struct probability_from {
  using sites = site_list<site::logits>;
  std::size_t first;
  double sum = 0, count = 0;
  void operator()(site::logits, const place&, tensor_view<const float, 2> rows) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      double own = 0, all = 0;
      for (std::size_t id = 0; id < rows.cols(); ++id) {
        const double each = std::exp(static_cast<double>(rows(i, id)));
        all += each;
        own += id >= first ? each : 0;
      }
      sum += own / all;
      ++count;
    }
  }
};

}  // namespace

TEST_CASE("closed gates give the logits of the model without these units") {
  const token_batch texts{{2, 5, 9, 11, 7}, {2, 6, 7}};
  for (const std::string name : {"pre-ln", "post-ln", "head-dim-7"}) {
    CAPTURE(name);
    model<any_opt, double, cpu, pruned_weights<double>> opt{checkpoint{model_goldens + name}};
    const removal what = some(opt.shape());
    unit_gates<double> gates = closed(opt.shape(), what, 0);
    basic_capture<double, site::logits> gated{positions::all()}, pruned{positions::all()};
    opt.run(texts, gates, gated);
    opt.weights().remove(what, opt.backend().pool());
    opt.run(texts, pruned);
    const auto a = gated(site::logits{}), b = pruned(site::logits{});
    check_close(std::span<const double>{a.data(), a.size()}, std::span<const double>{b.data(), b.size()}, 1e-12,
                "logits");
  }
}

TEST_CASE("what a gradient pass shows of a unit is the slope of the function over its gate") {
  const token_batch texts{{2, 5, 9, 11, 7}, {2, 6, 7}, {2}};
  for (const std::string name : {"pre-ln", "post-ln-projected", "no-bias"}) {
    CAPTURE(name);
    model<any_opt, double> opt{checkpoint{model_goldens + name}};
    const architecture& shape = opt.shape();
    const unit_table units{shape};
    unit_gates<double> gates = closed(shape, some(shape), 0.4);
    std::vector<double> slope(units.size());
    gradient_pass pass{opt};
    for (int twice = 0; twice < 2; ++twice) {  // it can be used again
      std::fill(slope.begin(), slope.end(), 0.0);
      pass(
          texts, gates,
          [&](std::size_t, tensor_view<double, 2> logits) {
            for (std::size_t i = 0; i < logits.rows(); ++i) {
              for (std::size_t id = 0; id < logits.cols(); ++id) logits(i, id) = weighted_logits::weight(i, id);
            }
          },
          [&](unit_kind kind, std::size_t layer, tensor_view<const double, 2> a, tensor_view<const double, 2> g) {
            const auto& gate = gates.layers[layer];
            const std::size_t width = kind == unit_kind::head ? shape.head_dim() : 1;
            const std::vector<double>& values = kind == unit_kind::head ? gate.head_values : gate.neuron_values;
            for (std::size_t i = 0; i < a.rows(); ++i) {
              for (std::size_t d = 0; d < a.cols(); ++d) {
                slope[units.first(kind, layer) + d / width] += (a(i, d) - values[d]) * g(i, d);
              }
            }
          });
    }
    const auto value = [&](double& factor, double by) {
      const double before = factor;
      factor += by;
      weighted_logits probe;
      opt.run(texts, gates, probe);
      factor = before;
      return probe.sum;
    };
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
      auto& gate = gates.layers[layer];
      for (std::size_t n = 0; n < shape.ffn; n += 4) {
        const double expected = (value(gate.neurons[n], 1e-5) - value(gate.neurons[n], -1e-5)) / 2e-5;
        CHECK(slope[units.first(unit_kind::neuron, layer) + n] == doctest::Approx(expected).epsilon(1e-5).scale(0.01));
      }
      for (std::size_t h = 0; h < shape.heads; ++h) {
        const double expected = (value(gate.heads[h], 1e-5) - value(gate.heads[h], -1e-5)) / 2e-5;
        CHECK(slope[units.first(unit_kind::head, layer) + h] == doctest::Approx(expected).epsilon(1e-5).scale(0.01));
      }
    }
  }
}

TEST_CASE("a learned mask makes what follows other texts more like the kept category") {
  model<any_opt, float, cpu, pruned_weights<float>> opt{checkpoint{model_goldens + "pre-ln"}};
  const unit_table units{opt.shape()};
  const std::size_t half = opt.shape().vocabulary / 2;
  std::vector<std::vector<std::vector<token_list>>> texts(2, std::vector<std::vector<token_list>>(2));
  std::mt19937_64 bits{3};
  for (std::size_t category = 0; category < 2; ++category) {  // of the lower half of ids, and of the upper half
    for (int i = 0; i < 12; ++i) {
      token_list text{2};
      for (int t = 0; t < 8; ++t) text.push_back(static_cast<token_id>(category * half + 4 + bits() % (half - 4)));
      texts[0][category].push_back(std::move(text));
    }
  }
  texts[1][0] = texts[0][0];  // a source may have nothing of a category
  removal may_go;
  may_go.layers.resize(opt.layers());
  for (std::size_t n = 0; n < opt.shape().ffn; ++n) may_go.layers[1].neurons.push_back(n);
  may_go.layers[1].heads = {0};
  mask_settings how{
      .steps = 60, .rate = 0.3, .cost = 9, .continuation_weight = 0, .windows = 2, .window_tokens = 12, .prompts = 4};
  std::size_t reported = 0;
  const auto report = [&](std::size_t done, std::size_t all) {
    CHECK(all == 60);
    reported = done;
  };
  const std::vector<double> score = learn_mask(opt, texts, 1, token_id{2}, may_go, how, report);
  CHECK(reported == 60);
  const std::vector<double> again = learn_mask(opt, texts, 1, token_id{2}, may_go, how, report);
  for (std::size_t u = 0; u < units.size(); ++u) CHECK((again[u] == score[u] || std::isnan(score[u])));

  removal what;
  what.layers.resize(opt.layers());
  for (std::size_t u = 0; u < units.size(); ++u) {
    const unit each = units[u];
    const bool may = each.layer == 1 && (each.kind == unit_kind::neuron ||
                                         (each.kind == unit_kind::head && u == units.first(unit_kind::head, 1)));
    CHECK(std::isnan(score[u]) == !may);
    if (!(score[u] > 0)) continue;
    (each.kind == unit_kind::head ? what.layers[1].heads : what.layers[1].neurons).push_back(each.index);
  }
  CHECK(what.neurons() > 0);
  CHECK(what.neurons() < opt.shape().ffn);
  probability_from before{half}, after{half};
  opt.run(texts[0][0], before);
  opt.weights().remove(what, opt.backend().pool());
  opt.run(texts[0][0], after);
  const double gain = after.sum / after.count - before.sum / before.count;
  MESSAGE(gain);
  CHECK(gain > 0.02);
}

TEST_CASE("a mask with a higher cost removes more units and loses more" * doctest::test_suite("long")) {
  const std::string folder = OPTSCOPE_SOURCE_DIR "/examples/demo-model", from = OPTSCOPE_SOURCE_DIR "/examples/texts/";
  model<any_opt, float, cpu, pruned_weights<float>> opt{checkpoint{folder}};
  const tokenizer words{folder};
  std::vector<std::vector<std::vector<token_list>>> texts(1, std::vector<std::vector<token_list>>(2));
  for (const std::size_t category : {0, 1}) {
    for (const auto& each : std::filesystem::directory_iterator{from + (category == 0 ? "1-articles" : "3-code")}) {
      std::ifstream stream{each.path()};
      const std::string content{std::istreambuf_iterator<char>{stream}, {}};
      texts[0][category].push_back(words.encode(content));
    }
    std::ranges::sort(texts[0][category]);
  }
  const unit_table units{opt.shape()};
  removal all;
  all.layers.resize(opt.layers());
  for (layer_removal& layer : all.layers) {
    for (std::size_t n = 0; n < opt.shape().ffn; ++n) layer.neurons.push_back(n);
  }
  const auto loss = [&](const removal& what) {
    token_batch batch = texts[0][1];
    for (token_list& text : batch) text.resize(std::min<std::size_t>(text.size(), 256));
    opt.weights().remove(what, opt.backend().pool());
    next_token_loss found{batch};
    opt.run(batch, found);
    return found.mean([](std::size_t) { return true; });
  };
  const double whole = loss({});
  const auto learned = [&](double cost) {
    const mask_settings how{.steps = 30, .rate = 0.3, .cost = cost, .windows = 2, .window_tokens = 32, .prompts = 4};
    opt.weights().remove({}, opt.backend().pool());
    const auto score = learn_mask(opt, texts, 1, words.bos(), all, how, [](std::size_t, std::size_t) {});
    removal what;
    what.layers.resize(opt.layers());
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (score[u] > 0) what.layers[units[u].layer].neurons.push_back(units[u].index);
    }
    return std::pair{loss(what) - whole, what.neurons()};
  };
  const auto [little, few] = learned(0.02);
  const auto [much, many] = learned(3);
  CHECK(much > little);
  CHECK(many > few);
}
