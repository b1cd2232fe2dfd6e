// SPDX-License-Identifier: MIT
#pragma once
// One run over a batch: takes every text through a layer, then through the next one.

#include <algorithm>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/probe_set.hpp>
#include <optscope/opt/run_state.hpp>
#include <optscope/opt/weights.hpp>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// scale (position, 1) of the rows of x: sqrt(variance + 1e-5), what their LayerNorm divides by.
template <class T>
void layer_norm_scales(tensor_view<const T, 2> x, tensor_view<T, 2> scale);

/// True if a scale is not what `layer_norm_scales` gives for the row.
template <class T>
[[nodiscard]] bool scale_was_edited(tensor_view<const T, 2> x, tensor_view<const T, 2> scale, std::size_t row);

/// y = LayerNorm of x, divided by `scale` instead of its own.
template <class T>
void normalize_row(tensor_view<const T, 2> x, T scale, const norm_weights<T>& weights, tensor_view<T, 2> y,
                   std::size_t row);

/// y = LayerNorm of x; rows whose scale was edited are divided by that, the others keep the bits of the backend. In
/// place allowed.
template <class T, class Backend>
void layer_norm_with_scales(Backend& backend, tensor_view<T, 2> x, const norm_weights<T>& weights,
                            tensor_view<const T, 2> scale, tensor_view<T, 2> y) {
  const auto normalize = [&](std::size_t first, std::size_t last) {
    if (first == last) return;
    backend.layer_norm(tensor_view<const T, 2>{x.slice(first, last - first)}, weights.gamma, weights.beta,
                       y.slice(first, last - first));
  };
  std::size_t done = 0;
  for (std::size_t row = 0; row < x.rows(); ++row) {
    if (!scale_was_edited<T>(x, scale, row)) continue;
    normalize(done, row);
    normalize_row<T>(x, scale(row, 0), weights, y, row);
    done = row + 1;
  }
  normalize(done, x.rows());
}

}  // namespace detail

/// A run: its plan, the stream, and the probes. A block's `prepare` is given it; its call operator a `layer_run`.
template <class T, class Backend, class... Probes>
class forward_pass {
 public:
  using scalar = T;
  using probes_type = probe_set<T, Probes...>;

  /// `cache` may be null; otherwise it must be prepared for the plan. `keep_last`: the last position of each text is
  /// wanted whatever the probes say.
  forward_pass(const run_plan& plan, Backend& backend, kv_cache<T>* cache, bool keep_last, Probes&... probes)
      : state_{plan, backend.row_invariant()},
        backend_{backend},
        cache_{cache},
        keep_last_{keep_last},
        probes_{probes...},
        first_wanted_(plan.lengths.size()) {}

