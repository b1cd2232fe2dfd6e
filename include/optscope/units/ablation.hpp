// SPDX-License-Identifier: MIT
#pragma once
// What the loss of texts gains when a neuron or head is set to zero: measured, unit by unit.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// Of a run, rows of all texts below one another: what a unit is taken out of.
template <class T>
struct ablation_record {
  using sites = site_list<site::resid_pre, site::resid_mid, site::mlp_post, site::mlp_out, site::resid_post>;
  struct layer_record {
    tensor<T, 2> before, neurons, sum;  // (row, …): the layer's input, `mlp_post`, the stream with all of it added
  };
  std::vector<layer_record> layers;
  tensor<T, 2> last;                 // (row, hidden): the stream behind the last layer
  std::vector<std::size_t> first{};  // [text]: its first row; then how many there are

  explicit ablation_record(std::size_t count) : layers(count) {}

  void begin(const run_plan& plan) {
    first.assign(1, 0);
    for (const std::size_t length : plan.lengths) first.push_back(first.back() + length);
  }
  template <class Action>
  void rows_of(const place& at, tensor_view<const T, 2> x, tensor<T, 2>& in, Action action) const {
    if (in.size() == 0) in = tensor<T, 2>{{first.back(), x.cols()}};
    for (std::size_t i = 0; i < x.rows(); ++i) {
      const auto row = in.row(first[at.text] + at.first_position + i);
      std::transform(x.row(i).begin(), x.row(i).end(), row.begin(), row.begin(), action);
    }
  }
  static T copied(T x, T) { return x; }
  void operator()(site::resid_pre, const place& at, tensor_view<const T, 2> x) {
    rows_of(at, x, layers[at.layer].before, copied);
  }
  void operator()(site::mlp_post, const place& at, tensor_view<const T, 2> x) {
    rows_of(at, x, layers[at.layer].neurons, copied);
  }
  void operator()(site::resid_mid, const place& at, tensor_view<const T, 2> x) {
    rows_of(at, x, layers[at.layer].sum, copied);
  }
  void operator()(site::mlp_out, const place& at, tensor_view<const T, 2> x) {
    rows_of(at, x, layers[at.layer].sum, std::plus<>{});
  }
  void operator()(site::resid_post, const place& at, tensor_view<const T, 2> x) {
    if (at.layer + 1 == layers.size()) rows_of(at, x, last, copied);
  }
};

/// Rows of the last `resid_post`, of each text from a position on.
template <class T>
struct last_rows {
  using sites = site_list<site::resid_post>;
  std::size_t layer;
  std::vector<std::size_t> from;  // [text]
  std::vector<T> rows{};          // (row, hidden), text by text

  [[nodiscard]] bool wants(site::resid_post, std::size_t of) const { return of == layer; }
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return from[text]; }
  void operator()(site::resid_post, const place& at, tensor_view<const T, 2> x) {
    for (std::size_t i = from[at.text] - at.first_position; i < x.rows(); ++i) {
      rows.insert(rows.end(), x.row(i).begin(), x.row(i).end());
    }
  }
};

/// Sets one head of every text to zero.
template <class T>
struct zeroed_head {
  using sites = site_list<site::z>;
  std::size_t layer;
  std::vector<std::size_t> head;  // [text]

  [[nodiscard]] bool wants(site::z, std::size_t of) const { return of == layer; }
  void operator()(site::z, const place& at, tensor_view<T, 3> z) const {
    const std::size_t width = z.extent(2);
    for (std::size_t i = 0; i < z.rows(); ++i) std::fill_n(z.row(i).data() + head[at.text] * width, width, T{0});
  }
};

}  // namespace detail

/// What the loss of one text gains when a unit is set to zero: summed over its tokens, in nats.
struct loss_gain {
  std::vector<double> sum;        ///< [unit]; zero for units that are neither neuron nor head
  std::vector<double> magnitude;  ///< [unit]: of the absolute values
};

/// Takes the units of a whole model out one at a time and measures the next-token loss again. A neuron is taken out of
/// the stream behind its layer, a head out of its layer's attention; only what comes behind is computed again, many
/// units at once as so many texts. A neuron that is silent in a text has no effect there and costs nothing.
template <class Model>
class ablation_pass {
 public:
  using T = typename Model::scalar;

