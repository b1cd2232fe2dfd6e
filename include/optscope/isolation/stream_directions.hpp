// SPDX-License-Identifier: MIT
#pragma once
// Directions of the stream in which other categories of text lie far from one that is kept, layer by layer.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/products.hpp>
#include <optscope/spectrum/symmetric_pair.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// First and second moments of `resid_pre` by category, of all layers but the first, whose input is the embedding, and
/// all positions but the first. In double; layers x categories x hidden² of them, hidden² operations a token and layer.
class stream_moments {
 public:
  using sites = site_list<site::resid_pre>;

  stream_moments(const architecture& shape, std::size_t categories, thread_pool& pool)
      : pool_{&pool}, hidden_{shape.hidden}, of_(shape.layers) {
    for (std::size_t layer = 1; layer < shape.layers; ++layer) {
      of_[layer].resize(categories, {0, std::vector<double>(hidden_), tensor<double, 2>{{hidden_, hidden_}}});
    }
  }

  /// The categories of the texts of the next run.
  void expect(std::vector<std::size_t> categories) { categories_ = std::move(categories); }

  [[nodiscard]] bool wants(site::resid_pre, std::size_t layer) const { return layer > 0; }
  void operator()(site::resid_pre, const place& at, tensor_view<const float, 2> rows) {  // (position, hidden)
    moments& own = of_[at.layer][categories_[at.text]];
    const std::size_t first = at.first_position == 0 ? 1 : 0;
    if (rows.rows() <= first) return;
    rows_.resize({rows.rows() - first, hidden_});
    for (std::size_t i = first; i < rows.rows(); ++i) {
      std::ranges::copy(rows.row(i), rows_.row(i - first).begin());
      for (std::size_t j = 0; j < hidden_; ++j) own.sum[j] += static_cast<double>(rows(i, j));
    }
    own.count += static_cast<double>(rows_.rows());
    product::for_rows(*pool_, hidden_, [&](std::size_t begin, std::size_t count, std::size_t) {
      const tensor_view<double, 2> lower{own.products.row(begin).data(), {count, begin + count}, hidden_};
      product::atb<double>(product::columns(rows_.view(), begin, count),
                           product::columns(rows_.view(), 0, begin + count), lower, 1, 1);
    });
  }

  void add(const stream_moments& other) {
    for (std::size_t layer = 1; layer < of_.size(); ++layer) {
      for (std::size_t c = 0; c < of_[layer].size(); ++c) {
        moments& own = of_[layer][c];
        const moments& more = other.of_[layer][c];
        own.count += more.count;
        for (std::size_t j = 0; j < hidden_; ++j) own.sum[j] += more.sum[j];
        for (std::size_t j = 0; j < own.products.size(); ++j) own.products.data()[j] += more.products.data()[j];
      }
    }
  }

  [[nodiscard]] std::size_t layers() const noexcept { return of_.size(); }
  [[nodiscard]] std::size_t hidden() const noexcept { return hidden_; }
  [[nodiscard]] std::size_t categories() const noexcept { return of_.back().size(); }
  /// Tokens that a category's moments are of.
  [[nodiscard]] double tokens(std::size_t category) const { return of_.back()[category].count; }
  /// (hidden)
  [[nodiscard]] std::vector<double> mean(std::size_t layer, std::size_t category) const {
    std::vector<double> result = of_[layer][category].sum;
    for (double& each : result) each /= of_[layer][category].count;
    return result;
  }
  /// Mean of (x - point)(x - point)ᵀ: (hidden, hidden), added to `to` with a weight.
  void add_spread(std::size_t layer, std::size_t category, std::span<const double> point, double weight,
                  tensor<double, 2>& to) const {
    const moments& own = of_[layer][category];
    const std::vector<double> centre = mean(layer, category);
    for (std::size_t i = 0; i < hidden_; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        const double value = weight * (own.products(i, j) / own.count - centre[i] * centre[j] +
                                       (centre[i] - point[i]) * (centre[j] - point[j]));
        to(i, j) += value;
        if (i != j) to(j, i) += value;
      }
    }
  }

 private:
  struct moments {
    double count = 0;
    std::vector<double> sum;     // (hidden)
    tensor<double, 2> products;  // (hidden, hidden), the lower triangle
  };

  thread_pool* pool_;
  std::size_t hidden_;
  std::vector<std::vector<moments>> of_;  // [layer][category]; none of layer 0
  std::vector<std::size_t> categories_;   // [text]
  tensor<double, 2> rows_;
};

/// The moments of two halves of texts [category][text], every second window of at most 256 tokens; a single one of a
/// category is in both.
template <class Model>
[[nodiscard]] std::array<stream_moments, 2> stream_moments_of(Model& opt,
                                                              const std::vector<std::vector<token_list>>& texts,
                                                              std::optional<token_id> bos) {
  constexpr std::size_t length = 256, together = 32;
  const stream_moments none{opt.shape(), texts.size(), opt.backend().pool()};
  std::array<stream_moments, 2> halves{none, none};
  for (std::size_t c = 0; c < texts.size(); ++c) {
    token_batch all;
    for (const token_list& text : texts[c]) {
      for (window& each : windows_of(text, std::min(length, opt.shape().max_positions), bos)) {
        all.push_back(std::move(each.tokens));
      }
    }
    for (std::size_t half = 0; half < 2; ++half) {
      token_batch batch;
      const auto run = [&] {
        halves[half].expect(std::vector<std::size_t>(batch.size(), c));
        opt.run(std::exchange(batch, {}), halves[half]);
      };
      for (std::size_t i = all.size() == 1 ? 0 : half; i < all.size(); i += 2) {
        batch.push_back(all[i]);
        if (batch.size() == together) run();
      }
      if (!batch.empty()) run();
    }
  }
  return halves;
}

