// SPDX-License-Identifier: MIT
#pragma once
// An observer that keeps activations of chosen sites, layers and positions.

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
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
/// cached tokens those of the chosen positions are kept that are run. Every run starts anew; of `generate` all runs are
/// kept, so that a text's rows are those of its prompt and of its new tokens, `positions::last()` being the last of
/// each run.
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

  /// The first of a text's positions that are kept.
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const {
    const std::vector<std::size_t>& rows = now_.chosen[text];
    return rows.empty() ? static_cast<std::size_t>(-1) : *std::ranges::min_element(rows);
  }

  /// Throws `bad_input` if a text has no token at one of the positions.
  void begin(const run_plan& plan) {
    if (plan.continues) {
      earlier_.push_back(std::move(now_));
    } else {
      earlier_.clear();
    }
    now_ = part{};
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
      now_.keys.push_back(plan.total(text));
      now_.chosen.push_back(where_.in(now_.keys[text], text));
      std::erase_if(now_.chosen[text], [&](std::size_t position) { return position < plan.first_position(text); });
    }
    shape_ = plan.shape;
    (allocate<Sites>(), ...);
  }
  /// Puts the runs of a generation together.
  void finish() {
    if (earlier_.empty()) return;
    earlier_.push_back(std::move(now_));
    now_ = part{};
    now_.keys = earlier_.back().keys;
    now_.chosen.resize(now_.keys.size());
    for (const part& run : earlier_) {
      for (std::size_t text = 0; text < run.chosen.size(); ++text) {
        now_.chosen[text].insert(now_.chosen[text].end(), run.chosen[text].begin(), run.chosen[text].end());
      }
    }
    (allocate<Sites>(), ...);
    (join<Sites>(), ...);
    earlier_.clear();
  }

  template <class Site, class T>
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    kept& target = kept_of<Site>(now_);
    Scalar* out = target.layers[at.layer].data() + target.offset[at.text];
    const std::vector<std::size_t>& rows = now_.chosen[at.text];
    if constexpr (Site::layout == site_layout::position) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] < at.first_position || rows[i] >= at.first_position + view.rows()) continue;
        // A layer of which neurons or heads were cut out fills the front of a row.
        std::ranges::copy(view.row(rows[i] - at.first_position), out + i * target.inner[0] * target.inner[1]);
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
    requires(Site::layout == site_layout::position)
  [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(Site, std::size_t layer = 0) const {
    const kept& source = kept_of<Site>(now_);
    return {source.layers.at(layer).data(), shape_of<Site>(source, source.rows)};
  }

  /// One text: the site's own shape with the chosen positions.
  template <class Site>
  [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(Site, std::size_t layer, std::size_t text) const {
    return view_of<Site>(now_, layer, text);
  }

  /// The extents of what is kept of a text of so many tokens. Throws as `begin` does.
  template <class Site>
  [[nodiscard]] std::array<std::size_t, Site::rank> extents(Site site, const architecture& shape, std::size_t length,
                                                            std::size_t text) const {
    const std::size_t rows = where_.in(length, text).size();
    const std::array<std::size_t, 2> inner = inner_shape(site, shape);
    if constexpr (Site::layout == site_layout::head) {
      return {inner[0], rows, length};
    } else if constexpr (Site::rank == 2) {
      return {rows, inner[0]};
    } else {
      return {rows, inner[0], inner[1]};
    }
  }
  [[nodiscard]] std::size_t texts() const noexcept { return now_.chosen.size(); }
  /// Layers of the model, 1 for sites without; those that are not wanted have an empty view.
  template <class Site>
  [[nodiscard]] std::size_t layers(Site) const {
    return kept_of<Site>(now_).layers.size();
  }
  /// The positions kept of a text, in the order of the rows.
  [[nodiscard]] const std::vector<std::size_t>& positions_of(std::size_t text) const { return now_.chosen.at(text); }
  /// The row of a position in what is kept of a text; none if it is not kept.
  [[nodiscard]] std::optional<std::size_t> row_of(std::size_t text, std::size_t position) const {
    const std::vector<std::size_t>& rows = positions_of(text);
    if (position < rows.size() && rows[position] == position) return position;
    const auto found = std::ranges::find(rows, position);
    if (found == rows.end()) return std::nullopt;
    return static_cast<std::size_t>(found - rows.begin());
  }

 private:
  struct kept {
    std::vector<std::vector<Scalar>> layers;  // [layer]: all texts
    std::vector<std::size_t> offset;          // [text]: first element
    std::size_t rows = 0;                     // positions of all texts together
    std::array<std::size_t, 2> inner{1, 1};   // (width), (head, width) or (head, -)
  };
  struct part {                                    // what is kept of one run
    std::vector<std::size_t> keys;                 // [text]: tokens that its last one sees
    std::vector<std::vector<std::size_t>> chosen;  // [text]
    std::array<kept, sizeof...(Sites)> store;
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
  template <class Site, class Part>
  static auto& kept_of(Part& run) {
    static_assert(sites::template contains<Site>, "this capture was not declared with that site");
    return run.store[slot_of<Site>()];
  }

  template <class Site>
  static tensor_view<const Scalar, Site::rank> view_of(const part& run, std::size_t layer, std::size_t text) {
    const kept& source = kept_of<Site>(run);
    const std::vector<Scalar>& rows = source.layers.at(layer);
    const Scalar* data = rows.empty() ? nullptr : rows.data() + source.offset.at(text);
    if constexpr (Site::layout == site_layout::position) {
      return {data, shape_of<Site>(source, run.chosen[text].size())};
    } else {
      return {data, {source.inner[0], run.chosen[text].size(), run.keys[text]}};
    }
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
  void allocate() {
    kept& target = kept_of<Site>(now_);
    target.inner = inner_shape(Site{}, shape_);
    std::size_t size = 0;
    for (std::size_t text = 0; text < now_.chosen.size(); ++text) {
      target.offset.push_back(size);
      target.rows += now_.chosen[text].size();
      size += now_.chosen[text].size() * target.inner[0] *
              (Site::layout == site_layout::position ? target.inner[1] : now_.keys[text]);
    }
    target.layers.resize(Site::per_layer ? shape_.layers : 1);
    for (std::size_t layer = 0; layer < target.layers.size(); ++layer) {
      if (wants(Site{}, layer)) target.layers[layer].resize(size);
    }
  }

  /// Copies a site of the earlier runs, one behind the other. Keys that a run did not have yet are hidden from it.
  template <class Site>
  void join() {
    kept& target = kept_of<Site>(now_);
    for (std::size_t layer = 0; layer < target.layers.size(); ++layer) {
      if (target.layers[layer].empty()) continue;
      for (std::size_t text = 0; text < now_.chosen.size(); ++text) {
        Scalar* const begin = target.layers[layer].data() + target.offset[text];
        const std::size_t rows = now_.chosen[text].size(), keys = now_.keys[text];
        std::size_t row = 0;
        for (const part& run : earlier_) {
          const tensor_view<const Scalar, Site::rank> view = view_of<Site>(run, layer, text);
          if constexpr (Site::layout == site_layout::position) {
            std::copy_n(view.data(), view.size(), begin + row * view.cols());
          } else {
            for (std::size_t head = 0; head < view.rows(); ++head) {
              for (std::size_t i = 0; i < view.extent(1); ++i) {
                Scalar* const out = begin + (head * rows + row + i) * keys;
                std::copy_n(view.row(head).data() + i * view.extent(2), view.extent(2), out);
                std::fill(out + view.extent(2), out + keys,
                          std::is_same_v<Site, site::scores> ? -std::numeric_limits<Scalar>::infinity() : Scalar{0});
              }
            }
          }
          row += run.chosen[text].size();
        }
      }
    }
  }

  positions where_;
  std::optional<std::vector<std::size_t>> layers_;
  std::optional<std::vector<std::string>> names_;
  architecture shape_;
  part now_;                   // of the last run, or of all of a generation
  std::vector<part> earlier_;  // of a generation under way
};

/// `basic_capture` of floats, the scalar that models compute in by default.
template <class... Sites>
using capture = basic_capture<float, Sites...>;

}  // namespace optscope
