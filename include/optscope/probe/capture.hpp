// SPDX-License-Identifier: MIT
#pragma once
// An observer that keeps activations of chosen sites, layers and positions.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/positions.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Keeps the activations of `Sites` at chosen positions as `Scalar`.
///
///     capture<site::attn_out, site::resid_post> probe{positions::strided(475, 4, 10)};
///     opt.run(texts, probe);
///     tensor_view<const float, 2> vectors = probe(site::attn_out{}, 3);    // (vector, hidden), text by text
///     tensor_view<const float, 2> one = probe(site::attn_out{}, 3, 0);     // (position, hidden) of text 0
///     xt::xtensor<float, 2> copy = probe(site::attn_out{}, 3);
///
/// The memory for positions x width x layers of each site is taken before the run starts. Of sites that are laid out by
/// head (`scores`, `pattern`) the positions choose rows: (head, position, key), one text at a time. Of a run behind
/// cached tokens those of the chosen positions are kept that are run; every run starts anew.
template <class Scalar, class... Sites>
class basic_capture {
 public:
  using sites = site_list<Sites...>;

  explicit basic_capture(positions where = positions::all()) : where_{std::move(where)} {}

  /// Leaves out other layers; sites without a layer stay.
  basic_capture& only_layers(std::vector<std::size_t> layers) {
    layers_ = std::move(layers);
    return *this;
  }
  /// Leaves out other sites than those of these names: for programs that learn at run time which are wanted.
  basic_capture& only_sites(std::vector<std::string> names) {
    names_ = std::move(names);
    return *this;
  }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    const bool site = !names_ || std::ranges::count(*names_, Site::name) != 0;
    return site && (!Site::per_layer || !layers_ || std::ranges::count(*layers_, layer) != 0);
  }

  /// Throws `bad_input` if a text has no token at one of the positions.
  void begin(const run_plan& plan) {
    keys_.clear();
    chosen_.clear();
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
      keys_.push_back(plan.total(text));
      chosen_.push_back(where_.in(keys_[text], text));
      std::erase_if(chosen_[text], [&](std::size_t position) { return position < plan.first_position(text); });
    }
    (allocate<Sites>(plan.shape), ...);
  }

  template <class Site, class T>
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    kept& target = kept_of<Site>();
    Scalar* out = target.layers[at.layer].data() + target.offset[at.text];
    const std::vector<std::size_t>& rows = chosen_[at.text];
    if constexpr (Site::layout == site_layout::position) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] < at.first_position || rows[i] >= at.first_position + view.rows()) continue;
        std::ranges::copy(view.row(rows[i] - at.first_position), out + i * view.cols());
      }
    } else {
      const std::size_t keys = view.extent(2);
      for (std::size_t head = 0; head < view.rows(); ++head) {
        for (const std::size_t row : rows) {
          const auto* source = view.row(head).data() + (row - at.first_position) * keys;
          out = std::copy(source, source + keys, out);
        }
      }
    }
  }

  /// All texts, one after the other: (vector, width) or (vector, head, width); vectors text by text, positions as
  /// chosen.
  template <class Site>
  requires(Site::layout == site_layout::position) [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(
      Site, std::size_t layer = 0) const {
    const kept& source = kept_of<Site>();
    return {source.layers.at(layer).data(), shape_of<Site>(source, source.rows)};
  }

  /// One text: the site's own shape with the chosen positions.
  template <class Site>
  [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(Site, std::size_t layer, std::size_t text) const {
    const kept& source = kept_of<Site>();
    const Scalar* data = source.layers.at(layer).data() + source.offset.at(text);
    if constexpr (Site::layout == site_layout::position) {
      return {data, shape_of<Site>(source, chosen_[text].size())};
    } else {
      return {data, {source.inner[0], chosen_[text].size(), keys_[text]}};
    }
  }

  /// The positions kept of a text, in the order of the rows.
  [[nodiscard]] const std::vector<std::size_t>& positions_of(std::size_t text) const { return chosen_.at(text); }

 private:
  struct kept {
    std::vector<std::vector<Scalar>> layers;  // [layer]: all texts
    std::vector<std::size_t> offset;          // [text]: first element
    std::size_t rows = 0;                     // positions of all texts together
    std::array<std::size_t, 2> inner{1, 1};   // (width), (head, width) or (head, -)
  };

  template <class Site>
  static constexpr std::size_t slot_of() {
    std::size_t index = 0;
    for (const bool same : {std::is_same_v<Site, Sites>...}) {
      if (same) return index;
      ++index;
    }
    return index;
  }
  template <class Site>
  const kept& kept_of() const {
    static_assert(sites::template contains<Site>, "this capture was not declared with that site");
    return store_[slot_of<Site>()];
  }
  template <class Site>
  kept& kept_of() {
    return const_cast<kept&>(std::as_const(*this).template kept_of<Site>());
  }

  template <class Site>
  static std::array<std::size_t, Site::rank> shape_of(const kept& source, std::size_t rows) {
    if constexpr (Site::rank == 2) {
      return {rows, source.inner[0]};
    } else {
      return {rows, source.inner[0], source.inner[1]};
    }
  }

  template <class Site>
  void allocate(const architecture& shape) {
    kept& target = kept_of<Site>();
    target = kept{};
    target.inner = inner_shape(Site{}, shape);
    std::size_t size = 0;
    for (std::size_t text = 0; text < chosen_.size(); ++text) {
      target.offset.push_back(size);
      target.rows += chosen_[text].size();
      size += chosen_[text].size() * target.inner[0] *
              (Site::layout == site_layout::position ? target.inner[1] : keys_[text]);
    }
    target.layers.resize(Site::per_layer ? shape.layers : 1);
    for (std::size_t layer = 0; layer < target.layers.size(); ++layer) {
      if (wants(Site{}, layer)) target.layers[layer].resize(size);
    }
  }

  positions where_;
  std::optional<std::vector<std::size_t>> layers_;
  std::optional<std::vector<std::string>> names_;
  std::vector<std::size_t> keys_;                 // [text]: tokens that its last one sees
  std::vector<std::vector<std::size_t>> chosen_;  // [text]
  std::array<kept, sizeof...(Sites)> store_;
};

/// `basic_capture` of floats, the scalar that models compute in by default.
template <class... Sites>
using capture = basic_capture<float, Sites...>;

}  // namespace optscope
