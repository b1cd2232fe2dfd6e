// SPDX-License-Identifier: MIT
#pragma once
// How much the loss of texts rises when a neuron or head is set to zero: measured, one unit at a time.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/host_arithmetic.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/probe/capture.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/row_losses.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// What the runs without a unit begin from.
template <class T>
using ablation_record =
    basic_capture<T, site::resid_pre, site::resid_mid, site::mlp_post, site::mlp_out, site::resid_post>;

/// Rows of the last `resid_post`, of each text from a position of its own on: what `capture`, whose rule is the same
/// for all texts, does not do.
template <class T>
struct last_rows {
  using sites = site_list<site::resid_post>;
  std::size_t layer;
  std::vector<std::size_t> from{};  // [text]
  std::vector<T> rows{};            // (row, hidden), text by text

  [[nodiscard]] bool wants(site::resid_post, std::size_t of) const { return of == layer; }
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return from[text]; }
  void operator()(site::resid_post, const place& at, tensor_view<const T, 2> x) {
    for (std::size_t i = from[at.text] - at.first_position; i < x.rows(); ++i) {
      rows.insert(rows.end(), x.row(i).begin(), x.row(i).end());
    }
  }
};

/// Sets one head to zero, for each text a head of its own.
template <class T>
struct zeroed_head {
  using sites = site_list<site::z>;
  std::size_t layer;
  std::vector<std::size_t> head{};  // [text]

  [[nodiscard]] bool wants(site::z, std::size_t of) const { return of == layer; }
  void operator()(site::z, const place& at, tensor_view<T, 3> z) const {
    const std::size_t width = z.extent(2);
    for (std::size_t i = 0; i < z.rows(); ++i) std::fill_n(z.row(i).data() + head[at.text] * width, width, T{0});
  }
};

/// A neuron or head and a text whose loss without it is wanted.
struct ablated_unit {
  std::size_t text;
  std::size_t index;  // of the neuron or head in its layer
  std::size_t from;   // the first position whose activation is not zero
};

/// All neurons, or all heads, of one layer.
struct ablated_layer {
  unit_kind kind;
  std::size_t layer;
  std::vector<ablated_unit> units{};
};

}  // namespace detail

/// How much the loss of one text rises when a unit is set to zero: summed over its tokens, in nats.
struct loss_gain {
  std::vector<double> sum;        ///< [unit]; zero for units that are neither neuron nor head
  std::vector<double> magnitude;  ///< [unit]: of the absolute values
};

/// Removes the units of a whole model one at a time and measures the next-token loss again. A neuron is subtracted from
/// the stream after its layer, a head from its layer's attention; only what follows is computed again, for many units
/// in one batch. A neuron that is silent in a text has no effect there and costs nothing.
template <class Model>
class ablation_pass {
 public:
  using T = typename Model::scalar;

  /// Throws `checkpoint_error` if the layers of the model differ in size.
  explicit ablation_pass(Model& opt) : opt_{opt}, units_{opt.shape()}, losses_{opt} {
    require_even_layers(opt.files(), "to remove units one by one");
  }

  /// The loss without each unit minus the loss with it: [text]. Costs up to neurons + heads runs over the texts, half a
  /// run each on average. `report(done, all)` is told how many multiplications are done and how many there are in all,
  /// as doubles.
  template <class Report>
  [[nodiscard]] std::vector<loss_gain> operator()(const token_batch& texts, Report report) {
    run_over(texts);
    std::vector<detail::ablated_layer> all_units;
    for (std::size_t layer = 0; layer < opt_.layers(); ++layer) {
      all_units.push_back(neurons_of(texts, layer));
      all_units.push_back(heads_of(texts, layer));
    }
    double all = 0, done = 0;
    for (const detail::ablated_layer& of : all_units) {
      for (const detail::ablated_unit& each : of.units) all += cost(texts, of, each);
    }

    const std::vector<double> none(units_.size());
    std::vector<loss_gain> gains(texts.size(), {.sum = none, .magnitude = none});
    for (const detail::ablated_layer& of : all_units) {
      if (of.kind == unit_kind::neuron) read_layer(of.layer);
      std::span<const detail::ablated_unit> left{of.units};
      while (!left.empty()) {
        const std::size_t count = fitting(texts, left);
        const std::span<const detail::ablated_unit> batch = left.first(count);
        left = left.subspan(count);
        for (const detail::ablated_unit& each : batch) done += cost(texts, of, each);
        remove_each(texts, of.kind, of.layer, batch, gains);
        report(done, all);
      }
    }
    return gains;
  }

