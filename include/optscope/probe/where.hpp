// SPDX-License-Identifier: MIT
#pragma once
// Which vectors of a site, and which of their elements: by text, layer, position, head, unit, or any rule.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/probe/positions.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// A vector of a site: its last axis at one text, layer, position and head.
struct vector_place {
  std::size_t text = 0;
  std::size_t layer = 0;  ///< 0 for sites without a layer
  std::size_t position = 0;
  std::size_t head = 0;  ///< 0 for sites without heads
};

/// A choice of texts, layers, positions, heads and units; what is not named is chosen whole.
///
///     where{}.layers({3, 4}).heads({0}).at(positions::last())
///     where{}.layers({3}).units({17, 40})                       // of mlp_post: two neurons
///
/// Units are the elements of a site's last axis: neurons, dimensions of the stream or of a head, keys.
class where {
 public:
  using indices = std::vector<std::size_t>;
  using rule = std::function<bool(const vector_place&, std::size_t unit)>;

  where& texts(indices list) { return set(texts_, std::move(list)); }
  where& layers(indices list) { return set(layers_, std::move(list)); }
  where& heads(indices list) { return set(heads_, std::move(list)); }
  where& units(indices list) { return set(units_, std::move(list)); }
  /// Positions that a text does not have are not chosen. `positions::last()` is the last token of every run: while
  /// generating, each new one.
  where& at(positions which) {
    positions_ = std::move(which);
    return *this;
  }
  /// Of what is chosen by the rest, the elements for which the rule holds.
  where& mask(rule chosen) {
    mask_ = std::move(chosen);
    return *this;
  }

  /// Such as `, layers 3 4, heads 0`; lists are cut.
  [[nodiscard]] std::string text() const {
    std::string result;
    const auto add = [&](const char* what, const std::optional<indices>& list) {
      if (!list) return;
      result += std::string{", "} + what + (list->empty() ? " none" : "");
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (i == 8) {
          result += " ...";
          break;
        }
        result += " " + std::to_string((*list)[i]);
      }
    };
    add("texts", texts_);
    add("layers", layers_);
    add("heads", heads_);
    add("units", units_);
    if (positions_) result += ", at some positions";
    if (mask_) result += ", by a mask";
    return result;
  }

  [[nodiscard]] bool has_layer(std::size_t layer) const { return !layers_ || std::ranges::count(*layers_, layer) != 0; }
  [[nodiscard]] const std::optional<indices>& units() const noexcept { return units_; }
  [[nodiscard]] const rule& mask() const noexcept { return mask_; }

  /// Throws `bad_input` with `item` if a text, or a layer, head or unit of the site, is none of the run's.
  template <class Site>
  void check(Site, const run_plan& plan, const std::string& item) const {
    constexpr bool by_head = Site::rank == 3;
    const auto inner = inner_shape(Site{}, plan.shape);
    const auto refuse = [&](std::string expected, std::string found) {
      throw bad_input{"", item, std::move(expected), std::move(found)};
    };
    const auto check = [&](const char* what, const std::optional<indices>& list, std::size_t extent) {
      for (std::size_t i = 0; list && i < list->size(); ++i) {
        if ((*list)[i] < extent) continue;
        refuse(std::string{what} + " below " + std::to_string(extent), std::to_string((*list)[i]));
      }
    };
    check("texts", texts_, plan.lengths.size());
    if (layers_ && !Site::per_layer) refuse("no layers for this site", "some");
    check("layers", layers_, plan.shape.layers);
    if (heads_ && !by_head) refuse("no heads for this site", "some");
    check("heads", heads_, plan.shape.heads);
    if (Site::layout == site_layout::position) check("units", units_, by_head ? inner[1] : inner[0]);
  }

  /// The positions of a text that are chosen and run, in order.
  [[nodiscard]] indices rows_of(const run_plan& plan, std::size_t text) const {
    indices rows;
    if (plan.lengths[text] == 0 || (texts_ && std::ranges::count(*texts_, text) == 0)) return rows;
    const std::size_t first = plan.first_position(text), end = plan.total(text);
    for (const std::size_t row : (positions_ ? *positions_ : positions::all()).of(end)) {
      if (row >= first && row < end) rows.push_back(row);
    }
    return rows;
  }
  [[nodiscard]] indices heads_of(std::size_t heads) const {
    if (heads_) return *heads_;
    return positions::all().of(heads);
  }

 private:
  where& set(std::optional<indices>& list, indices values) {
    std::ranges::sort(values);
    values.erase(std::unique(values.begin(), values.end()), values.end());
    list = std::move(values);
    return *this;
  }

  std::optional<indices> texts_, layers_, heads_, units_;
  std::optional<positions> positions_;
  rule mask_;
};

}  // namespace optscope