  explicit ablation_pass(Model& opt) : opt_{opt}, units_{opt.shape()}, unembedding_(opt.files().unembedding().size()) {
    require_even_layers(opt.files(), "to take out unit by unit");
    opt.files().unembedding().copy_to(unembedding_.data());
  }

  /// The loss without each unit minus the loss with it: [text]. Costs up to neurons + heads runs over the texts, half a
  /// run each on average. `report(done, all)`, doubles: multiplications so far and in all.
  template <class Report>
  [[nodiscard]] std::vector<loss_gain> operator()(const token_batch& texts, Report report) {
    detail::ablation_record<T> run{opt_.layers()};
    opt_.run(texts, run);
    const std::vector<double> none(units_.size());
    std::vector<loss_gain> effect(texts.size(), {none, none});
    base_.assign(run.first.back(), 0);
    for (std::size_t t = 0; t < texts.size(); ++t) {
      for (std::size_t i = 0; i + 1 < texts[t].size(); ++i) {
        want(run.last.row(run.first[t] + i), texts[t][i + 1], base_[run.first[t] + i]);
      }
    }
    measure();

    std::vector<std::vector<item>> items;  // [2 layer]: neurons, [2 layer + 1]: heads
    double all = 0, done = 0;
    for (std::size_t layer = 0; layer < opt_.layers(); ++layer) {
      items.push_back(neurons_of(texts, run, layer));
      items.emplace_back();
      for (std::size_t t = 0; t < texts.size(); ++t) {
        for (std::size_t h = 0; h < opt_.shape().heads && texts[t].size() > 1; ++h) {
          items.back().push_back({t, h, 0});
        }
      }
    }
    const auto cost = [&](std::size_t list, const item& what) {
      const architecture& shape = opt_.shape();
      const std::size_t behind = opt_.layers() - list / 2 - (list % 2 == 0 ? 1 : 0), length = texts[what.text].size();
      return static_cast<double>(behind * length) * static_cast<double>(2 * (2 * shape.hidden + shape.ffn)) *
                 static_cast<double>(shape.hidden) +
             static_cast<double>(length - what.from) * static_cast<double>(unembedding_.size());
    };
    for (std::size_t list = 0; list < items.size(); ++list) {
      for (const item& what : items[list]) all += cost(list, what);
    }

    for (std::size_t list = 0; list < items.size(); ++list) {
      const std::size_t layer = list / 2;
      const bool heads = list % 2 == 1;
      if (!heads) read_columns(layer);
      for (std::size_t begin = 0, end = 0; begin < items[list].size(); begin = end) {
        std::size_t rows = 0;
        for (; end < items[list].size() && (end == begin || rows + texts[items[list][end].text].size() <= most_rows);
             ++end) {
          rows += texts[items[list][end].text].size();
          done += cost(list, items[list][end]);
        }
        const std::span<const item> some{items[list].data() + begin, end - begin};
        take_out(texts, run, layer, heads, some, effect);
        report(done, all);
      }
    }
    return effect;
  }

 private:
  static constexpr std::size_t most_rows = 2560;  // of one run

  struct item {
    std::size_t text, index;  // neuron or head
    std::size_t from;         // the first position whose activation is not zero
  };
  struct wanted_loss {
    token_id next;
    double* to;
  };

  /// The neurons and texts that can have an effect: active before the last token.
  std::vector<item> neurons_of(const token_batch& texts, const detail::ablation_record<T>& run,
                               std::size_t layer) const {
    std::vector<item> items;
    const tensor<T, 2>& a = run.layers[layer].neurons;
    for (std::size_t n = 0; n < a.extent(1); ++n) {
      for (std::size_t t = 0; t < texts.size(); ++t) {
        std::size_t from = 0;
        while (from + 1 < texts[t].size() && a(run.first[t] + from, n) == T{0}) ++from;
        if (from + 1 < texts[t].size()) items.push_back({t, n, from});
      }
    }
    return items;
  }

