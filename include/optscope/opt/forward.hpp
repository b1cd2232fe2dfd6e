// SPDX-License-Identifier: MIT
#pragma once
// The decoder: one block for pre-LN and post-LN models, offering each site to the probes that list it.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/kv_cache.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// All activations of a run, sized once. Rows of several texts lie one after the other; nothing is padded.
template <class T>
struct activations {
  tensor<T, 2> stream;    // (position of every text, hidden)
  tensor<T, 2> normed;    // (position, hidden): the LayerNorm's output; this and all below: of one chunk of texts
  tensor<T, 2> qkv;       // (position, 3 hidden): q, k, v of a position side by side
  tensor<T, 2> z;         // (position, hidden)
  tensor<T, 2> out;       // (position, hidden): what a block adds to the stream
  tensor<T, 2> neurons;   // (position, ffn)
  tensor<T, 2> scale;     // (position, 1): what a LayerNorm divides by; only if a probe lists it
  std::vector<T> square;  // (head, position, key) of one text; only if a probe lists scores or pattern
  std::vector<T> result;  // (position, head, hidden) of one text; only if a probe lists result
  std::vector<T> before;  // the same before editors; only if one edits result
};

/// Texts that are computed together: [first, last) of the batch, rows [begin, begin + rows) of the stream.
struct text_chunk {
  std::size_t first, last, begin, rows;
};

/// Cuts a batch into chunks of whole texts: as many as fit into `most_rows`, at least one. Empty texts begin none.
[[nodiscard]] inline std::vector<text_chunk> chunks_of(const std::vector<std::size_t>& lengths, std::size_t most_rows) {
  std::vector<text_chunk> chunks;
  std::size_t begin = 0;
  for (std::size_t text = 0; text < lengths.size(); begin += lengths[text++]) {
    if (lengths[text] == 0) continue;
    if (chunks.empty() || chunks.back().rows + lengths[text] > most_rows) chunks.push_back({text, text, begin, 0});
    chunks.back().last = text + 1;
    chunks.back().rows += lengths[text];
  }
  return chunks;
}

