// SPDX-License-Identifier: MIT
#pragma once
// The units of a model whose activity is compared between categories of text: layers, blocks, heads, neurons.

#include <array>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <string_view>
#include <vector>

namespace optscope {

/// What a unit is, and what its activity at a position is.
enum class unit_kind {
  layer,      ///< the norm of `resid_post`
  attention,  ///< the norm of `attn_out`
  mlp,        ///< the norm of `mlp_out`
  head,       ///< the norm of the head's `result`
  neuron,     ///< `mlp_post`
  direction   ///< a direction of `resid_pre`, given by a `stream_basis`
};

/// The kinds that every model has, whatever the basis of the stream.
inline constexpr std::array all_unit_kinds{unit_kind::layer, unit_kind::attention, unit_kind::mlp, unit_kind::head,
                                           unit_kind::neuron};

[[nodiscard]] constexpr std::string_view name_of(unit_kind kind) noexcept {
  constexpr std::array<std::string_view, 6> names{"layer", "attention", "mlp", "head", "neuron", "direction"};
  return names[static_cast<std::size_t>(kind)];
}

struct unit {
  unit_kind kind;
  std::size_t layer;
  std::size_t index;  ///< of the head, neuron or direction in its layer; 0 for other kinds

  friend bool operator==(const unit&, const unit&) = default;
};

/// Numbers the units of a model. Within a layer the order is: the layer, its attention, its MLP, its heads, its
/// neurons, and as many directions of the stream as the constructor is given.
///
///     const unit_table units{opt.shape()};
///     const std::size_t number = units.number({.kind = unit_kind::head, .layer = 3, .index = 5});
///     const unit same = units[number];
class unit_table {
 public:
  explicit unit_table(const architecture& shape, std::size_t directions = 0)
      : layers_{shape.layers}, heads_{shape.heads}, neurons_{shape.ffn}, directions_{directions} {}

  [[nodiscard]] std::size_t size() const noexcept { return layers_ * per_layer(); }
  [[nodiscard]] std::size_t layers() const noexcept { return layers_; }

  /// How many units of a kind a layer has.
  [[nodiscard]] std::size_t count(unit_kind kind) const noexcept;
  /// The number of a layer's first unit of a kind; the others follow it.
  [[nodiscard]] std::size_t first(unit_kind kind, std::size_t layer) const noexcept;
  [[nodiscard]] std::size_t number(const unit& what) const noexcept {
    return first(what.kind, what.layer) + what.index;
  }
  [[nodiscard]] unit operator[](std::size_t number) const noexcept;
  /// The numbers of all units of a kind, layer by layer.
  [[nodiscard]] std::vector<std::size_t> all(unit_kind kind) const;

 private:
  [[nodiscard]] std::size_t first_head() const noexcept { return 3; }
  [[nodiscard]] std::size_t first_neuron() const noexcept { return first_head() + heads_; }
  [[nodiscard]] std::size_t first_direction() const noexcept { return first_neuron() + neurons_; }
  [[nodiscard]] std::size_t per_layer() const noexcept { return first_direction() + directions_; }

  std::size_t layers_, heads_, neurons_, directions_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/units.ipp>
#endif
