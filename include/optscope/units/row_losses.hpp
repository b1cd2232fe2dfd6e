// SPDX-License-Identifier: MIT
#pragma once
// The loss of tokens from rows of the last stream, many at once.

#include <algorithm>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/probabilities.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Collects rows of the last layer's `resid_post` with the token that follows each, and computes all losses in large
/// products.
template <class Model>
class row_losses {
 public:
  using T = typename Model::scalar;

  explicit row_losses(Model& opt) : opt_{opt} {}

  /// Asks for the loss of `next` after `row` (hidden); `measure` writes it to `to`.
  void want(std::span<const T> row, token_id next, double& to) {
    rows_.insert(rows_.end(), row.begin(), row.end());
    wanted_.push_back({next, &to});
  }

  /// Computes what was asked for.
  void measure() {
    const std::size_t most = std::max<std::size_t>(64, (std::size_t{1} << 23) / opt_.shape().vocabulary);  // at a time
    const tensor_view<const T, 2> rows{rows_.data(), {wanted_.size(), opt_.shape().hidden}};
    for (std::size_t begin = 0; begin < wanted_.size(); begin += most) {
      const std::size_t count = std::min(most, wanted_.size() - begin);
      const tensor<T, 2> logits = opt_.logits_of(rows.slice(begin, count));
      opt_.backend().pool().parallel_for(count, [&](std::size_t i, std::size_t) {
        const std::span<const T> row = logits.row(i);
        const auto [next, to] = wanted_[begin + i];
        *to = log_sum_exp(row) - static_cast<double>(row[static_cast<std::size_t>(next)]);
      });
    }
    rows_.clear();
    wanted_.clear();
  }

  /// Multiplications that one row costs.
  [[nodiscard]] double cost() const { return static_cast<double>(opt_.shape().vocabulary * opt_.shape().embed_dim); }

 private:
  struct wanted_loss {
    token_id next;
    double* to;
  };

  Model& opt_;
  std::vector<T> rows_;              // (row, hidden)
  std::vector<wanted_loss> wanted_;  // [row]
};

}  // namespace optscope
