// SPDX-License-Identifier: MIT
#pragma once
// The probes of one run, to which it shows the sites that they list.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/host_backend.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <tuple>
#include <type_traits>
#include <vector>

namespace optscope {

namespace detail {

/// Ranges of the numbers in `rows`, in any order, as they are in each of `blocks` blocks of `count` rows.
[[nodiscard]] std::vector<row_range> ranges_of(std::vector<std::size_t> rows, std::size_t count, std::size_t blocks);

/// The rows of a view (block, position, …) or (position, …) that a probe reads: by its member `rows`, else all.
template <class Site, class Probe>
[[nodiscard]] std::vector<row_range> rows_read_by(const Probe& probe, const place& at, std::size_t positions,
                                                  std::size_t blocks) {
  if constexpr (requires { std::vector<std::size_t>{probe.rows(Site{}, at, positions)}; }) {
    return ranges_of(probe.rows(Site{}, at, positions), positions, blocks);
  } else {
    return {{.first = 0, .count = positions * blocks}};
  }
}

}  // namespace detail

/// References to the probes of a run in scalar T. Sites that none of them lists leave no code.
template <class T, class... Probes>
class probe_set {
 public:
  explicit probe_set(Probes&... probes) : probes_{probes...} {}

  /// True if the type of a probe lists the site, and if one edits it.
  template <class Site>
  static constexpr bool lists = (lists_site<Probes, Site> || ...);
  template <class Site>
  static constexpr bool edits = (edits_site<Probes, Site, T> || ...);

  /// True if a probe wants the site in this layer.
  template <class Site>
  [[nodiscard]] bool wants([[maybe_unused]] std::size_t layer) const {
    if constexpr (lists<Site>) {
      return std::apply([&](const auto&... probe) { return (optscope::wants<Site>(probe, layer) || ...); }, probes_);
    } else {
      return false;
    }
  }

  /// Shows a site of one text, a view of the backend's memory, to the probes that want it, in the order in which they
  /// were given to the run.
  template <class Site, class Backend>
  void show([[maybe_unused]] Backend& backend, [[maybe_unused]] const place& at,
            [[maybe_unused]] tensor_view<T, Site::rank, typename Backend::space> view) {
    if constexpr (lists<Site>) {
      std::apply([&](auto&... probe) { (show_to<Site>(backend, probe, at, view), ...); }, probes_);
    }
  }

  /// Number of layers that must run: up to the last one in which a probe wants a site.
  [[nodiscard]] std::size_t layers_needed(std::size_t layers) const {
    std::size_t needed = 0;
    std::apply([&](const auto&... probe) { (raise_layers_needed(probe, layers, needed), ...); }, probes_);
    return needed;
  }

  /// The first position of a text that a probe wants of the last layer, in [first, end): a probe without `first_wanted`
  /// wants all.
  [[nodiscard]] std::size_t first_wanted(std::size_t text, std::size_t first, std::size_t end) const {
    std::size_t wanted = end;
    std::apply([&](const auto&... probe) { ((wanted = std::min(wanted, first_wanted_by(probe, text, first))), ...); },
               probes_);
    return std::max(first, wanted);
  }

 private:
  template <class Site, class Backend, class Probe>
  static void show_to(Backend& backend, Probe& probe, const place& at,
                      tensor_view<T, Site::rank, typename Backend::space> view) {
    if constexpr (lists_site<Probe, Site>) {
      if (!optscope::wants<Site>(probe, at.layer)) return;
      constexpr bool edits = edits_site<Probe, Site, T>;
      constexpr bool by_head = Site::layout == site_layout::head;
      using shown = tensor_view<std::conditional_t<edits, T, const T>, Site::rank, typename Backend::space>;
      if constexpr (Backend::space::host) {
        probe(Site{}, at, shown{view});
      } else if constexpr (requires { probe(Site{}, at, shown{view}, backend); }) {
        if constexpr (std::is_same_v<decltype(probe(Site{}, at, shown{view}, backend)), bool>) {
          if (!probe(Site{}, at, shown{view}, backend)) show_lent<Site, edits>(backend, probe, at, view);
        } else {
          probe(Site{}, at, shown{view}, backend);
        }
      } else {
        show_lent<Site, edits>(backend, probe, at, view);
      }
      if constexpr (edits && by_head) backend.hide_later_keys(view, static_cast<T>(Site::info.later_keys));
    }
  }

  /// Shows the host's view of what the backend has: of the rows that the probe reads.
  template <class Site, bool Edits, class Backend, class Probe>
  static void show_lent(Backend& backend, Probe& probe, const place& at,
                        tensor_view<T, Site::rank, typename Backend::space> view) {
    using scalar = std::conditional_t<Edits, T, const T>;
    constexpr bool by_head = Site::layout == site_layout::head;
    const std::vector<row_range> rows =
        detail::rows_read_by<Site>(probe, at, view.extent(by_head ? 1 : 0), by_head ? view.rows() : 1);
    const auto body = [&](auto lent) {
      if constexpr (by_head) {
        probe(Site{}, at, tensor_view<scalar, 3>{lent.template reshape<3>(view.shape())});
      } else {
        probe(Site{}, at, tensor_view<scalar, Site::rank>{lent});
      }
    };
    const auto lend = [&](auto from) {
      if constexpr (Edits) {
        backend.edit(from, std::span<const row_range>{rows}, body);
      } else {
        backend.read(tensor_view<const T, decltype(from)::rank, typename Backend::space>{from},
                     std::span<const row_range>{rows}, body);
      }
    };
    if constexpr (by_head) {
      lend(view.template reshape<2>({view.rows() * view.extent(1), view.extent(2)}));
    } else {
      lend(view);
    }
  }

  template <class Probe>
  static void raise_layers_needed(const Probe& probe, std::size_t layers, std::size_t& needed) {
    Probe::sites::for_each([&]<class Site>(Site) {
      if constexpr (Site::per_layer) {
        for (std::size_t layer = needed; layer < layers; ++layer) {
          if (optscope::wants<Site>(probe, layer)) needed = layer + 1;
        }
      } else if constexpr (Site::stage == site_stage::output) {
        if (optscope::wants<Site>(probe, 0)) needed = layers;
      }
    });
  }

  template <class Probe>
  static std::size_t first_wanted_by(const Probe& probe, [[maybe_unused]] std::size_t text, std::size_t first) {
    if constexpr (requires { probe.first_wanted(text); }) return static_cast<std::size_t>(probe.first_wanted(text));
    return first;
  }

  std::tuple<Probes&...> probes_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/probe_set.ipp>
#endif
