// SPDX-License-Identifier: MIT
#pragma once
// The probes of one run, to which it shows the sites that they list.

#include <algorithm>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <tuple>
#include <type_traits>

namespace optscope {

namespace detail {

/// square (head, position, key): sets what no position sees, the keys after it, to `hidden`.
template <class T>
void hide_later_keys(tensor_view<T, 3> square, T hidden);

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

  /// Shows a site of one text to the probes that want it, in the order in which they were given to the run.
  template <class Site>
  void show([[maybe_unused]] const place& at, [[maybe_unused]] tensor_view<T, Site::rank> view) {
    if constexpr (lists<Site>) std::apply([&](auto&... probe) { (show_to<Site>(probe, at, view), ...); }, probes_);
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
  template <class Site, class Probe>
  static void show_to(Probe& probe, const place& at, tensor_view<T, Site::rank> view) {
    if constexpr (lists_site<Probe, Site>) {
      if (!optscope::wants<Site>(probe, at.layer)) return;
      if constexpr (edits_site<Probe, Site, T>) {
        probe(Site{}, at, view);
        if constexpr (Site::layout == site_layout::head) {
          detail::hide_later_keys(view, static_cast<T>(Site::info.later_keys));
        }
      } else {
        probe(Site{}, at, tensor_view<const T, Site::rank>{view});
      }
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
