// SPDX-License-Identifier: MIT
#pragma once
// Keys and values of tokens that a model has seen, so that a run over the tokens that follow costs only those.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optscope/backend/host_backend.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// What a cache knows of its texts, in whatever memory their keys and values are.
class cached_texts {
 public:
  [[nodiscard]] std::size_t texts() const noexcept { return lengths_.size(); }
  [[nodiscard]] std::size_t layers() const noexcept { return layers_; }
  [[nodiscard]] std::size_t hidden() const noexcept { return hidden_; }
  /// Number of cached tokens of a text.
  [[nodiscard]] std::size_t length(std::size_t text) const { return lengths_.at(text); }
  /// Forgets the tokens of a text from position `length` on.
  void truncate(std::size_t text, std::size_t length);
  /// False if the cache belongs to another shape or number of texts; an empty one fits all.
  [[nodiscard]] bool fits(const architecture& shape, std::size_t texts) const noexcept;
  /// For a run: the appended tokens count from now on.
  void advance(std::size_t text, std::size_t tokens) { lengths_.at(text) += tokens; }

 protected:
  std::size_t layers_ = 0, hidden_ = 0;
  std::vector<std::size_t> lengths_;  // [text]
};

/// The keys and values of each layer, text by text, in the memory of the model's backend. The tokens of a run with a
/// cache follow the cached ones, and are added to them:
///
///     kv_cache<float> cache;                             // `model<…>::cache_type` for any backend
///     opt.run({{2, 100, 7}}, cache);                     // positions 0 to 2
///     opt.run({{31}}, cache, probe);                     // position 3
///     cache.truncate(0, 3);                              // as if the last run had not been
///     auto logits = opt.next_logits({{32}}, cache);      // (text, vocabulary)
///
/// Takes 2 x layers x hidden scalars per token. The first run ties an empty cache to its model and number of texts.
template <class T, class Space = host_memory>
class kv_cache : public cached_texts {
 public:
  using rows_view = tensor_view<const T, 2, Space>;

  kv_cache() = default;
  kv_cache(const architecture& shape, std::size_t texts) { prepare(shape, texts); }

  /// Keys of a text in a layer: (token, hidden).
  [[nodiscard]] rows_view keys(std::size_t layer, std::size_t text) const {
    return {begin(layer, text, 0), {length(text), hidden_}};
  }
  /// Values of a text in a layer: (token, hidden).
  [[nodiscard]] rows_view values(std::size_t layer, std::size_t text) const {
    return {begin(layer, text, 1), {length(text), hidden_}};
  }

  /// Makes room for this many tokens of a text; what is cached stays.
  void reserve(std::size_t text, std::size_t tokens)
    requires(Space::host)
  {
    const host_backend host;
    reserve(host, text, tokens);
  }
  template <class Backend>
  void reserve(Backend& backend, std::size_t text, std::size_t tokens) {
    entry& at = texts_.at(text);
    if (tokens <= at.capacity) return;
    typename Space::template buffer<T> larger = backend.template allocate<T>(2 * layers_ * tokens * hidden_);
    const std::size_t filled = length(text) * hidden_;
    if (filled != 0) {  // one row for the keys or values of a layer
      backend.copy(tensor_view<const T, 2, Space>{at.data.data(), {2 * layers_, filled}, at.capacity * hidden_},
                   tensor_view<T, 2, Space>{larger.data(), {2 * layers_, filled}, tokens * hidden_});
    }
    at = {.capacity = tokens, .data = std::move(larger)};
  }
  /// Forgets every text and the model.
  void clear() noexcept {
    lengths_.clear();
    texts_.clear();
  }

  /// Ties an empty cache to a model's shape and a number of texts; does nothing to one that is tied already.
  void prepare(const architecture& shape, std::size_t texts) {
    if (!texts_.empty()) return;
    layers_ = shape.layers;
    hidden_ = shape.hidden;
    texts_.resize(texts);
    lengths_.resize(texts);
  }
  /// For a run: room for `more` tokens after the cached ones, by doubling.
  template <class Backend>
  void make_room(Backend& backend, std::size_t text, std::size_t more) {
    const std::size_t capacity = texts_.at(text).capacity, needed = length(text) + more;
    if (needed > capacity) reserve(backend, text, capacity == 0 ? needed : std::max(needed, 2 * capacity));
  }
  /// For a run: copies keys and values (token, hidden, or less in a layer with fewer heads) after the cached ones, and
  /// returns all keys and all values. The new ones count only after `advance`, so that a run that fails leaves the
  /// cache as it was.
  template <class Backend>
  std::pair<rows_view, rows_view> append(Backend& backend, std::size_t layer, std::size_t text, rows_view k,
                                         rows_view v) {
    const std::size_t before = length(text), all = before + k.rows();
    const tensor_view<T, 2, Space> keys{begin(layer, text, 0), {all, k.cols()}, hidden_};
    const tensor_view<T, 2, Space> values{begin(layer, text, 1), {all, v.cols()}, hidden_};
    backend.copy(k, keys.slice(before, k.rows()));
    backend.copy(v, values.slice(before, v.rows()));
    return {keys, values};
  }

 private:
  struct entry {
    std::size_t capacity = 0;                   // tokens
    typename Space::template buffer<T> data{};  // (layer, keys or values, token up to capacity, hidden)
  };

  [[nodiscard]] std::size_t offset(std::size_t layer, std::size_t text, std::size_t which) const {
    return (2 * layer + which) * texts_.at(text).capacity * hidden_;
  }
  auto begin(std::size_t layer, std::size_t text, std::size_t which) {
    return texts_.at(text).data.data() + offset(layer, text, which);
  }
  auto begin(std::size_t layer, std::size_t text, std::size_t which) const {
    return texts_.at(text).data.data() + offset(layer, text, which);
  }

  std::vector<entry> texts_;
};

namespace detail {
/// Everything but a cache. A type without `sites` is refused in a sentence later.
template <class Probe>
concept probe_argument = lists_sites<Probe> || !std::derived_from<std::remove_cvref_t<Probe>, cached_texts>;
}  // namespace detail

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/kv_cache.ipp>
#endif