  /// fc2 of a layer, neuron by neuron.
  void read_columns(std::size_t layer) {
    const layer_weights<T> w = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
    const tensor_view<const T, 2> fc2 = w.fc2.weight;
    columns_ = tensor<T, 2>{{fc2.cols(), fc2.rows()}};
    for (std::size_t row = 0; row < fc2.rows(); ++row) {
      for (std::size_t n = 0; n < fc2.cols(); ++n) columns_(n, row) = fc2(row, n);
    }
    const std::size_t hidden = opt_.shape().hidden;
    norm_.clear();
    if (opt_.shape().pre_layer_norm || w.ln2.gamma == nullptr) return;
    norm_.assign(w.ln2.gamma, w.ln2.gamma + hidden);
    norm_.insert(norm_.end(), w.ln2.beta, w.ln2.beta + hidden);
  }

  void take_out(const token_batch& texts, const detail::ablation_record<T>& run, std::size_t layer, bool heads,
                std::span<const item> items, std::vector<loss_gain>& effect) {
    const std::size_t hidden = opt_.shape().hidden;
    token_batch batch;
    detail::last_rows<T> behind{opt_.layers() - 1, {}};
    detail::zeroed_head<T> zero{layer, {}};
    std::size_t rows = 0;
    for (const item& what : items) {
      batch.push_back(texts[what.text]);
      behind.from.push_back(what.from);
      zero.head.push_back(what.index);
      rows += texts[what.text].size();
    }
    tensor<T, 2> stream{{rows, hidden}};
    std::size_t row = 0;
    for (const item& what : items) {
      for (std::size_t i = 0; i < texts[what.text].size(); ++i, ++row) {
        const std::size_t from = run.first[what.text] + i;
        const auto target = stream.row(row);
        std::ranges::copy((heads ? run.layers[layer].before : run.layers[layer].sum).row(from), target.data());
        if (heads) continue;
        const T a = run.layers[layer].neurons(from, what.index);
        const T* const column = columns_.row(what.index).data();
        for (std::size_t j = 0; a != T{0} && j < hidden; ++j) target[j] -= a * column[j];
      }
    }
    if (!heads && !opt_.shape().pre_layer_norm) {
      opt_.backend().layer_norm(tensor_view<const T, 2>{stream.view()}, norm_.empty() ? nullptr : norm_.data(),
                                norm_.empty() ? nullptr : norm_.data() + hidden, stream.view());
    }
    if (heads) {
      opt_.run_from(layer, tensor_view<const T, 2>{stream.view()}, batch, zero, behind);
    } else if (layer + 1 < opt_.layers()) {
      opt_.run_from(layer + 1, tensor_view<const T, 2>{stream.view()}, batch, behind);
    }

    std::vector<double> loss(rows);  // of what is computed again
    std::size_t computed = 0;
    row = 0;
    const bool last = !heads && layer + 1 == opt_.layers();
    for (const item& what : items) {
      const token_list& text = texts[what.text];
      for (std::size_t i = 0; i < text.size(); ++i, ++row) {
        if (i < what.from) continue;
        const std::span<const T> changed = last ? std::as_const(stream).row(row)
                                                : std::span<const T>{behind.rows}.subspan(computed++ * hidden, hidden);
        const std::size_t original = run.first[what.text] + i;
        loss[row] = base_[original];
        if (i + 1 == text.size() || (last && run.layers[layer].neurons(original, what.index) == T{0})) continue;
        want(changed, text[i + 1], loss[row]);
      }
    }
    measure();
    row = 0;
    for (const item& what : items) {
      const std::size_t u = units_.first(heads ? unit_kind::head : unit_kind::neuron, layer) + what.index;
      for (std::size_t i = 0; i < texts[what.text].size(); ++i, ++row) {
        if (i < what.from) continue;
        const double gain = loss[row] - base_[run.first[what.text] + i];
        effect[what.text].sum[u] += gain;
        effect[what.text].magnitude[u] += std::abs(gain);
      }
    }
  }