  /// The run's plan; once the last layer has begun, what is computed of each text from there on.
  [[nodiscard]] const run_plan& plan() const noexcept { return state_.plan; }
  [[nodiscard]] const architecture& shape() const noexcept { return state_.plan.shape; }
  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] kv_cache<T>* cache() const noexcept { return cache_; }  ///< null: none
  [[nodiscard]] const std::vector<text_chunk>& chunks() const noexcept { return state_.chunks; }
  [[nodiscard]] std::size_t chunk_rows() const noexcept { return state_.chunk_rows; }  ///< of the largest chunk
  [[nodiscard]] std::size_t longest() const noexcept { return state_.longest; }        ///< tokens of the longest text
  /// Tokens times keys, of the text in which that is most.
  [[nodiscard]] std::size_t square() const noexcept { return state_.square; }
  /// (position of a chunk's texts, hidden).
  [[nodiscard]] tensor_view<T, 2> stream(const text_chunk& chunk) {
    return state_.stream.view().slice(chunk.begin, chunk.rows);
  }
  [[nodiscard]] tensor_view<T, 2> stream() { return state_.stream.view(); }  ///< of all texts

  template <class Site>
  static constexpr bool lists = probes_type::template lists<Site>;
  template <class Site>
  static constexpr bool edits = probes_type::template edits<Site>;

  /// True if a probe wants the site in this layer, or in any.
  template <class Site>
  [[nodiscard]] bool wanted(std::size_t layer) const {
    return probes_.template wants<Site>(layer);
  }
  template <class Site>
  [[nodiscard]] bool wanted_anywhere() const {
    if constexpr (lists<Site>) {
      for (std::size_t layer = 0; layer < shape().layers; ++layer) {
        if (wanted<Site>(layer)) return true;
      }
    }
    return false;
  }

  /// Shows a site of one text to the probes that want it.
  template <class Site>
  void show(const place& at, tensor_view<T, Site::rank> view) {
    probes_.template show<Site>(at, view);
  }

  /// Shows a site of all texts in a chunk; `rows` has one row per position.
  template <class Site>
  void offer([[maybe_unused]] const text_chunk& chunk, [[maybe_unused]] std::size_t layer,
             [[maybe_unused]] tensor_view<T, Site::rank> rows) {
    if constexpr (lists<Site>) {
      state_.for_texts(chunk, [&](const text_rows& text) {
        if (text.rows == 0) return;
        show<Site>({.text = text.text, .layer = layer, .first_position = text.position},
                   rows.slice(text.row, text.rows));
      });
    }
  }

  /// y = LayerNorm of x, both (position, hidden), shown as `Site`; `Scale` is what it divides by. In place allowed.
  template <class Site, class Scale>
  [[gnu::always_inline]] void norm(const text_chunk& chunk, std::size_t layer, tensor_view<T, 2> x,
                                   const norm_weights<T>& weights, tensor_view<T, 2> y) {
    if (!norm_by_scale<Scale>(chunk, layer, x, weights, y)) {
      backend_.layer_norm(tensor_view<const T, 2>{x}, weights.gamma, weights.beta, y);
    }
    offer<Site>(chunk, layer, y);
  }

  /// Layers that must run.
  [[nodiscard]] std::size_t layers_needed() const {
    return cache_ != nullptr ? shape().layers : probes_.layers_needed(shape().layers);
  }

  /// Takes every text through layer `index`; `last`: no layer follows.
  template <class Block, class Memory>
  void layer(Block& block, Memory& memory, std::size_t index, const layer_weights<T>& weights, bool last);

  /// For `layer_run`.
  [[nodiscard]] const detail::run_state<T>& state() const noexcept { return state_; }
  void skip_unwanted(text_chunk& chunk) {
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      const std::size_t end = plan().total(text) - (keep_last_ ? 1 : 0);
      first_wanted_[text] = probes_.first_wanted(text, plan().first_position(text), end);
    }
    state_.trim(chunk, first_wanted_);
  }

 private:
  /// False if no probe wants the scale in this layer: then nothing was done.
  template <class Scale>
  [[nodiscard]] bool norm_by_scale([[maybe_unused]] const text_chunk& chunk, [[maybe_unused]] std::size_t layer,
                                   [[maybe_unused]] tensor_view<T, 2> x,
                                   [[maybe_unused]] const norm_weights<T>& weights,
                                   [[maybe_unused]] tensor_view<T, 2> y) {
    if constexpr (lists<Scale>) {
      if (!wanted<Scale>(layer)) return false;
      const tensor_view<T, 2> scale = state_.scale.view().slice(0, chunk.rows);
      detail::layer_norm_scales<T>(x, scale);
      offer<Scale>(chunk, layer, scale);
      if constexpr (edits<Scale>) {
        detail::layer_norm_with_scales<T>(backend_, x, weights, scale, y);
        return true;
      }
    }
    return false;
  }

  detail::run_state<T> state_;
  Backend& backend_;
  kv_cache<T>* cache_;
  const bool keep_last_;
  probes_type probes_;
  std::vector<std::size_t> first_wanted_;  // [text]
};

/// What a decoder block is given: one layer, and a chunk of texts whose rows lie one after the other. A row is a
/// position of a text.
template <class T, class Backend, class... Probes>
class layer_run {
 public:
  using scalar = T;

