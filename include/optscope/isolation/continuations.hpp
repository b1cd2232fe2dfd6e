// SPDX-License-Identifier: MIT
#pragma once
// What a model makes of texts and prompts: loss of every text, continuations of many prompts at once.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optscope/core/probe.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/probabilities.hpp>
#include <optscope/opt/sampling.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Log-probability of every next token: a probe of `logits`.
class next_token_loss {
 public:
  using sites = site_list<site::logits>;

  explicit next_token_loss(const token_batch& texts) : texts_{texts}, sum_(texts.size()) {}

  void operator()(site::logits, const place& at, tensor_view<const float, 2> rows) {
    const token_list& text = texts_[at.text];
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      const std::size_t next = at.first_position + i + 1;
      if (next >= text.size()) continue;
      const auto row = rows.row(i);
      sum_[at.text] += log_sum_exp(row) - static_cast<double>(row[static_cast<std::size_t>(text[next])]);
    }
  }

  /// Nats a token over the texts chosen.
  template <class Chosen>
  [[nodiscard]] double mean(Chosen chosen) const {
    double sum = 0, count = 0;
    for (std::size_t t = 0; t < texts_.size(); ++t) {
      if (!chosen(t)) continue;
      sum += sum_[t];
      count += static_cast<double>(texts_[t].size() - 1);
    }
    return sum / count;
  }

 private:
  const token_batch& texts_;
  std::vector<double> sum_;  // [text]
};

/// An editor that adds the same to the logits of every position: what is left of a removal if it only shifts the
/// output.
struct logit_shift {
  using sites = site_list<site::logits>;
  std::vector<float> by;  // (vocabulary)

  void operator()(site::logits, const place&, tensor_view<float, 2> rows) const {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      for (std::size_t id = 0; id < by.size(); ++id) rows(i, id) += by[id];
    }
  }
};

/// What continuations are wanted.
struct continuing {
  std::size_t count = 40;                             ///< tokens of each
  sampling how{};                                     ///< prompt i draws with seed `how.seed` + i
  std::size_t tokens = static_cast<std::size_t>(-1);  ///< ids from here on have no token
  std::vector<bool> banned{};                         ///< [id]: never written, such as the end of a text
  /// True for a continuation so far that need not go on; asked after every eighth token. Called by several threads.
  std::function<bool(const token_list&)> enough{};
};

namespace detail {
/// The loop of `continuations`; `stream` null: the prompts are run from the embedding on.
template <class Model, class... Probes>
token_batch continuations(Model& opt, const token_batch& prompts, const continuing& wanted,
                          kv_cache<typename Model::scalar> cache, std::size_t layer,
                          const tensor_view<const typename Model::scalar, 2>* stream, Probes&... probes) {
  using scalar = typename Model::scalar;
  token_batch result(prompts.size()), next = prompts;
  std::vector<sampler> samplers;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    sampling own = wanted.how;
    own.seed += i;
    samplers.emplace_back(own);
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) cache.reserve(i, prompts[i].size() + wanted.count);
  const auto goes_on = [](const token_list& text) { return !text.empty(); };
  for (std::size_t step = 1; step <= wanted.count && std::any_of(next.begin(), next.end(), goes_on); ++step) {
    const tensor<scalar, 2> logits = step == 1 ? opt.next_step(next, cache, false, layer, stream, probes...)
                                               : opt.next_step(next, cache, true, 0, nullptr, probes...);
    opt.backend().pool().parallel_for(prompts.size(), [&](std::size_t i, std::size_t) {
      if (next[i].empty()) return;
      const token_id id = samplers[i](logits.row(i), wanted.tokens, wanted.banned);
      result[i].push_back(id);
      next[i] = {id};
      if (wanted.enough && step % 8 == 0 && wanted.enough(result[i])) next[i].clear();
    });
  }
  (finish(probes), ...);
  return result;
}
}  // namespace detail

/// Continues every prompt, all at once, as `generate` does. One of which there is `enough` leaves the batch.
template <class Model, class... Probes>
[[nodiscard]] token_batch continuations(Model& opt, const token_batch& prompts, const continuing& wanted,
                                        Probes&&... probes) {
  return detail::continuations(opt, prompts, wanted, {opt.shape(), prompts.size()}, 0, nullptr, probes...);
}

/// The same with the prompts run from a layer on, as `generate_from` does.
template <class Model, class... Probes>
[[nodiscard]] token_batch continuations_from(std::size_t layer, tensor_view<const typename Model::scalar, 2> stream,
                                             const kv_cache<typename Model::scalar>& cache, Model& opt,
                                             const token_batch& prompts, const continuing& wanted, Probes&&... probes) {
  return detail::continuations(opt, prompts, wanted, cache, layer, &stream, probes...);
}

}  // namespace optscope