/// One run over a batch: `layer` takes every text through a layer, then comes the next layer. With a cache, which must
/// be prepared for the plan, the tokens follow the cached ones, and `layer` appends their keys and values. Behind the
/// keys of the last layer nothing is computed of the positions before the first that is wanted.
template <class T, class Backend, class... Probes>
class forward_pass {
 public:
  forward_pass(const run_plan& plan, Backend& backend, kv_cache<T>* cache, bool keep_last, Probes&... probes)
      : plan_{plan},
        run_lengths_{plan.lengths},
        keep_last_{keep_last},
        shape_{plan.shape},
        backend_{backend},
        cache_{cache},
        probes_{probes...} {
    plan_.cached.resize(plan.lengths.size());
    // A row of one text must not depend on the others: texts share products only where the backend promises that.
    chunks_ = chunks_of(plan.lengths, backend.row_invariant() ? 2560 : 0);
    std::size_t rows = 0, chunk_rows = 0, longest = 0, square = 0;
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
      rows += plan.lengths[text];
      longest = std::max(longest, plan.lengths[text]);
      square = std::max(square, plan.lengths[text] * plan.total(text));
    }
    for (const text_chunk& chunk : chunks_) chunk_rows = std::max(chunk_rows, chunk.rows);
    memory_.stream = tensor<T, 2>{{rows, shape_.hidden}};
    memory_.normed = tensor<T, 2>{{chunk_rows, shape_.hidden}};
    memory_.qkv = tensor<T, 2>{{chunk_rows, 3 * shape_.hidden}};
    memory_.z = tensor<T, 2>{{chunk_rows, shape_.hidden}};
    memory_.out = tensor<T, 2>{{chunk_rows, shape_.hidden}};
    memory_.neurons = tensor<T, 2>{{chunk_rows, shape_.ffn}};
    if constexpr (listed<site::ln1_scale> || listed<site::ln2_scale> || listed<site::ln_final_scale>) {
      memory_.scale = tensor<T, 2>{{chunk_rows, 1}};
    }
    if (wanted_anywhere<site::scores>() || wanted_anywhere<site::pattern>()) {
      memory_.square.resize(shape_.heads * square);
    }
    if (wanted_anywhere<site::result>()) {
      memory_.result.resize(longest * shape_.heads * shape_.hidden);
      if constexpr (edited<site::result>) memory_.before.resize(memory_.result.size());
    }
  }

  [[nodiscard]] activations<T>& memory() noexcept { return memory_; }
  [[nodiscard]] const std::vector<text_chunk>& chunks() const noexcept { return chunks_; }
  /// The run's plan; once the last layer has begun, what it had to compute of each text.
  [[nodiscard]] const run_plan& plan() const noexcept { return plan_; }

  /// Shows a site of all texts in a chunk to the probes; `rows` has one row a position.
  template <class Site>
  void offer(const text_chunk& chunk, std::size_t layer, tensor_view<T, Site::rank> rows) {
    if constexpr (listed<Site>) {
      std::size_t begin = 0;
      for (std::size_t text = chunk.first; text < chunk.last; begin += plan_.lengths[text++]) {
        show<Site>(place_of(text, layer), rows.slice(begin, plan_.lengths[text]));
      }
    }
  }

  /// y = LayerNorm of x, both (position, hidden), shown as `Site`; `Scale` is what it divides by. In place allowed.
  /// Rows whose scale was edited are divided by that; the others keep the bits of the backend's LayerNorm.
  template <class Site, class Scale>
  void norm(const text_chunk& chunk, std::size_t layer, tensor_view<T, 2> x, const norm_weights<T>& weights,
            tensor_view<T, 2> y) {
    if (wanted<Scale>(layer)) {
      const tensor_view<T, 2> scale = memory_.scale.view().slice(0, chunk.rows);
      for (std::size_t row = 0; row < chunk.rows; ++row) scale.row(row)[0] = moments_of(x.row(row)).scale;
      offer<Scale>(chunk, layer, scale);
    }
    std::size_t row = 0;
    if constexpr (edited<Scale>) {
      for (std::size_t at = 0; at < chunk.rows && wanted<Scale>(layer); ++at) {
        kernel::layer_norm_moments<T> moments = moments_of(x.row(at));
        const T divisor = memory_.scale(at, 0);
        if (divisor == moments.scale) continue;
        layer_norm(x, weights, y, row, at);
        moments.scale = divisor;
        kernel::normalize(x.row(at).data(), moments, weights.gamma, weights.beta, x.cols(), y.row(at).data());
        row = at + 1;
      }
    }
    layer_norm(x, weights, y, row, chunk.rows);
    offer<Site>(chunk, layer, y);
  }

  /// Shows one text's part of a site to the probes that want it.
  template <class Site>
  void show(const place& where, tensor_view<T, Site::rank> view) {
    if (plan_.lengths[where.text] == 0) return;
    std::apply([&](auto&... probe) { (show_to<Site>(probe, where, view), ...); }, probes_);
  }

  /// Calls `body(place, first row in the chunk, rows)` for each text of a chunk, at most `most` positions at a time.
  template <class Body>
  void for_pieces(const text_chunk& chunk, std::size_t most, Body&& body) const {
    std::size_t begin = 0;
    for (std::size_t text = chunk.first; text < chunk.last; begin += plan_.lengths[text++]) {
      for (std::size_t position = 0; position < plan_.lengths[text]; position += most) {
        body(place{text, 0, plan_.first_position(text) + position}, begin + position,
             std::min(most, plan_.lengths[text] - position));
      }
    }
  }

  /// True if a probe wants the site in this layer.
  template <class Site>
  [[nodiscard]] bool wanted(std::size_t layer) const {
    if constexpr (listed<Site>) {
      return std::apply([&](const auto&... probe) { return (optscope::wants<Site>(probe, layer) || ...); }, probes_);
    } else {
      return false;
    }
  }

  /// Number of layers up to the last of which a probe or the cache wants something.
  [[nodiscard]] std::size_t layers_needed() const {
    std::size_t needed = cache_ != nullptr ? shape_.layers : 0;
    const auto extend_for = [&]<class Probe>(const Probe& probe) {
      Probe::sites::for_each([&]<class Site>(Site) {
        if (Site::stage == site_stage::output && optscope::wants<Site>(probe, 0)) needed = shape_.layers;
        for (std::size_t layer = needed; Site::per_layer && layer < shape_.layers; ++layer) {
          if (optscope::wants<Site>(probe, layer)) needed = layer + 1;
        }
      });
    };
    std::apply([&](const auto&... probe) { (extend_for(probe), ...); }, probes_);
    return needed;
  }

  /// Takes every text through layer `index`; `last`: none follows.
  void layer(std::size_t index, const layer_weights<T>& weights, bool last) {
    for (text_chunk& chunk : chunks_) {
      tensor_view<T, 2> stream = memory_.stream.view().slice(chunk.begin, chunk.rows);
      tensor_view<T, 2> normed = memory_.normed.view().slice(0, chunk.rows);

      offer<site::resid_pre>(chunk, index, stream);
      if (shape_.pre_layer_norm) norm<site::ln1, site::ln1_scale>(chunk, index, stream, weights.ln1, normed);
      attention(chunk, index, weights, constant(shape_.pre_layer_norm ? normed : stream), last);
      if (chunk.rows == 0) continue;
      stream = stream.slice(0, chunk.rows);
      normed = normed.slice(0, chunk.rows);
      const tensor_view<T, 2> out = memory_.out.view().slice(0, chunk.rows);
      offer<site::attn_out>(chunk, index, out);
      backend_.add(constant(out), stream);
      if (!shape_.pre_layer_norm) norm<site::ln1, site::ln1_scale>(chunk, index, stream, weights.ln1, stream);
      offer<site::resid_mid>(chunk, index, stream);

      if (shape_.pre_layer_norm) norm<site::ln2, site::ln2_scale>(chunk, index, stream, weights.ln2, normed);
      mlp(chunk, index, weights, constant(shape_.pre_layer_norm ? normed : stream), out);
      offer<site::mlp_out>(chunk, index, out);
      backend_.add(constant(out), stream);
      if (!shape_.pre_layer_norm) norm<site::ln2, site::ln2_scale>(chunk, index, stream, weights.ln2, stream);
      offer<site::resid_post>(chunk, index, stream);
    }
  }

 private:
  template <class Site>
  static constexpr bool listed = (lists_site<Probes, Site> || ...);
  template <class Site>
  static constexpr bool edited = (edits_site<Probes, Site, T> || ...);

  [[nodiscard]] place place_of(std::size_t text, std::size_t layer) const {
    return {text, layer, plan_.first_position(text)};
  }

  static tensor_view<const T, 2> constant(tensor_view<T, 2> view) { return view; }

  template <class Site>
  [[nodiscard]] bool wanted_anywhere() const {
    if constexpr (listed<Site>) {
      for (std::size_t layer = 0; layer < shape_.layers; ++layer) {
        if (wanted<Site>(layer)) return true;
      }
    }
    return false;
  }

  template <class Site, class Probe>
  static void show_to(Probe& probe, const place& at, tensor_view<T, Site::rank> view) {
    if constexpr (lists_site<Probe, Site>) {
      if (!optscope::wants<Site>(probe, at.layer)) return;
      if constexpr (edits_site<Probe, Site, T>) {
        probe(Site{}, at, view);
        if constexpr (Site::layout == site_layout::head) hide_later_keys(Site::info, view);
      } else {
        probe(Site{}, at, tensor_view<const T, Site::rank>{view});
      }
    }
  }

  /// square (head, position, key): what no position sees is minus infinity in `scores`, 0 in `pattern`.
  static void hide_later_keys(const site_info& site, tensor_view<T, 3> square) {
    const T hidden = static_cast<T>(site.later_keys);
    const std::size_t positions = square.extent(1), keys = square.extent(2);
    for (std::size_t head = 0; head < square.rows(); ++head) {
      for (std::size_t position = 0; position < positions; ++position) {
        T* const row = square.row(head).data() + position * keys;
        std::fill(row + (keys - positions) + position + 1, row + keys, hidden);
      }
    }
  }

  /// One function for all callers, so that they get the same bits.
  [[gnu::noinline]] static kernel::layer_norm_moments<T> moments_of(std::span<const T> row) {
    return kernel::moments(row.data(), row.size());
  }

  /// Rows [first, last).
  void layer_norm(tensor_view<T, 2> x, const norm_weights<T>& weights, tensor_view<T, 2> y, std::size_t first,
                  std::size_t last) {
    if (first == last) return;
    backend_.layer_norm(constant(x.slice(first, last - first)), weights.gamma, weights.beta,
                        y.slice(first, last - first));
  }

  /// The first position of a text that a probe wants; without `first_wanted` it wants all.
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const {
    const auto of = [&](const auto& probe) {
      if constexpr (requires { probe.first_wanted(text); }) return static_cast<std::size_t>(probe.first_wanted(text));
      return plan_.first_position(text);
    };
    const std::size_t last = plan_.total(text) - (keep_last_ ? 1 : 0);
    return std::max(plan_.first_position(text), std::apply(
                                                    [&](const auto&... probe) {
                                                      return std::min({last, of(probe)...});
                                                    },
                                                    probes_));
  }

  /// Leaves out of a chunk the rows of positions before the first that is wanted.
  void trim(text_chunk& chunk) {
    const tensor_view<T, 2> stream = memory_.stream.view().slice(chunk.begin, chunk.rows);
    std::size_t from = 0, to = 0;
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      if (plan_.lengths[text] == 0) continue;
      const std::size_t dropped = first_wanted(text) - plan_.first_position(text);
      const std::size_t kept = plan_.lengths[text] - dropped;
      if (dropped != 0 || from != to) {
        std::copy_n(stream.row(from).data() + dropped * shape_.hidden, kept * shape_.hidden, stream.row(to).data());
      }
      from += plan_.lengths[text];
      to += kept;
      plan_.cached[text] += dropped;
      plan_.lengths[text] = kept;
    }
    chunk.rows = to;
  }

  /// x (position, hidden) to memory_.out (position, hidden): W_O softmax(q·k / sqrt(head_dim)) v, head by head.
  void attention(text_chunk& chunk, std::size_t layer, const layer_weights<T>& weights, tensor_view<const T, 2> x,
                 bool last) {
    const std::size_t width = weights.out.weight.cols(), heads = width / shape_.head_dim();  // of this layer
    const tensor_view<T, 2> qkv{memory_.qkv.data(), {chunk.rows, 3 * width}};
    backend_.linear(x, weights.qkv.weight, weights.qkv.bias, qkv);
    const auto part = [&](std::size_t which) {  // 0: q, 1: k, 2: v
      return tensor_view<T, 2>{qkv.data() + which * width, {qkv.rows(), width}, qkv.stride()};
    };
    offer<site::q>(chunk, layer, by_head(part(0)));
    offer<site::k>(chunk, layer, by_head(part(1)));
    offer<site::v>(chunk, layer, by_head(part(2)));

    std::size_t begin = 0, row = 0;  // of a text: its rows of qkv, and of what is computed from them
    if (last) trim(chunk);
    const tensor_view<T, 2> z{memory_.z.data(), {chunk.rows, width}}, out = memory_.out.view().slice(0, chunk.rows);
    together_.clear();
    for (std::size_t text = chunk.first; text < chunk.last; row += plan_.lengths[text++]) {
      const std::size_t length = plan_.lengths[text], total = plan_.total(text), run = run_lengths_[text];
      if (run == 0) continue;
      const tensor_view<const T, 2> q = constant(part(0).slice(begin + run - length, length));
      tensor_view<const T, 2> k = constant(part(1).slice(begin, run)), v = constant(part(2).slice(begin, run));
      begin += run;
      if (cache_ != nullptr) std::tie(k, v) = cache_->append(layer, text, k, v);  // all keys from here on
      if (length == 0) continue;
      if (wanted<site::scores>(layer) || wanted<site::pattern>(layer)) {
        const tensor_view<T, 3> square{memory_.square.data(), {heads, length, total}};
        backend_.attention_scores(q, k, square);
        if constexpr (listed<site::scores>) show<site::scores>(place_of(text, layer), square);
        backend_.attention_softmax(square);
        if constexpr (listed<site::pattern>) show<site::pattern>(place_of(text, layer), square);
        backend_.attention_mix(tensor_view<const T, 3>{square}, v, z.slice(row, length));
      } else {
        together_.push_back({q, k, v, z.slice(row, length)});
      }
    }
    if (!together_.empty()) backend_.attention(std::span{std::as_const(together_)}, heads);
    if (chunk.rows == 0) return;
    offer<site::z>(chunk, layer, by_head(z));
    backend_.linear(constant(z), weights.out.weight, weights.out.bias, out);
    if (wanted<site::result>(layer)) results(chunk, layer, weights, z, out);
  }

  /// Each head's z through its columns of W_O, text by text. A row of `out` becomes their sum where one was edited.
  void results(const text_chunk& chunk, std::size_t layer, const layer_weights<T>& weights, tensor_view<T, 2> z,
               tensor_view<T, 2> out) {
    if constexpr (listed<site::result>) {
      const std::size_t width = shape_.head_dim(), hidden = shape_.hidden, heads = z.cols() / width;
      std::size_t begin = 0;
      for (std::size_t text = chunk.first; text < chunk.last; begin += plan_.lengths[text++]) {
        const std::size_t length = plan_.lengths[text];
        if (length == 0) continue;
        const tensor_view<T, 3> result{memory_.result.data(), {length, heads, hidden}};
        for (std::size_t head = 0; head < heads; ++head) {
          const T* w = weights.out.weight.data() + head * width;
          backend_.linear(tensor_view<const T, 2>{z.row(begin).data() + head * width, {length, width}, z.stride()},
                          tensor_view<const T, 2>{w, {hidden, width}, weights.out.weight.stride()},
                          static_cast<const T*>(nullptr),
                          tensor_view<T, 2>{result.data() + head * hidden, {length, hidden}, heads * hidden});
        }
        if constexpr (edited<site::result>) std::copy_n(result.data(), result.size(), memory_.before.data());
        show<site::result>(place_of(text, layer), result);
        for (std::size_t row = 0; edited<site::result> && row < length; ++row) {
          const std::span<const T> shares = result.row(row);
          if (std::ranges::equal(shares, std::span{memory_.before}.subspan(row * shares.size(), shares.size())))
            continue;
          const std::span<T> sum = out.row(begin + row);
          for (std::size_t i = 0; i < hidden; ++i) {
            sum[i] = weights.out.bias == nullptr ? T{0} : weights.out.bias[i];
            for (std::size_t head = 0; head < heads; ++head) sum[i] += shares[head * hidden + i];
          }
        }
      }
    }
  }

  /// x (position, hidden) to out (position, hidden).
  void mlp(const text_chunk& chunk, std::size_t layer, const layer_weights<T>& weights, tensor_view<const T, 2> x,
           tensor_view<T, 2> out) {
    const tensor_view<T, 2> neurons{memory_.neurons.data(), {chunk.rows, weights.fc1.weight.rows()}};
    backend_.linear(x, weights.fc1.weight, weights.fc1.bias, neurons);
    offer<site::mlp_pre>(chunk, layer, neurons);
    backend_.activate(shape_.nonlinearity, neurons);
    offer<site::mlp_post>(chunk, layer, neurons);
    backend_.linear(constant(neurons), weights.fc2.weight, weights.fc2.bias, out);
  }

  [[nodiscard]] tensor_view<T, 3> by_head(tensor_view<T, 2> rows) const {
    return rows.template reshape<3>({rows.rows(), rows.cols() / shape_.head_dim(), shape_.head_dim()});
  }

  run_plan plan_;
  const std::vector<std::size_t> run_lengths_;  // [text]: of the plan, before the last layer cuts it
  const bool keep_last_;                        // the last position is wanted whatever the probes say
  const architecture& shape_;
  Backend& backend_;
  kv_cache<T>* cache_;  // null: none
  std::tuple<Probes&...> probes_;
  std::vector<text_chunk> chunks_;
  activations<T> memory_;
  std::vector<attention_text<T>> together_;  // of a chunk
};

}  // namespace optscope