  layer_run(forward_pass<T, Backend, Probes...>& pass, text_chunk& chunk, std::size_t layer,
            const layer_weights<T>& weights, bool last)
      : pass_{pass}, chunk_{chunk}, layer_{layer}, weights_{weights}, last_{last} {}

  [[nodiscard]] const architecture& shape() const noexcept { return pass_.shape(); }
  [[nodiscard]] std::size_t layer() const noexcept { return layer_; }
  [[nodiscard]] const layer_weights<T>& weights() const noexcept { return weights_; }
  [[nodiscard]] Backend& backend() const noexcept { return pass_.backend(); }
  [[nodiscard]] std::size_t rows() const noexcept { return chunk_.rows; }

  /// (row, hidden): the layer's input, in which the block leaves its output.
  [[nodiscard]] tensor_view<T, 2> stream() const { return pass_.stream(chunk_); }

  /// Calls `body(const text_rows&)` for every text.
  template <class Body>
  void for_texts(Body&& body) const {
    pass_.state().for_texts(chunk_, body);
  }

  /// All keys and values of a text: those in the cache, then `k` and `v` (new token, width), which are added to it. To
  /// be called once per text and layer.
  [[nodiscard]] std::pair<tensor_view<const T, 2>, tensor_view<const T, 2>> with_cached(
      const text_rows& text, tensor_view<const T, 2> k, tensor_view<const T, 2> v) const {
    if (pass_.cache() == nullptr) return {k, v};
    return pass_.cache()->append(layer_, text.text, k, v);
  }

  /// In the last layer, drops the rows of positions before the first one that any probe wants: from here on `rows`,
  /// `stream` and `for_texts` are about the others, possibly none. Does nothing in other layers. A block calls it once
  /// keys and values are computed, or never.
  void skip_unwanted() {
    if (last_) pass_.skip_unwanted(chunk_);
  }

  template <class Site>
  static constexpr bool lists = forward_pass<T, Backend, Probes...>::template lists<Site>;
  template <class Site>
  static constexpr bool edits = forward_pass<T, Backend, Probes...>::template edits<Site>;
  template <class Site>
  [[nodiscard]] bool wanted() const {
    return pass_.template wanted<Site>(layer_);
  }

  /// Shows a site of all texts to the probes that want it; `rows` has one row per row of the chunk.
  template <class Site>
  void offer(tensor_view<T, Site::rank> rows) {
    pass_.template offer<Site>(chunk_, layer_, rows);
  }
  /// Shows a site of one text.
  template <class Site>
  void show(const text_rows& text, tensor_view<T, Site::rank> view) {
    pass_.template show<Site>({.text = text.text, .layer = layer_, .first_position = text.position}, view);
  }
  /// y = LayerNorm of x, both (row, hidden), shown as `Site`; `Scale` is what it divides by. In place allowed.
  template <class Site, class Scale>
  [[gnu::always_inline]] void norm(tensor_view<T, 2> x, const norm_weights<T>& weights, tensor_view<T, 2> y) {
    pass_.template norm<Site, Scale>(chunk_, layer_, x, weights, y);
  }

 private:
  forward_pass<T, Backend, Probes...>& pass_;
  text_chunk& chunk_;
  std::size_t layer_;
  const layer_weights<T>& weights_;
  bool last_;
};

template <class T, class Backend, class... Probes>
template <class Block, class Memory>
void forward_pass<T, Backend, Probes...>::layer(Block& block, Memory& memory, std::size_t index,
                                                const layer_weights<T>& weights, bool last) {
  for (text_chunk& chunk : state_.chunks) {
    offer<site::resid_pre>(chunk, index, stream(chunk));
    layer_run<T, Backend, Probes...> at{*this, chunk, index, weights, last};
    block(at, memory);
    if (chunk.rows != 0) offer<site::resid_post>(chunk, index, stream(chunk));
  }
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/forward.ipp>
#endif
