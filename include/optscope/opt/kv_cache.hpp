// SPDX-License-Identifier: MIT
#pragma once
// Keys and values of tokens that a model has seen, so that a run over the tokens that follow costs only those.

#include <concepts>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/tensor.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// The keys and values of each layer, text by text. The tokens of a run with a cache follow the cached ones, and are
/// added to them:
///
///     kv_cache<float> cache;
///     opt.run({{2, 100, 7}}, cache);                     // positions 0 to 2
///     opt.run({{31}}, cache, probe);                     // position 3
///     cache.truncate(0, 3);                              // as if the last run had not been
///     auto logits = opt.next_logits({{32}}, cache);      // (text, vocabulary)
///
/// Takes 2 x layers x hidden scalars per token. The first run ties an empty cache to its model and number of texts.
template <class T>
class kv_cache {
 public:
  kv_cache() = default;
  kv_cache(const architecture& shape, std::size_t texts) { prepare(shape, texts); }

  [[nodiscard]] std::size_t texts() const noexcept { return texts_.size(); }
  [[nodiscard]] std::size_t layers() const noexcept { return layers_; }
  [[nodiscard]] std::size_t hidden() const noexcept { return hidden_; }
  /// Number of cached tokens of a text.
  [[nodiscard]] std::size_t length(std::size_t text) const { return texts_.at(text).length; }

  /// Keys of a text in a layer: (token, hidden).
  [[nodiscard]] tensor_view<const T, 2> keys(std::size_t layer, std::size_t text) const;
  /// Values of a text in a layer: (token, hidden).
  [[nodiscard]] tensor_view<const T, 2> values(std::size_t layer, std::size_t text) const;

  /// Makes room for this many tokens of a text; what is cached stays.
  void reserve(std::size_t text, std::size_t tokens);
  /// Forgets the tokens of a text from position `length` on.
  void truncate(std::size_t text, std::size_t length);
  /// Forgets every text and the model.
  void clear() noexcept { texts_.clear(); }

  /// False if the cache belongs to another shape or number of texts; an empty one fits all.
  [[nodiscard]] bool fits(const architecture& shape, std::size_t texts) const noexcept;
  /// Ties an empty cache to a model's shape and a number of texts; does nothing to one that is tied already.
  void prepare(const architecture& shape, std::size_t texts);
  /// For a run: room for `more` tokens after the cached ones, by doubling.
  void make_room(std::size_t text, std::size_t more);
  /// For a run: copies keys and values (token, hidden, or less in a layer with fewer heads) after the cached ones, and
  /// returns all keys and all values. The new ones count only after `advance`, so that a run that fails leaves the
  /// cache as it was.
  std::pair<tensor_view<const T, 2>, tensor_view<const T, 2>> append(std::size_t layer, std::size_t text,
                                                                     tensor_view<const T, 2> k,
                                                                     tensor_view<const T, 2> v);
  /// For a run: the appended tokens count from now on.
  void advance(std::size_t text, std::size_t tokens) { texts_.at(text).length += tokens; }

 private:
  struct entry {
    std::size_t length = 0, capacity = 0;
    std::vector<T> data;  // (layer, keys or values, token up to capacity, hidden)
  };

  T* begin(std::size_t layer, std::size_t text, std::size_t which);
  [[nodiscard]] tensor_view<const T, 2> rows(std::size_t layer, std::size_t text, std::size_t which) const;
  void move_to(entry& at, std::size_t capacity) const;

  std::size_t layers_ = 0, hidden_ = 0;
  std::vector<entry> texts_;
};

namespace detail {
/// Everything but a cache. A type without `sites` is refused in a sentence later.
template <class Probe, class T>
concept probe_argument = lists_sites<Probe> || !std::same_as<std::remove_cvref_t<Probe>, kv_cache<T>>;
}  // namespace detail

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/kv_cache.ipp>
#endif
