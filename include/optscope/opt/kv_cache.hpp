// SPDX-License-Identifier: MIT
#pragma once
// Keys and values of tokens that a model has seen, so that new tokens behind them cost only themselves.

#include <algorithm>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/tensor.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// The keys and values of each layer, text by text. A run of a model with a cache takes its tokens as those that follow
/// the cached ones, and adds them:
///
///     kv_cache<float> cache;
///     opt.run({{2, 100, 7}}, cache);                     // positions 0 to 2
///     opt.run({{31}}, cache, probe);                     // position 3
///     cache.truncate(0, 3);                              // as if the last run had not been
///     auto logits = opt.next_logits({{32}}, cache);      // (text, vocabulary)
///
/// Takes 2 x layers x hidden scalars a token. An empty cache becomes that of the first run's model and number of texts.
template <class T>
class kv_cache {
 public:
  kv_cache() = default;
  kv_cache(const architecture& shape, std::size_t texts) { prepare(shape, texts); }

  [[nodiscard]] std::size_t texts() const noexcept { return texts_.size(); }
  /// Tokens of a text that are cached.
  [[nodiscard]] std::size_t length(std::size_t text) const { return texts_.at(text).length; }

  /// (token, hidden) Keys of a text in a layer.
  [[nodiscard]] tensor_view<const T, 2> keys(std::size_t layer, std::size_t text) const {
    return rows(layer, text, 0, length(text));
  }
  /// (token, hidden) Values of a text in a layer.
  [[nodiscard]] tensor_view<const T, 2> values(std::size_t layer, std::size_t text) const {
    return rows(layer, text, 1, length(text));
  }

  /// Makes room for so many tokens of a text; what is cached stays.
  void reserve(std::size_t text, std::size_t tokens) {
    entry& at = texts_.at(text);
    if (tokens > at.capacity) move_to(at, tokens);
  }
  /// Forgets the tokens of a text from position `length`.
  void truncate(std::size_t text, std::size_t length) {
    texts_.at(text).length = std::min(texts_.at(text).length, length);
  }
  /// Forgets every text, the model too.
  void clear() noexcept { texts_.clear(); }

  /// False if the cache belongs to another shape or number of texts; an empty one fits all.
  [[nodiscard]] bool fits(const architecture& shape, std::size_t texts) const noexcept {
    return texts_.empty() || (layers_ == shape.layers && hidden_ == shape.hidden && texts_.size() == texts);
  }
  /// Makes an empty cache that of a model and a number of texts.
  void prepare(const architecture& shape, std::size_t texts) {
    if (!texts_.empty()) return;
    layers_ = shape.layers;
    hidden_ = shape.hidden;
    texts_.resize(texts);
  }
  /// For `forward_pass`: room for `more` tokens behind the cached ones, by doubling.
  void make_room(std::size_t text, std::size_t more) {
    const entry& at = texts_.at(text);
    const std::size_t needed = at.length + more;
    if (needed > at.capacity) reserve(text, at.capacity == 0 ? needed : std::max(needed, 2 * at.capacity));
  }
  /// For `forward_pass`: copies keys and values (token, hidden, or less in a layer with fewer heads) behind the cached
  /// ones and gives all of them. They count only after `advance`, so that a run that fails leaves the cache as it was.
  std::pair<tensor_view<const T, 2>, tensor_view<const T, 2>> append(std::size_t layer, std::size_t text,
                                                                     tensor_view<const T, 2> k,
                                                                     tensor_view<const T, 2> v) {
    const std::size_t before = length(text), all = before + k.rows();
    for (std::size_t row = 0; row < k.rows(); ++row) {
      std::ranges::copy(k.row(row), begin(layer, text, 0) + (before + row) * hidden_);
      std::ranges::copy(v.row(row), begin(layer, text, 1) + (before + row) * hidden_);
    }
    const auto whole = [&](std::size_t which) {
      return tensor_view<const T, 2>{begin(layer, text, which), {all, k.cols()}, hidden_};
    };
    return {whole(0), whole(1)};
  }
  /// For `forward_pass`: the appended tokens count from now on.
  void advance(std::size_t text, std::size_t tokens) { texts_.at(text).length += tokens; }

 private:
  struct entry {
    std::size_t length = 0, capacity = 0;
    std::vector<T> data;  // (layer, keys or values, token up to capacity, hidden)
  };

  T* begin(std::size_t layer, std::size_t text, std::size_t which) {
    entry& at = texts_.at(text);
    return at.data.data() + (2 * layer + which) * at.capacity * hidden_;
  }
  [[nodiscard]] tensor_view<const T, 2> rows(std::size_t layer, std::size_t text, std::size_t which,
                                             std::size_t count) const {
    const entry& at = texts_.at(text);
    return {at.data.data() + (2 * layer + which) * at.capacity * hidden_, {count, hidden_}};
  }

  void move_to(entry& at, std::size_t capacity) const {
    std::vector<T> larger(2 * layers_ * capacity * hidden_);
    for (std::size_t part = 0; part < 2 * layers_; ++part) {
      std::copy_n(at.data.begin() + part * at.capacity * hidden_, at.length * hidden_,
                  larger.begin() + part * capacity * hidden_);
    }
    at.data = std::move(larger);
    at.capacity = capacity;
  }

  std::size_t layers_ = 0, hidden_ = 0;
  std::vector<entry> texts_;
};

}  // namespace optscope
