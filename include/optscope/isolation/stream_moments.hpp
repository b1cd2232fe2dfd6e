// SPDX-License-Identifier: MIT
#pragma once
// A probe for mean and covariance of the residual stream in each category of text, layer by layer.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/units/category_windows.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// First and second moments of `resid_pre` by category, for all layers but the first, whose input is the embedding, and
/// all positions but the first. In double. Memory: layers x categories x hidden² numbers; cost: hidden² operations per
/// token and layer.
class stream_moments {
 public:
  using sites = site_list<site::resid_pre>;

  stream_moments(const architecture& shape, std::size_t categories, thread_pool& pool);

  /// Says which categories the texts of the next run have: [text].
  void expect(std::vector<std::size_t> categories) { categories_ = std::move(categories); }

  [[nodiscard]] bool wants(site::resid_pre, std::size_t layer) const { return layer > 0; }
  void operator()(site::resid_pre, const place& at, tensor_view<const float, 2> rows);

  /// Adds the moments of other texts of the same model and categories.
  void add(const stream_moments& other);

  [[nodiscard]] std::size_t layers() const noexcept { return of_.size(); }
  [[nodiscard]] std::size_t hidden() const noexcept { return hidden_; }
  [[nodiscard]] std::size_t categories() const noexcept { return of_.back().size(); }
  /// Tokens that a category's moments were computed from.
  [[nodiscard]] double tokens(std::size_t category) const { return of_.back()[category].count; }
  /// (hidden)
  [[nodiscard]] std::vector<double> mean(std::size_t layer, std::size_t category) const;
  /// Adds `weight` times the mean of (x - point)(x - point)ᵀ to `to`: (hidden, hidden).
  void add_spread(std::size_t layer, std::size_t category, std::span<const double> point, double weight,
                  tensor<double, 2>& to) const;

 private:
  struct moments {
    double count = 0;
    std::vector<double> sum{};     // (hidden)
    tensor<double, 2> products{};  // (hidden, hidden), the lower triangle
  };

  thread_pool* pool_;
  std::size_t hidden_;
  std::vector<std::vector<moments>> of_;  // [layer][category]; empty for layer 0
  std::vector<std::size_t> categories_;   // [text]
  tensor<double, 2> rows_;
};

/// The moments of two halves of `texts` [category][text]: every second window of at most 256 tokens. The only window of
/// a category is in both halves. Costs one run over the texts.
template <class Model>
[[nodiscard]] std::array<stream_moments, 2> stream_moments_of(Model& opt, const category_texts& texts,
                                                              std::optional<token_id> bos) {
  constexpr std::size_t length = 256, together = 32;
  const stream_moments none{opt.shape(), texts.size(), opt.backend().pool()};
  std::array<stream_moments, 2> halves{none, none};
  const std::vector<std::vector<window>> windows =
      windows_by_category(texts, std::min(length, opt.shape().max_positions), bos);
  for (std::size_t c = 0; c < windows.size(); ++c) {
    for (const std::size_t half : {0, 1}) {
      token_batch batch;
      const auto run = [&] {
        halves[half].expect(std::vector<std::size_t>(batch.size(), c));
        opt.run(std::exchange(batch, {}), halves[half]);
      };
      const std::size_t first = windows[c].size() == 1 ? 0 : half;
      for (std::size_t i = first; i < windows[c].size(); i += 2) {
        batch.push_back(windows[c][i].tokens);
        if (batch.size() == together) run();
      }
      if (!batch.empty()) run();
    }
  }
  return halves;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/stream_moments.ipp>
#endif
