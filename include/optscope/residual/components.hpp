// SPDX-License-Identifier: MIT
#pragma once
// The components of the residual stream: what is added to it on the way to a depth, and a probe that is shown each.

#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <optscope/probe/positions.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// What adds to the stream. `mlp` is the output of a whole MLP; where an MLP is split, `neuron` (its activation times
/// its column of fc2) and `mlp_bias` take its place. `ln_final_bias` adds to logits only, after the final LayerNorm.
enum class component_kind { embed, pos_embed, head, attn_bias, mlp, neuron, mlp_bias, ln_final_bias };

/// One summand of the stream.
struct stream_component {
  component_kind kind = component_kind::embed;
  std::size_t layer = 0;  ///< 0 of those that have no layer
  std::size_t index = 0;  ///< of the head or neuron among those that the layer has

  friend bool operator==(const stream_component&, const stream_component&) = default;
};

/// `embed`, `pos_embed`, `3.head.5`, `3.attn_bias`, `3.mlp`, `3.neuron.17`, `3.mlp_bias`, `ln_final_bias`.
[[nodiscard]] std::string name_of(const stream_component& component);

/// Which stream is taken apart, and how far.
struct stream_part {
  std::optional<std::size_t> layers{};    ///< after this many layers; 0: the embedding; absent: all
  std::vector<std::size_t> neurons_of{};  ///< layers whose MLP is split into its neurons and the bias of fc2
};

/// The summands of the stream, in order: `embed`, `pos_embed`, then of each layer the heads, `attn_bias`, and `mlp` or
/// neurons and `mlp_bias`. Throws `bad_input`, which names `model`, if LayerNorm follows the blocks, as in 350m: that
/// stream is not a sum of components; and for a layer that there is not.
[[nodiscard]] std::vector<stream_component> stream_components(const architecture& shape, const layer_sizes& sizes,
                                                              const stream_part& part, const std::string& model = {});

namespace detail {

/// What a layer's weights add, copied: they are read while no run uses them.
template <class T>
struct component_weights {
  std::vector<T> attn_bias, mlp_bias;  // (hidden)
  tensor<T, 2> neurons;                // (neuron, hidden): fc2 transposed; empty where the MLP is not split
};

template <class T>
[[nodiscard]] component_weights<T> component_weights_of(const layer_weights<T>& layer, bool split);

/// Shows each component at each chosen position to a function: `take(component, vector, values (hidden))`. Vectors are
/// numbered text by text.
template <class T>
class component_probe {
 public:
  using sites = site_list<site::embed, site::pos_embed, site::result, site::mlp_post, site::mlp_out>;
  using taker = std::function<void(std::size_t component, std::size_t vector, std::span<const T> values)>;

  /// Reads the biases of every layer, and fc2 of those that are split.
  template <class Model>
  component_probe(Model& opt, const stream_part& part, positions where, taker take)
      : layers_{part.layers.value_or(opt.layers())}, where_{std::move(where)}, take_{std::move(take)} {
    const auto layer = [&](std::size_t index) {
      return opt.weights().layer(index, opt.layers(), opt.backend().pool());
    };
    layer_sizes sizes;  // as the weights have them: parts may have been removed
    for (std::size_t i = 0; i < opt.layers(); ++i) {
      const layer_weights<T> weights = layer(i);
      sizes.heads.push_back(weights.out.weight.cols() / opt.shape().head_dim());
      sizes.neurons.push_back(weights.fc2.weight.cols());
    }
    components_ = stream_components(opt.shape(), sizes, part, opt.files().folder().string());
    find_first(part.neurons_of);
    for (std::size_t i = 0; i < layers_; ++i) weights_.push_back(component_weights_of<T>(layer(i), split_[i]));
  }

  [[nodiscard]] const std::vector<stream_component>& components() const noexcept { return components_; }

  void begin(const run_plan& plan);
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    if constexpr (!Site::per_layer) return true;
    if (layer >= layers_) return false;
    if constexpr (std::is_same_v<Site, site::mlp_post>) return split_[layer];
    if constexpr (std::is_same_v<Site, site::mlp_out>) return !split_[layer];
    return true;
  }
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const;
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    return rows_among(chosen_[at.text], at.first_position, count);
  }

  void operator()(site::embed, const place& at, tensor_view<const T, 2> rows) { take(0, at, rows); }
  void operator()(site::pos_embed, const place& at, tensor_view<const T, 2> rows) { take(1, at, rows); }
  void operator()(site::result, const place& at, tensor_view<const T, 3> by_head);
  void operator()(site::mlp_post, const place& at, tensor_view<const T, 2> neurons);
  void operator()(site::mlp_out, const place& at, tensor_view<const T, 2> rows) {
    take(first_[at.layer + 1] - 1, at, rows);
  }

 private:
  void find_first(const std::vector<std::size_t>& neurons_of);
  void take(std::size_t component, const place& at, tensor_view<const T, 2> rows);
  /// Calls `action(row, vector)` for the chosen positions among the rows that are shown.
  template <class Action>
  void for_rows(const place& at, std::size_t count, Action&& action) const;

  std::vector<stream_component> components_;
  std::size_t layers_;
  positions where_;
  taker take_;
  std::vector<bool> split_;                       // [layer]
  std::vector<std::size_t> first_;                // [layer]: its first component; then the number of all
  std::vector<component_weights<T>> weights_;     // [layer]
  std::vector<std::vector<std::size_t>> chosen_;  // [text]: positions
  std::vector<std::size_t> offset_;               // [text]: its first vector
};

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/components.ipp>
#endif