  /// Asks for the loss of `next` behind a row of the last stream.
  void want(std::span<const T> row, token_id next, double& to) {
    rows_.insert(rows_.end(), row.begin(), row.end());
    wanted_.push_back({next, &to});
  }
  /// Computes what was asked for.
  void measure() {
    const std::size_t width = opt_.shape().embed_dim, vocabulary = opt_.shape().vocabulary;
    const std::size_t most = std::max<std::size_t>(64, (std::size_t{1} << 23) / vocabulary);
    const tensor_view<const T, 2> weights{unembedding_.data(), {vocabulary, width}};
    const tensor_view<const T, 2> rows{rows_.data(), {wanted_.size(), opt_.shape().hidden}};
    for (std::size_t begin = 0; begin < wanted_.size(); begin += most) {
      const std::size_t count = std::min(most, wanted_.size() - begin);
      const tensor<T, 2> x = opt_.last_hidden_state(rows.slice(begin, count));
      logits_.resize(count * vocabulary);
      const tensor_view<T, 2> logits{logits_.data(), {count, vocabulary}};
      opt_.backend().linear(tensor_view<const T, 2>{x.view()}, weights, static_cast<const T*>(nullptr), logits);
      opt_.backend().pool().parallel_for(count, [&](std::size_t i, std::size_t) {
        const T* const row = logits.row(i).data();
        const T largest = *std::max_element(row, row + vocabulary);
        double total = 0;
        for (std::size_t id = 0; id < vocabulary; ++id) total += static_cast<double>(std::exp(row[id] - largest));
        const auto [next, to] = wanted_[begin + i];
        *to = std::log(total) + static_cast<double>(largest - row[static_cast<std::size_t>(next)]);
      });
    }
    rows_.clear();
    wanted_.clear();
  }

  Model& opt_;
  unit_table units_;
  std::vector<T> unembedding_;       // (vocabulary, embed_dim)
  tensor<T, 2> columns_;             // (neuron, hidden)
  std::vector<T> norm_;              // gamma and beta of a post-LN layer's second LayerNorm
  std::vector<double> base_;         // [row]: the loss of the whole model
  std::vector<T> rows_, logits_;     // (row, hidden), (row, vocabulary)
  std::vector<wanted_loss> wanted_;  // [row]
};

/// What the loss of categories gains by every unit's removal.
struct ablation_effects {
  struct piece {
    std::size_t category;
    double tokens;  ///< whose loss it is
    loss_gain gain;
  };
  std::vector<piece> pieces;

  /// Nats a token: [unit].
  [[nodiscard]] std::vector<double> mean(std::size_t category, std::vector<double> loss_gain::*of) const {
    std::vector<double> result((pieces.front().gain.*of).size());
    double tokens = 0;
    for (const piece& each : pieces) {
      if (each.category != category) continue;
      tokens += each.tokens;
      const std::vector<double>& gain = each.gain.*of;
      std::transform(gain.begin(), gain.end(), result.begin(), result.begin(), std::plus<>{});
    }
    for (double& each : result) each /= tokens;
    return result;
  }
  /// Of every second piece of a category: 0 or 1. One that has a single piece keeps it.
  [[nodiscard]] ablation_effects half(std::size_t which) const {
    ablation_effects result;
    for (std::size_t i = 0, number = 0; i < pieces.size(); ++i) {
      const auto same = [&](std::size_t at) { return at < pieces.size() && pieces[at].category == pieces[i].category; };
      if (i > 0 && !same(i - 1)) number = 0;
      const bool single = number == 0 && !same(i + 1);
      if (single || number++ % 2 == which) result.pieces.push_back(pieces[i]);
    }
    return result;
  }
};

/// Ablates every unit over about `tokens` tokens of each category of `texts` [category][text], in pieces of at most 64
/// that are spread over its texts. See `ablation_pass`.
template <class Model, class Report>
[[nodiscard]] ablation_effects ablate(Model& opt, const std::vector<std::vector<token_list>>& texts,
                                      std::optional<token_id> bos, std::size_t tokens, Report report) {
  constexpr std::size_t length = 64;
  ablation_effects result;
  token_batch batch;
  for (std::size_t c = 0; c < texts.size(); ++c) {
    std::vector<token_list> all;
    for (const token_list& text : texts[c]) {
      for (window& w : windows_of(text, std::min(length, opt.shape().max_positions), bos)) {
        if (w.tokens.size() > 1) all.push_back(std::move(w.tokens));
      }
    }
    const std::size_t count = std::min(all.size(), std::max<std::size_t>(1, tokens / length));
    for (std::size_t i = 0; i < count; ++i) {
      batch.push_back(all[i * all.size() / count]);
      result.pieces.push_back({c, static_cast<double>(batch.back().size() - 1), {}});
    }
  }
  auto gains = ablation_pass{opt}(batch, report);
  for (std::size_t i = 0; i < gains.size(); ++i) result.pieces[i].gain = std::move(gains[i]);
  return result;
}

}  // namespace optscope