 private:
  using unit_span = std::span<const detail::ablated_unit>;

  /// Runs the whole model and measures the loss of every token.
  void run_over(const token_batch& texts) {
    opt_.run(texts, run_);
    first_row_.assign(1, 0);
    for (const token_list& text : texts) first_row_.push_back(first_row_.back() + text.size());
    base_.assign(first_row_.back(), 0);
    const tensor_view<const T, 2> last = run_(site::resid_post{}, opt_.layers() - 1);
    for (std::size_t t = 0; t < texts.size(); ++t) {
      for (std::size_t i = 0; i + 1 < texts[t].size(); ++i) {
        const std::size_t row = first_row_[t] + i;
        losses_.want(last.row(row), texts[t][i + 1], base_[row]);
      }
    }
    losses_.measure();
  }

  /// The neurons and texts that can have an effect: active before the last token.
  detail::ablated_layer neurons_of(const token_batch& texts, std::size_t layer) const {
    detail::ablated_layer result{.kind = unit_kind::neuron, .layer = layer};
    const tensor_view<const T, 2> a = run_(site::mlp_post{}, layer);
    for (std::size_t n = 0; n < a.cols(); ++n) {
      for (std::size_t t = 0; t < texts.size(); ++t) {
        std::size_t from = 0;
        while (from + 1 < texts[t].size() && a(first_row_[t] + from, n) == T{0}) ++from;
        if (from + 1 < texts[t].size()) result.units.push_back({.text = t, .index = n, .from = from});
      }
    }
    return result;
  }
  detail::ablated_layer heads_of(const token_batch& texts, std::size_t layer) const {
    detail::ablated_layer result{.kind = unit_kind::head, .layer = layer};
    for (std::size_t t = 0; t < texts.size(); ++t) {
      if (texts[t].size() < 2) continue;
      for (std::size_t h = 0; h < opt_.shape().heads; ++h) result.units.push_back({.text = t, .index = h, .from = 0});
    }
    return result;
  }

  /// Multiplications that the run without one unit costs.
  [[nodiscard]] double cost(const token_batch& texts, const detail::ablated_layer& of,
                            const detail::ablated_unit& what) const {
    const architecture& shape = opt_.shape();
    const std::size_t layers = opt_.layers() - of.layer - (of.kind == unit_kind::neuron ? 1 : 0);
    const std::size_t length = texts[what.text].size();
    return static_cast<double>(layers * length) * static_cast<double>(2 * (2 * shape.hidden + shape.ffn)) *
               static_cast<double>(shape.hidden) +
           static_cast<double>(length - what.from) * losses_.cost();
  }

  /// How many units go into the next batch; at least one.
  [[nodiscard]] static std::size_t fitting(const token_batch& texts, unit_span units) {
    constexpr std::size_t most_rows = 2560;
    std::size_t rows = texts[units[0].text].size(), count = 1;
    while (count < units.size() && rows + texts[units[count].text].size() <= most_rows) {
      rows += texts[units[count].text].size();
      ++count;
    }
    return count;
  }

  /// fc2 of a layer, neuron by neuron, and the LayerNorm that follows it in a post-LN model.
  void read_layer(std::size_t layer) {
    const layer_weights<T> w = opt_.weights().layer(layer, layer + 1, opt_.backend().pool());
    const matrix_view<T>& fc2 = w.fc2.weight;
    columns_ = tensor<T, 2>{{fc2.cols(), fc2.rows()}};
    std::vector<T> values(fc2.cols());
    for (std::size_t row = 0; row < fc2.rows(); ++row) {
      fc2.copy_rows(row, 1, values.data());
      for (std::size_t n = 0; n < fc2.cols(); ++n) columns_(n, row) = values[n];
    }
    gamma_.clear();
    beta_.clear();
    if (opt_.shape().pre_layer_norm || w.ln2.gamma == nullptr) return;
    gamma_.assign(w.ln2.gamma, w.ln2.gamma + opt_.shape().hidden);
    beta_.assign(w.ln2.beta, w.ln2.beta + opt_.shape().hidden);
  }

