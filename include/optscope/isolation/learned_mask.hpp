// SPDX-License-Identifier: MIT
#pragma once
// A removal learned by gradient descent: which units can go so that one category is written whatever the prompt.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/opt/probabilities.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <optscope/units/units.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// How a mask is learned. The loss is KL(whole model || masked) over kept texts, plus a weight times the sum of two
/// other means: -log P(the next token is of the kept category) over beginnings of other texts, a token being of a
/// category as often as in the texts, and `behind` times the cross-entropy of kept texts behind those beginnings. The
/// weight is turned up while kept texts lose less than `cost`, and down while they lose more. What is lost of the texts
/// that a mask is learned from tells little of others where these are few.
struct mask_settings {
  std::size_t steps = 250;
  double rate = 0.15;  ///< Adam's at first; falls to zero
  double cost = 0.16;  ///< nats a token of kept texts, those of the first source that has any
  double behind = 0.3;
  std::size_t windows = 8, window = 128;               ///< kept texts in a step, and their tokens
  std::size_t prompts = 24;                            ///< beginnings of others in a step
  std::size_t shortest = 8, longest = 32, after = 24;  ///< their tokens, and those of the kept category behind them
  std::uint64_t seed = 0;
};

namespace detail {

/// Texts of the categories from several sources, drawn from evenly.
struct text_sources {
  const std::vector<std::vector<std::vector<token_list>>>& texts;  // [source][category][text]
  std::optional<token_id> bos;
  std::mt19937_64 bits;
  std::size_t source = 0;  // of the last piece

  /// A piece of a text of the category, at most `size` tokens, without BOS.
  token_list piece(std::size_t category, std::size_t size) {
    source = bits() % texts.size();
    while (texts[source][category].empty()) source = (source + 1) % texts.size();
    return random_piece(texts[source][category], size, bos, bits);
  }

  /// P(kept category | token), each other category counting once: (vocabulary).
  [[nodiscard]] std::vector<double> posterior(std::size_t kept, std::size_t vocabulary) const {
    std::vector<double> own, others(vocabulary);
    const std::size_t categories = texts[0].size();
    for (std::size_t c = 0; c < categories; ++c) {
      std::vector<double> share(vocabulary, 0.3);
      double all = 0.3 * static_cast<double>(vocabulary);
      for (const auto& from : texts) {
        for (const token_list& text : from[c]) {
          for (const token_id id : text) share[static_cast<std::size_t>(id)] += 1;
          all += static_cast<double>(text.size());
        }
      }
      for (double& each : share) each /= all;
      if (c == kept) {
        own = std::move(share);
      } else {
        for (std::size_t id = 0; id < vocabulary; ++id) {
          others[id] += share[id] / static_cast<double>(categories - 1);
        }
      }
    }
    for (std::size_t id = 0; id < vocabulary; ++id) own[id] /= own[id] + others[id];
    return own;
  }
};

/// The logits of a run, text by text.
template <class T>
struct kept_logits {
  using sites = site_list<site::logits>;
  std::vector<tensor<T, 2>> of;  // [text] (position, vocabulary)
  void operator()(site::logits, const place& at, tensor_view<const T, 2> x) {
    tensor<T, 2>& own = of[at.text];
    if (own.size() == 0) own = tensor<T, 2>{{lengths[at.text], x.cols()}};
    for (std::size_t i = 0; i < x.rows(); ++i) std::ranges::copy(x.row(i), own.row(at.first_position + i).data());
  }
  std::vector<std::size_t> lengths;
};

}  // namespace detail

