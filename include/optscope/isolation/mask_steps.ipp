// SPDX-License-Identifier: MIT
#pragma once
// Bodies of mask_steps.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/isolation/mask_steps.hpp>
#include <optscope/opt/probabilities.hpp>
#include <string>
#include <utility>

namespace optscope::detail {

OPTSCOPE_INLINE mask_texts::mask_texts(const std::vector<category_texts>& texts, std::size_t kept,
                                       std::optional<token_id> bos, const architecture& shape, const mask_settings& how)
    : texts_{texts}, kept_{kept}, bos_{bos}, how_{how}, bits_{how.seed} {
  const std::size_t categories = texts[0].size();
  if (categories < 2) throw bad_input{"", "categories, for a mask", "at least two", std::to_string(categories)};
  how_.window_tokens = std::min(how.window_tokens, shape.max_positions);
  how_.continuation = std::min(how.continuation, how_.window_tokens / 2);
  how_.longest = std::min(how.longest, how_.window_tokens - how_.continuation - 1);
  how_.shortest = std::min(how.shortest, how_.longest);
  while (texts_[paying_][kept_].empty()) ++paying_;
}

/// A piece of a text of the category, at most `size` tokens, without BOS.
OPTSCOPE_INLINE token_list mask_texts::piece(std::size_t category, std::size_t size) {
  source_ = bits_() % texts_.size();
  while (texts_[source_][category].empty()) source_ = (source_ + 1) % texts_.size();
  return random_piece(texts_[source_][category], size, bos_, bits_);
}

OPTSCOPE_INLINE std::vector<mask_piece> mask_texts::draw(mask_positions& positions) {
  constexpr std::size_t windows_together = 2, starts_together = 6;
  std::vector<mask_piece> pieces;
  positions = {};
  for (std::size_t i = 0; i < how_.windows; ++i) {
    if (i % windows_together == 0) pieces.emplace_back();
    token_list text = piece(kept_, how_.window_tokens - (bos_ ? 1 : 0));
    if (bos_) text.insert(text.begin(), *bos_);
    positions.kept += static_cast<double>(text.size() - 1);
    if (source_ == paying_) positions.paying += static_cast<double>(text.size() - 1);
    pieces.back().texts.push_back(std::move(text));
    pieces.back().counts.push_back(source_ == paying_);
  }
  const std::size_t categories = texts_[0].size();
  const std::size_t length = how_.shortest + bits_() % (how_.longest - how_.shortest + 1);
  for (std::size_t i = 0; i < how_.prompts; ++i) {
    if (i % starts_together == 0) pieces.emplace_back();
    const std::size_t other = i % (categories - 1);
    token_list text = piece(other < kept_ ? other : other + 1, length);
    if (bos_) text.insert(text.begin(), *bos_);
    const std::size_t begin = text.size();
    const token_list own = piece(kept_, how_.continuation);
    text.insert(text.end(), own.begin(), own.end());
    positions.continuations += static_cast<double>(own.size());
    positions.starts += static_cast<double>(begin - begin / 8);
    pieces.back().begins.push_back(begin);
    pieces.back().texts.push_back(std::move(text));
  }
  return pieces;
}

OPTSCOPE_INLINE std::vector<double> mask_texts::posterior(std::size_t vocabulary) const {
  std::vector<double> own, others(vocabulary);
  const std::size_t categories = texts_[0].size();
  for (std::size_t c = 0; c < categories; ++c) {
    std::vector<double> share(vocabulary, 0.3);
    double all = 0.3 * static_cast<double>(vocabulary);
    for (const category_texts& source : texts_) {
      for (const token_list& text : source[c]) {
        for (const token_id id : text) share[static_cast<std::size_t>(id)] += 1;
        all += static_cast<double>(text.size());
      }
    }
    for (double& each : share) each /= all;
    if (c == kept_) {
      own = std::move(share);
      continue;
    }
    for (std::size_t id = 0; id < vocabulary; ++id) others[id] += share[id] / static_cast<double>(categories - 1);
  }
  for (std::size_t id = 0; id < vocabulary; ++id) own[id] /= own[id] + others[id];
  return own;
}

template <class T>
double turn_kept(const token_list& text, double positions, tensor_view<T, 2> logits, tensor_view<T, 2> whole) {
  constexpr T least = std::numeric_limits<T>::min();
  double lost = 0;
  for (std::size_t i = 0; i < logits.rows(); ++i) {
    const auto row = logits.row(i);
    const auto target = whole.row(i);
    to_probabilities(row);
    to_probabilities(target);
    if (i != 0 && i + 1 < text.size()) {
      const auto next = static_cast<std::size_t>(text[i + 1]);
      lost += static_cast<double>(std::log(std::max(target[next], least)) - std::log(std::max(row[next], least)));
    }
    const T scale = i == 0 ? T{0} : static_cast<T>(1 / positions);  // BOS is no context of a text
    for (std::size_t id = 0; id < row.size(); ++id) row[id] = scale * (row[id] - target[id]);
  }
  return lost;
}

template <class T>
void turn_start(const token_list& text, std::size_t begin, const turning_loss& loss, tensor_view<T, 2> logits) {
  for (std::size_t i = 0; i < logits.rows(); ++i) {
    const auto row = logits.row(i);
    const bool counts = i + 1 >= begin && i + 1 < logits.rows();
    const bool turns = i >= begin / 8 && i < begin;  // the first eighth of the start says too little
    if (!counts && !turns) {
      std::fill(row.begin(), row.end(), T{0});
      continue;
    }
    to_probabilities(row);
    double mean = 0;  // of the posterior
    for (std::size_t id = 0; turns && id < row.size(); ++id) mean += static_cast<double>(row[id]) * loss.posterior[id];
    const double cross = counts ? loss.after_start : 0, turn = turns ? loss.at_start : 0;
    for (std::size_t id = 0; id < row.size(); ++id) {
      const double ratio = turns ? loss.posterior[id] / std::max(mean, 1e-9) : 0;
      row[id] *= static_cast<T>(cross + turn * (1 - ratio));
    }
    if (counts) row[static_cast<std::size_t>(text[i + 1])] -= static_cast<T>(cross);
  }
}

OPTSCOPE_INLINE mask_parameters::mask_parameters(const removal& may_go, const unit_table& units) {
  for (std::size_t layer = 0; layer < may_go.layers.size(); ++layer) {
    for (const std::size_t neuron : may_go.layers[layer].neurons) {
      all_.push_back({.unit = units.first(unit_kind::neuron, layer) + neuron});
    }
    for (const std::size_t head : may_go.layers[layer].heads) {
      all_.push_back({.unit = units.first(unit_kind::head, layer) + head});
    }
  }
}

template <class T>
void mask_parameters::set_factors(const unit_table& units, unit_gates<T>& gates) const {
  for (const parameter& each : all_) {
    const unit what = units[each.unit];
    auto& layer = gates.layers[what.layer];
    (what.kind == unit_kind::head ? layer.heads : layer.neurons)[what.index] = each.logit > 0 ? T{1} : T{0};
  }
}

OPTSCOPE_INLINE void mask_parameters::update(const std::vector<double>& slope, std::size_t step,
                                             const mask_settings& how) {
  const double count = static_cast<double>(step + 1);
  const double rate = how.rate * (1 - static_cast<double>(step) / static_cast<double>(how.steps));
  const std::size_t averaged = how.steps - how.steps * 2 / 3;
  for (parameter& p : all_) {
    const double there = 1 / (1 + std::exp(-p.logit)), gradient = slope[p.unit] * there * (1 - there);
    p.first += 0.1 * (gradient - p.first);
    p.second += 0.001 * (gradient * gradient - p.second);
    p.logit -=
        rate * p.first / (1 - std::pow(0.9, count)) / (std::sqrt(p.second / (1 - std::pow(0.999, count))) + 1e-8);
    if (step + averaged >= how.steps) p.mean += p.logit / static_cast<double>(averaged);
  }
}

OPTSCOPE_INLINE std::vector<double> mask_parameters::score(std::size_t units) const {
  std::vector<double> result(units, std::numeric_limits<double>::quiet_NaN());
  for (const parameter& each : all_) result[each.unit] = -each.mean;
  return result;
}

template <class T>
unit_gates<T> gates_for(const removal& may_go, const architecture& shape) {
  unit_gates<T> gates{shape};
  const std::size_t width = shape.head_dim();
  for (std::size_t layer = 0; layer < may_go.layers.size(); ++layer) {
    const layer_removal& what = may_go.layers[layer];
    auto& gate = gates.layers[layer];
    for (std::size_t i = 0; i < what.neuron_values.size(); ++i) {
      gate.neuron_values[what.neurons[i]] = static_cast<T>(what.neuron_values[i]);
    }
    for (std::size_t i = 0; i < what.head_values.size(); ++i) {
      gate.head_values[what.heads[i / width] * width + i % width] = static_cast<T>(what.head_values[i]);
    }
  }
  return gates;
}

template <class T>
void add_slopes(tensor_view<const T, 2> a, tensor_view<const T, 2> g, const std::vector<T>& values, std::size_t width,
                std::size_t first, std::vector<double>& slope) {
  std::vector<double> column(a.cols());
  const T* const v = values.data();
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < a.rows(); ++i) {
      const T *const active = a.row(i).data(), *const gradient = g.row(i).data();
      for (std::size_t d = 0; d < a.cols(); ++d) column[d] += static_cast<double>((active[d] - v[d]) * gradient[d]);
    }
  });
  for (std::size_t d = 0; d < a.cols(); ++d) slope[first + d / width] += column[d];
}

#ifdef OPTSCOPE_COMPILED
template double turn_kept<float>(const token_list&, double, tensor_view<float, 2>, tensor_view<float, 2>);
template double turn_kept<double>(const token_list&, double, tensor_view<double, 2>, tensor_view<double, 2>);
template void turn_start<float>(const token_list&, std::size_t, const turning_loss&, tensor_view<float, 2>);
template void turn_start<double>(const token_list&, std::size_t, const turning_loss&, tensor_view<double, 2>);
template void mask_parameters::set_factors<float>(const unit_table&, unit_gates<float>&) const;
template void mask_parameters::set_factors<double>(const unit_table&, unit_gates<double>&) const;
template unit_gates<float> gates_for<float>(const removal&, const architecture&);
template unit_gates<double> gates_for<double>(const removal&, const architecture&);
template void add_slopes<float>(tensor_view<const float, 2>, tensor_view<const float, 2>, const std::vector<float>&,
                                std::size_t, std::size_t, std::vector<double>&);
template void add_slopes<double>(tensor_view<const double, 2>, tensor_view<const double, 2>, const std::vector<double>&,
                                 std::size_t, std::size_t, std::vector<double>&);
#endif

}  // namespace optscope::detail