  /// The stream into the layer, once for each unit: (row, hidden).
  tensor<T, 2> streams_before(const token_batch& texts, std::size_t layer, unit_span units, std::size_t rows) const {
    tensor<T, 2> stream{{rows, opt_.shape().hidden}};
    const tensor_view<const T, 2> before = run_(site::resid_pre{}, layer);
    std::size_t row = 0;
    for (const detail::ablated_unit& each : units) {
      for (std::size_t i = 0; i < texts[each.text].size(); ++i, ++row) {
        std::ranges::copy(before.row(first_row_[each.text] + i), stream.row(row).begin());
      }
    }
    return stream;
  }

  /// The stream after the layer without each neuron: (row, hidden).
  tensor<T, 2> streams_without(const token_batch& texts, std::size_t layer, unit_span neurons, std::size_t rows) {
    const std::size_t hidden = opt_.shape().hidden;
    tensor<T, 2> stream{{rows, hidden}};
    const tensor_view<const T, 2> middle = run_(site::resid_mid{}, layer), added = run_(site::mlp_out{}, layer),
                                  active = run_(site::mlp_post{}, layer);
    std::size_t row = 0;
    for (const detail::ablated_unit& each : neurons) {
      const T* const column = columns_.row(each.index).data();
      for (std::size_t i = 0; i < texts[each.text].size(); ++i, ++row) {
        const std::size_t from = first_row_[each.text] + i;
        const auto target = stream.row(row);
        std::ranges::transform(middle.row(from), added.row(from), target.begin(), std::plus<>{});
        const T a = active(from, each.index);
        if (a == T{0}) continue;
        for (std::size_t j = 0; j < hidden; ++j) target[j] -= a * column[j];
      }
    }
    if (!opt_.shape().pre_layer_norm) {
      detail::layer_norm_on_host<T>(
          opt_.backend(), stream.view(),
          {.gamma = gamma_.empty() ? nullptr : gamma_.data(), .beta = beta_.empty() ? nullptr : beta_.data()});
    }
    return stream;
  }

  /// Runs the texts once without each unit and adds the changes of their loss to `gains`.
  void remove_each(const token_batch& texts, unit_kind kind, std::size_t layer, unit_span units,
                   std::vector<loss_gain>& gains) {
    token_batch batch;
    detail::last_rows<T> after{.layer = opt_.layers() - 1};
    detail::zeroed_head<T> zero{.layer = layer};
    std::size_t rows = 0;
    for (const detail::ablated_unit& each : units) {
      batch.push_back(texts[each.text]);
      after.from.push_back(each.from);
      zero.head.push_back(each.index);
      rows += texts[each.text].size();
    }
    if (kind == unit_kind::head) {
      const tensor<T, 2> stream = streams_before(texts, layer, units, rows);
      opt_.run_from(layer, stream.view(), batch, zero, after);
    } else {
      const tensor<T, 2> stream = streams_without(texts, layer, units, rows);
      if (layer + 1 < opt_.layers()) {
        opt_.run_from(layer + 1, stream.view(), batch, after);
      } else {
        keep_rows(texts, units, stream, after);
      }
    }
    add_gains(texts, kind, layer, units, after.rows, gains);
  }

  /// After the last layer there is nothing to run.
  static void keep_rows(const token_batch& texts, unit_span units, const tensor<T, 2>& stream,
                        detail::last_rows<T>& after) {
    std::size_t row = 0;
    for (const detail::ablated_unit& each : units) {
      const std::size_t length = texts[each.text].size();
      for (std::size_t i = each.from; i < length; ++i) {
        after.rows.insert(after.rows.end(), stream.row(row + i).begin(), stream.row(row + i).end());
      }
      row += length;
    }
  }

