// SPDX-License-Identifier: MIT
#pragma once
// One run over a batch: takes every text through a layer, then through the next one.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/host_backend.hpp>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/matrix.hpp>
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

/// A run: its plan, the stream, and the probes. A block's `prepare` is given it; its call operator a `layer_run`.
template <class T, class Backend, class... Probes>
class forward_pass {
 public:
  using scalar = T;
  using space = typename Backend::space;  ///< of the stream and everything else that is computed
  using probes_type = probe_set<T, Probes...>;
  using cache_type = kv_cache<T, space>;
  using weights_type = layer_weights<T, matrix_view<T, space>>;
  template <std::size_t Rank>
  using view = tensor_view<T, Rank, space>;

  /// `cache` may be null; otherwise it must be prepared for the plan. `keep_last`: the last position of each text is
  /// wanted whatever the probes say.
  forward_pass(const run_plan& plan, Backend& backend, cache_type* cache, bool keep_last, Probes&... probes)
      : state_{plan, backend.row_invariant()},
        backend_{backend},
        stream_{backend, {state_.rows, plan.shape.hidden}},
        scale_{backend, {state_.chunk_rows, 1}},
        cache_{cache},
        keep_last_{keep_last},
        probes_{probes...},
        first_wanted_(plan.lengths.size()) {}