/// All directions of the stream into one layer, those first along which the other categories' texts lie farthest from
/// the kept one's mean, measured by its own spread.
struct layer_directions {
  std::vector<double> ratio;                  ///< [direction]: mean square of the others over variance of the kept one
  std::shared_ptr<const stream_basis> basis;  ///< `bias` is the kept category's mean
};

/// Generalised eigenvectors of A v = λ B v, λ descending: B the kept category's covariance, with 1e-3 of its mean
/// variance added on the diagonal, A the second moments of the others about its mean, each category counting once. An
/// erased direction (x -= B v vᵀ (x - m)) leaves those uncorrelated with it, in the kept category, as they are. Throws
/// `bad_input` if the kept category's stream is the same everywhere.
[[nodiscard]] inline layer_directions directions_of(const stream_moments& moments, std::size_t layer,
                                                    std::size_t kept) {
  const std::size_t hidden = moments.hidden();
  const std::vector<double> mean = moments.mean(layer, kept);
  tensor<double, 2> own{{hidden, hidden}}, others{{hidden, hidden}};
  moments.add_spread(layer, kept, mean, 1, own);
  for (std::size_t c = 0; c < moments.categories(); ++c) {
    if (c != kept) moments.add_spread(layer, c, mean, 1 / static_cast<double>(moments.categories() - 1), others);
  }
  double variance = 0;
  for (std::size_t i = 0; i < hidden; ++i) variance += own(i, i) / static_cast<double>(hidden);
  if (!(variance > 0)) {
    throw bad_input{"", "directions of the stream into layer " + std::to_string(layer), "texts of which it varies",
                    "a variance of " + std::to_string(variance)};
  }
  for (std::size_t i = 0; i < hidden; ++i) own(i, i) += 1e-3 * variance;
  const pair_vectors found = eigenvectors_of_pair(others, own);
  tensor<double, 2> left{{hidden, hidden}};
  product::ab<double>(found.rows, own, left.view());
  return {found.values, std::make_shared<const stream_basis>(stream_basis{
                            rounded<float>(left), rounded<float>(found.rows), {mean.begin(), mean.end()}})};
}

/// The directions of every layer but the first, of which there are none.
///
///     auto halves = stream_moments_of(opt, texts, words.bos());  // texts [category][text]
///     halves[0].add(halves[1]);
///     const std::vector<layer_directions> all = directions_of(halves[0], kept);
///     const unit_table units{opt.shape(), opt.shape().hidden};
///     const std::vector<std::size_t> one{units.first(unit_kind::direction, 6)};  // the first into layer 6
///     direction_edits edits = direction_edits_of(removal_of(one, units, all));
///     generate(opt, prompts, {}, edits);
[[nodiscard]] inline std::vector<layer_directions> directions_of(const stream_moments& moments, std::size_t kept) {
  std::vector<layer_directions> result(1);
  for (std::size_t layer = 1; layer < moments.layers(); ++layer) {
    result.push_back(directions_of(moments, layer, kept));
  }
  return result;
}

/// The removal of these units, which are directions of `all` [layer].
[[nodiscard]] inline removal removal_of(std::span<const std::size_t> numbers, const unit_table& units,
                                        const std::vector<layer_directions>& all) {
  std::vector<std::size_t> sorted(numbers.begin(), numbers.end());
  std::ranges::sort(sorted);
  removal result;
  result.layers.resize(units.layers());
  for (const std::size_t number : sorted) {
    layer_removal& layer = result.layers[units[number].layer];
    layer.directions.push_back(units[number].index);
    layer.basis = all[units[number].layer].basis;
  }
  return result;
}

/// How much of the directions that two removals take out is the same: what their spans share over all that one of them
/// has, summed over layers. In coordinates in which the kept category's stream has the covariance 1, those of `whole`.
[[nodiscard]] inline double overlap(const removal& a, const removal& b, const std::vector<layer_directions>& whole) {
  double shared = 0;
  const auto spanned = [&](const layer_removal& gone, const stream_basis& by) {
    const std::size_t count = gone.directions.size(), width = by.bias.size();
    tensor<double, 2> rows{{count, width}}, result{{count, width}}, coordinates{{width, width}};
    for (std::size_t i = 0; i < count; ++i)
      std::ranges::copy(gone.basis->right.row(gone.directions[i]), rows.row(i).begin());
    for (std::size_t i = 0; i < width; ++i) std::ranges::copy(by.left.row(i), coordinates.row(i).begin());
    product::abt<double>(rows, coordinates, result.view());
    return result;
  };
  for (std::size_t layer = 0; layer < a.layers.size(); ++layer) {
    if (a.layers[layer].directions.empty() || b.layers[layer].directions.empty()) continue;
    const stream_basis& by = *whole[layer].basis;
    for (const double angle : principal_angles(spanned(a.layers[layer], by), spanned(b.layers[layer], by))) {
      shared += std::cos(angle) * std::cos(angle);
    }
  }
  const double all = static_cast<double>(a.directions() + b.directions()) - shared;
  return all == 0 ? 1 : shared / all;
}

}  // namespace optscope