  /// `changed` (row, hidden): for each unit the last stream from its first active position on.
  void add_gains(const token_batch& texts, unit_kind kind, std::size_t layer, unit_span units,
                 const std::vector<T>& changed, std::vector<loss_gain>& gains) {
    const std::size_t hidden = opt_.shape().hidden;
    const bool last_neurons = kind == unit_kind::neuron && layer + 1 == opt_.layers();
    const auto silent = [&](std::size_t row, std::size_t neuron) {
      return run_(site::mlp_post{}, layer)(row, neuron) == T{0};
    };
    std::vector<double> loss(changed.size() / hidden);
    std::size_t at = 0;
    for (const detail::ablated_unit& each : units) {
      const token_list& text = texts[each.text];
      for (std::size_t i = each.from; i < text.size(); ++i, ++at) {
        const std::size_t original = first_row_[each.text] + i;
        loss[at] = base_[original];
        const bool same = last_neurons && silent(original, each.index);  // no later position sees the neuron
        if (i + 1 == text.size() || same) continue;
        losses_.want(std::span{changed}.subspan(at * hidden, hidden), text[i + 1], loss[at]);
      }
    }
    losses_.measure();
    at = 0;
    for (const detail::ablated_unit& each : units) {
      const std::size_t u = units_.first(kind, layer) + each.index;
      for (std::size_t i = each.from; i < texts[each.text].size(); ++i, ++at) {
        const double gain = loss[at] - base_[first_row_[each.text] + i];
        gains[each.text].sum[u] += gain;
        gains[each.text].magnitude[u] += std::abs(gain);
      }
    }
  }

  Model& opt_;
  unit_table units_;
  row_losses<Model> losses_;
  detail::ablation_record<T> run_;
  std::vector<std::size_t> first_row_;  // [text]: its first row in `run_`; then how many there are
  std::vector<double> base_;            // [row]: the loss of the whole model
  tensor<T, 2> columns_;                // (neuron, hidden)
  std::vector<T> gamma_, beta_;         // of a post-LN layer's second LayerNorm
};

/// How much the loss of categories rises by the removal of each unit.
struct ablation_effects {
  struct piece {
    std::size_t category;
    double tokens;  ///< tokens whose loss was measured
    loss_gain gain;
  };
  std::vector<piece> pieces;

  /// Nats per token: [unit].
  [[nodiscard]] std::vector<double> mean(std::size_t category, std::vector<double> loss_gain::*of) const;
  /// Every second piece of each category; `which` is 0 or 1. A category's only piece is in both halves.
  [[nodiscard]] ablation_effects half(std::size_t which) const;
};

/// Removes each unit over about `tokens` tokens of each category of `texts` [category][text], in pieces of at most 64
/// tokens that are spread over its texts. See `ablation_pass`.
template <class Model, class Report>
[[nodiscard]] ablation_effects ablate(Model& opt, const category_texts& texts, std::optional<token_id> bos,
                                      std::size_t tokens, Report report) {
  constexpr std::size_t length = 64;
  ablation_effects result;
  token_batch batch;
  std::vector<std::vector<window>> windows =
      windows_by_category(texts, std::min(length, opt.shape().max_positions), bos);
  for (std::size_t c = 0; c < windows.size(); ++c) {
    std::vector<window>& own = windows[c];
    std::erase_if(own, [](const window& each) { return each.tokens.size() < 2; });
    const std::size_t count = std::min(own.size(), std::max<std::size_t>(1, tokens / length));
    for (std::size_t i = 0; i < count; ++i) {
      batch.push_back(own[i * own.size() / count].tokens);
      result.pieces.push_back({.category = c, .tokens = static_cast<double>(batch.back().size() - 1), .gain = {}});
    }
  }
  std::vector<loss_gain> gains = ablation_pass{opt}(batch, report);
  for (std::size_t i = 0; i < gains.size(); ++i) result.pieces[i].gain = std::move(gains[i]);
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/ablation.ipp>
#endif