  /// The run's plan; once the last layer has begun, what is computed of each text from there on.
  [[nodiscard]] const run_plan& plan() const noexcept { return state_.plan; }
  [[nodiscard]] const architecture& shape() const noexcept { return state_.plan.shape; }
  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] cache_type* cache() const noexcept { return cache_; }  ///< null: none
  [[nodiscard]] const std::vector<text_chunk>& chunks() const noexcept { return state_.chunks; }
  [[nodiscard]] std::size_t chunk_rows() const noexcept { return state_.chunk_rows; }  ///< of the largest chunk
  [[nodiscard]] std::size_t longest() const noexcept { return state_.longest; }        ///< tokens of the longest text
  /// Tokens times keys, of the text in which that is most.
  [[nodiscard]] std::size_t square() const noexcept { return state_.square; }
  /// (position of a chunk's texts, hidden).
  [[nodiscard]] view<2> stream(const text_chunk& chunk) { return stream_.view().slice(chunk.begin, chunk.rows); }
  [[nodiscard]] view<2> stream() { return stream_.view(); }  ///< of all texts

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
  void show(const place& at, view<Site::rank> rows) {
    probes_.template show<Site>(backend_, at, rows);
  }

  /// Shows a site of all texts in a chunk; `rows` has one row per position.
  template <class Site>
  void offer([[maybe_unused]] const text_chunk& chunk, [[maybe_unused]] std::size_t layer,
             [[maybe_unused]] view<Site::rank> rows) {
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
  [[gnu::always_inline]] void norm(const text_chunk& chunk, std::size_t layer, view<2> x,
                                   const norm_weights<T, space>& weights, view<2> y) {
    if (!norm_by_scale<Scale>(chunk, layer, x, weights, y)) {
      backend_.layer_norm(tensor_view<const T, 2, space>{x}, weights.gamma, weights.beta, y);
    }
    offer<Site>(chunk, layer, y);
  }

  /// Layers that must run.
  [[nodiscard]] std::size_t layers_needed() const {
    return cache_ != nullptr ? shape().layers : probes_.layers_needed(shape().layers);
  }

  /// Takes every text through layer `index`; `last`: no layer follows.
  template <class Block, class Memory>
  void layer(Block& block, Memory& memory, std::size_t index, const weights_type& weights, bool last);

  /// For `layer_run`.
  [[nodiscard]] const detail::run_state& state() const noexcept { return state_; }
  void skip_unwanted(text_chunk& chunk) {
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      const std::size_t end = plan().total(text) - (keep_last_ ? 1 : 0);
      first_wanted_[text] = probes_.first_wanted(text, plan().first_position(text), end);
    }
    const view<2> rows = stream(chunk);
    state_.trim(chunk, first_wanted_, [&](std::size_t from, std::size_t to, std::size_t count) {
      backend_.copy(tensor_view<const T, 2, space>{rows.slice(from, count)}, rows.slice(to, count));
    });
  }

 private:
  /// False if no probe wants the scale in this layer: then nothing was done.
  template <class Scale>
  [[nodiscard]] bool norm_by_scale([[maybe_unused]] const text_chunk& chunk, [[maybe_unused]] std::size_t layer,
                                   [[maybe_unused]] view<2> x, [[maybe_unused]] const norm_weights<T, space>& weights,
                                   [[maybe_unused]] view<2> y) {
    if constexpr (lists<Scale>) {
      if (!wanted<Scale>(layer)) return false;
      const view<2> scale = scale_.view().slice(0, chunk.rows);
      backend_.norm_scale(tensor_view<const T, 2, space>{x}, scale);
      offer<Scale>(chunk, layer, scale);
      if constexpr (edits<Scale>) {
        detail::layer_norm_by_scale<T, Backend, space>(backend_, x, weights.gamma, weights.beta, scale, y);
        return true;
      }
    }
    return false;
  }

  detail::run_state state_;
  Backend& backend_;
  tensor_in<T, 2, space> stream_;  // (position of every text, hidden)
  tensor_in<T, 2, space> scale_;   // (position of a chunk, 1): what a LayerNorm divides by
  cache_type* cache_;
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
  using space = typename Backend::space;  ///< of the stream and everything else that is computed
  using weights_type = layer_weights<T, matrix_view<T, space>>;
  template <std::size_t Rank>
  using view = tensor_view<T, Rank, space>;
  template <std::size_t Rank>
  using const_view = tensor_view<const T, Rank, space>;

  layer_run(forward_pass<T, Backend, Probes...>& pass, text_chunk& chunk, std::size_t layer,
            const weights_type& weights, bool last)
      : pass_{pass}, chunk_{chunk}, layer_{layer}, weights_{weights}, last_{last} {}

  [[nodiscard]] const architecture& shape() const noexcept { return pass_.shape(); }
  [[nodiscard]] std::size_t layer() const noexcept { return layer_; }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }
  [[nodiscard]] Backend& backend() const noexcept { return pass_.backend(); }
  [[nodiscard]] std::size_t rows() const noexcept { return chunk_.rows; }

  /// (row, hidden): the layer's input, in which the block leaves its output.
  [[nodiscard]] view<2> stream() const { return pass_.stream(chunk_); }

  /// Calls `body(const text_rows&)` for every text.
  template <class Body>
  void for_texts(Body&& body) const {
    pass_.state().for_texts(chunk_, body);
  }

  /// All keys and values of a text: those in the cache, then `k` and `v` (new token, width), which are added to it. To
  /// be called once per text and layer.
  [[nodiscard]] std::pair<const_view<2>, const_view<2>> with_cached(const text_rows& text, const_view<2> k,
                                                                    const_view<2> v) const {
    if (pass_.cache() == nullptr) return {k, v};
    return pass_.cache()->append(pass_.backend(), layer_, text.text, k, v);
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
  void offer(view<Site::rank> rows) {
    pass_.template offer<Site>(chunk_, layer_, rows);
  }
  /// Shows a site of one text.
  template <class Site>
  void show(const text_rows& text, view<Site::rank> rows) {
    pass_.template show<Site>({.text = text.text, .layer = layer_, .first_position = text.position}, rows);
  }
  /// y = LayerNorm of x, both (row, hidden), shown as `Site`; `Scale` is what it divides by. In place allowed.
  template <class Site, class Scale>
  [[gnu::always_inline]] void norm(view<2> x, const norm_weights<T, space>& weights, view<2> y) {
    pass_.template norm<Site, Scale>(chunk_, layer_, x, weights, y);
  }

 private:
  forward_pass<T, Backend, Probes...>& pass_;
  text_chunk& chunk_;
  std::size_t layer_;
  const weights_type& weights_;
  bool last_;
};

template <class T, class Backend, class... Probes>
template <class Block, class Memory>
void forward_pass<T, Backend, Probes...>::layer(Block& block, Memory& memory, std::size_t index,
                                                const weights_type& weights, bool last) {
  for (text_chunk& chunk : state_.chunks) {
    offer<site::resid_pre>(chunk, index, stream(chunk));
    layer_run<T, Backend, Probes...> at{*this, chunk, index, weights, last};
    block(at, memory);
    if (chunk.rows != 0) offer<site::resid_post>(chunk, index, stream(chunk));
  }
}

}  // namespace optscope
