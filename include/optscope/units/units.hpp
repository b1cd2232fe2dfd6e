// SPDX-License-Identifier: MIT
#pragma once
// The units of a model whose activity is compared between categories of text: layers, blocks, heads, neurons.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <string_view>
#include <vector>

namespace optscope {

/// What a unit is, and what is measured of it at a position.
enum class unit_kind {
  layer,      ///< the norm of `resid_post`
  attention,  ///< the norm of `attn_out`
  mlp,        ///< the norm of `mlp_out`
  head,       ///< the norm of the head's `result`
  neuron,     ///< `mlp_post`
  direction   ///< of `resid_pre`; which ones, a `stream_basis` says
};

/// What is there whatever the basis of the stream.
inline constexpr std::array all_unit_kinds{unit_kind::layer, unit_kind::attention, unit_kind::mlp, unit_kind::head,
                                           unit_kind::neuron};

[[nodiscard]] constexpr std::string_view name_of(unit_kind kind) noexcept {
  constexpr std::array<std::string_view, 6> names{"layer", "attention", "mlp", "head", "neuron", "direction"};
  return names[static_cast<std::size_t>(kind)];
}

struct unit {
  unit_kind kind;
  std::size_t layer, index;  ///< index: head, neuron or direction, else 0

  friend bool operator==(const unit&, const unit&) = default;
};

/// Numbers the units of a model: layer by layer the layer, its attention, its MLP, its heads, its neurons, and as many
/// directions of the stream as are asked for.
class unit_table {
 public:
  explicit unit_table(const architecture& shape, std::size_t directions = 0)
      : layers_{shape.layers}, heads_{shape.heads}, neurons_{shape.ffn}, directions_{directions} {}

  [[nodiscard]] std::size_t size() const noexcept { return layers_ * stride(); }
  [[nodiscard]] std::size_t layers() const noexcept { return layers_; }

  /// Units of a kind in one layer.
  [[nodiscard]] std::size_t count(unit_kind kind) const noexcept {
    if (kind == unit_kind::direction) return directions_;
    return kind == unit_kind::head ? heads_ : kind == unit_kind::neuron ? neurons_ : 1;
  }
  /// The number of a layer's first unit of a kind; its others follow.
  [[nodiscard]] std::size_t first(unit_kind kind, std::size_t layer) const noexcept {
    if (kind == unit_kind::direction) return layer * stride() + 3 + heads_ + neurons_;
    return layer * stride() + (kind == unit_kind::neuron ? 3 + heads_ : static_cast<std::size_t>(kind));
  }
  [[nodiscard]] std::size_t number(const unit& u) const noexcept { return first(u.kind, u.layer) + u.index; }

  /// The numbers of all units of a kind, layer by layer.
  [[nodiscard]] std::vector<std::size_t> all(unit_kind kind) const {
    std::vector<std::size_t> numbers;
    for (std::size_t layer = 0; layer < layers_; ++layer) {
      for (std::size_t i = 0; i < count(kind); ++i) numbers.push_back(first(kind, layer) + i);
    }
    return numbers;
  }
  [[nodiscard]] unit operator[](std::size_t number) const noexcept {
    const std::size_t layer = number / stride(), place = number % stride();
    if (place < 3) return {static_cast<unit_kind>(place), layer, 0};
    if (place < 3 + heads_) return {unit_kind::head, layer, place - 3};
    if (place < 3 + heads_ + neurons_) return {unit_kind::neuron, layer, place - 3 - heads_};
    return {unit_kind::direction, layer, place - 3 - heads_ - neurons_};
  }

 private:
  [[nodiscard]] std::size_t stride() const noexcept { return 3 + heads_ + neurons_ + directions_; }

  std::size_t layers_, heads_, neurons_, directions_;
};

}  // namespace optscope
