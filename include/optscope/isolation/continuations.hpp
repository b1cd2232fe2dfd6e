// SPDX-License-Identifier: MIT
#pragma once
// What a model makes of texts: the loss of each.

#include <cstddef>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/probabilities.hpp>
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

  /// Nats of one text: the sum over its tokens but the first.
  [[nodiscard]] double nats(std::size_t text) const { return sum_[text]; }

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

}  // namespace optscope