/// Learns which of the units in `may_go` are better away, each with what `may_go` puts in its place, from `texts`
/// [source][category][text]: a score for every unit of the table, above 0: away, the highest most certainly; NaN for
/// units that are not in `may_go`. A mask of zeros and ones, its logits trained straight through the threshold (Bengio
/// et al., arXiv:1308.3432), averaged over the last third of the steps. Cost of a step: about four runs over
/// its tokens. Of every category some source has a text. Throws `bad_input` if
/// the nonlinearity is not ReLU, or for a single category. `report(done, steps)`.
template <class Model, class Report>
[[nodiscard]] std::vector<double> learn_mask(Model& opt, const std::vector<std::vector<std::vector<token_list>>>& texts,
                                             std::size_t kept, std::optional<token_id> bos, const removal& may_go,
                                             const mask_settings& how, Report report) {
  using T = typename Model::scalar;
  const architecture& shape = opt.shape();
  const unit_table units{shape};
  const std::size_t categories = texts[0].size(), width = shape.head_dim();
  if (categories < 2) throw bad_input{"", "categories, for a mask", "at least two", std::to_string(categories)};
  detail::text_sources sources{texts, bos, std::mt19937_64{how.seed}};
  const std::vector<double> posterior = sources.posterior(kept, shape.vocabulary);
  const std::size_t window = std::min(how.window, shape.max_positions), after = std::min(how.after, window / 2);
  const std::size_t longest = std::min(how.longest, window - after - 1), shortest = std::min(how.shortest, longest);

  // Adam on the logits of the units that may go; a unit is there while its logit is above zero.
  struct parameter {
    std::size_t unit;
    double logit = 2, first = 0, second = 0, mean = 0;
  };
  std::vector<parameter> parameters;
  unit_gates<T> gates{shape};
  for (std::size_t layer = 0; layer < may_go.layers.size(); ++layer) {
    const layer_removal& what = may_go.layers[layer];
    for (std::size_t i = 0; i < what.neurons.size(); ++i) {
      parameters.push_back({units.first(unit_kind::neuron, layer) + what.neurons[i]});
      if (what.neuron_values.empty()) continue;
      gates.layers[layer].neuron_values[what.neurons[i]] = static_cast<T>(what.neuron_values[i]);
    }
    for (std::size_t i = 0; i < what.heads.size(); ++i) {
      parameters.push_back({units.first(unit_kind::head, layer) + what.heads[i]});
      for (std::size_t d = 0; !what.head_values.empty() && d < width; ++d) {
        gates.layers[layer].head_values[what.heads[i] * width + d] = static_cast<T>(what.head_values[i * width + d]);
      }
    }
  }
  const auto factor = [&](std::size_t number) -> T& {
    const unit what = units[number];
    auto& layer = gates.layers[what.layer];
    return (what.kind == unit_kind::head ? layer.heads : layer.neurons)[what.index];
  };

  // Texts of a step that are computed together; side by side with others.
  struct piece {
    token_batch texts{};
    std::vector<std::size_t> begins{};  // [text]: where the kept part begins behind another's; empty: kept texts
    std::vector<double> slope{};        // [unit]
    std::vector<bool> counts{};         // [text]: kept texts whose loss counts as cost
    double lost = 0;                    // nats of those
  };
  side_by_side<Model> copies{opt};
  std::vector<piece> pieces;
  double predicted = 0, behind = 0, before = 0;  // positions of a step that the three means are over
  constexpr double most_weight = 10;
  double weight = 0.5, lost = 0;  // of turning; nats a token of kept texts, over the last steps
  std::size_t paying = 0;         // the source whose kept texts count
  while (texts[paying][kept].empty()) ++paying;

  // Gradients of a piece's logits from their probabilities: of kept texts with those of the whole model.
  const auto turn_kept = [&](const token_list& text, tensor_view<T, 2> logits, tensor_view<T, 2> whole) {
    double sum = 0;  // nats lost
    for (std::size_t i = 0; i < logits.rows(); ++i) {
      const auto row = logits.row(i);
      const auto target = whole.row(i);
      to_probabilities(row);
      to_probabilities(target);
      if (i != 0 && i + 1 < text.size()) {
        const auto next = static_cast<std::size_t>(text[i + 1]);
        constexpr T least = std::numeric_limits<T>::min();
        sum += static_cast<double>(std::log(std::max(target[next], least)) - std::log(std::max(row[next], least)));
      }
      const T scale = i == 0 ? T{0} : static_cast<T>(1 / predicted);  // BOS is no context of a text
      for (std::size_t id = 0; id < row.size(); ++id) row[id] = scale * (row[id] - target[id]);
    }
    return sum;
  };
  const auto turn_behind = [&](const token_list& text, std::size_t begin, tensor_view<T, 2> logits) {
    for (std::size_t i = 0; i < logits.rows(); ++i) {
      const auto row = logits.row(i);
      const bool counts = i + 1 >= begin && i + 1 < logits.rows();
      const bool turns = i >= begin / 8 && i < begin;
      if (!counts && !turns) {
        std::fill(row.begin(), row.end(), T{0});
        continue;
      }
      to_probabilities(row);
      double mean = 0;  // of the posterior
      for (std::size_t id = 0; turns && id < row.size(); ++id) mean += static_cast<double>(row[id]) * posterior[id];
      const double cross = counts ? weight * how.behind / behind : 0, turn = turns ? weight / before : 0;
      for (std::size_t id = 0; id < row.size(); ++id) {
        const double ratio = turns ? posterior[id] / std::max(mean, 1e-9) : 0;
        row[id] *= static_cast<T>(cross + turn * (1 - ratio));
      }
      if (counts) row[static_cast<std::size_t>(text[i + 1])] -= static_cast<T>(cross);
    }
  };
  std::vector<gradient_pass<Model>> gradients;  // [copy]
  for (std::size_t i = 0; i < copies.size(); ++i) gradients.emplace_back(copies[i]);
  const auto follow = [&](piece& part, std::size_t copy) {
    part.slope.assign(units.size(), 0);
    part.lost = 0;
    detail::kept_logits<T> whole;
    if (part.begins.empty()) {
      for (const token_list& text : part.texts) whole.lengths.push_back(text.size());
      whole.of.resize(part.texts.size());
      copies[copy].run(part.texts, whole);
    }
    std::vector<double> column(std::max(shape.ffn, shape.hidden));
    gradients[copy](
        part.texts, gates,
        [&](std::size_t t, tensor_view<T, 2> logits) {
          if (!part.begins.empty()) return turn_behind(part.texts[t], part.begins[t], logits);
          const double nats = turn_kept(part.texts[t], logits, whole.of[t].view());
          if (part.counts[t]) part.lost += nats;
        },
        [&](unit_kind kind, std::size_t layer, tensor_view<const T, 2> a, tensor_view<const T, 2> g) {
          const std::size_t columns = kind == unit_kind::head ? width : 1, first = units.first(kind, layer);
          const auto& gate = gates.layers[layer];
          const T* const values = kind == unit_kind::head ? gate.head_values.data() : gate.neuron_values.data();
          std::fill(column.begin(), column.end(), 0.0);
          simd::run([&]() __attribute__((always_inline)) {
            for (std::size_t i = 0; i < a.rows(); ++i) {
              const T *const active = a.row(i).data(), *const slope = g.row(i).data();
              for (std::size_t d = 0; d < a.cols(); ++d) {
                column[d] += static_cast<double>((active[d] - values[d]) * slope[d]);
              }
            }
          });
          for (std::size_t d = 0; d < a.cols(); ++d) part.slope[first + d / columns] += column[d];
        });
  };

  for (std::size_t step = 0; step < how.steps; ++step) {
    for (const parameter& p : parameters) factor(p.unit) = p.logit > 0 ? T{1} : T{0};
    pieces.clear();
    predicted = behind = before = 0;
    double paid = 0;  // positions whose loss counts as cost
    for (std::size_t i = 0; i < how.windows; ++i) {
      if (i % 2 == 0) pieces.emplace_back();
      token_list text = sources.piece(kept, window - (bos ? 1 : 0));
      if (bos) text.insert(text.begin(), *bos);
      predicted += static_cast<double>(text.size() - 1);
      if (sources.source == paying) paid += static_cast<double>(text.size() - 1);
      pieces.back().texts.push_back(std::move(text));
      pieces.back().counts.push_back(sources.source == paying);
    }
    const std::size_t length = shortest + sources.bits() % (longest - shortest + 1);
    for (std::size_t i = 0; i < how.prompts; ++i) {
      if (i % 6 == 0) pieces.emplace_back();
      const std::size_t other = i % (categories - 1);
      token_list text = sources.piece(other < kept ? other : other + 1, length);
      if (bos) text.insert(text.begin(), *bos);
      const std::size_t begin = text.size();
      const token_list more = sources.piece(kept, after);
      text.insert(text.end(), more.begin(), more.end());
      behind += static_cast<double>(more.size());
      before += static_cast<double>(begin - begin / 8);
      pieces.back().begins.push_back(begin);
      pieces.back().texts.push_back(std::move(text));
    }
    copies(pieces.size(), [&](std::size_t i, std::size_t copy) { follow(pieces[i], copy); });
    std::vector<double> slope(units.size());
    double lost_now = 0;
    for (const piece& part : pieces) {
      std::transform(slope.begin(), slope.end(), part.slope.begin(), slope.begin(), std::plus<>{});
      lost_now += part.lost;
    }
    if (paid > 0) lost += 0.2 * (lost_now / paid - lost);
    weight = std::min(most_weight, weight * std::exp(0.05 * std::clamp(1 - lost / how.cost, -1.0, 1.0)));

    const double count = static_cast<double>(step + 1);
    const double rate = how.rate * (1 - static_cast<double>(step) / static_cast<double>(how.steps));
    const std::size_t averaged = how.steps - how.steps * 2 / 3;
    for (parameter& p : parameters) {
      const double there = 1 / (1 + std::exp(-p.logit)), gradient = slope[p.unit] * there * (1 - there);
      p.first += 0.1 * (gradient - p.first);
      p.second += 0.001 * (gradient * gradient - p.second);
      p.logit -=
          rate * p.first / (1 - std::pow(0.9, count)) / (std::sqrt(p.second / (1 - std::pow(0.999, count))) + 1e-8);
      if (step + averaged >= how.steps) p.mean += p.logit / static_cast<double>(averaged);
    }
    report(step + 1, how.steps);
  }
  std::vector<double> score(units.size(), std::numeric_limits<double>::quiet_NaN());
  for (const parameter& p : parameters) score[p.unit] = -p.mean;
  return score;
}

}  // namespace optscope
