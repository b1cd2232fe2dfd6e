// SPDX-License-Identifier: MIT
#pragma once
// The probe concept: what a type needs so that a run can show it activations.

#include <concepts>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <string>
#include <type_traits>
#include <vector>

namespace optscope {

/// What a run is going to do; probes are told before it starts.
struct run_plan {
  architecture shape;
  std::vector<std::size_t> lengths;      ///< [text]: tokens that are run; 0: no site of the text is shown
  std::vector<std::size_t> cached = {};  ///< [text]: tokens before those, from earlier runs; empty: none
  std::size_t first_layer = 0;           ///< layers below it are not run, and their sites are not shown
  bool continues = false;                ///< a later step of a generation: the texts are those of the previous run
  std::vector<std::string> names = {};   ///< [text]: those of `named_texts`; empty: none

  /// Position of the first token that is run.
  [[nodiscard]] std::size_t first_position(std::size_t text) const { return cached.empty() ? 0 : cached[text]; }
  /// Number of tokens that the last one sees, itself included.
  [[nodiscard]] std::size_t total(std::size_t text) const { return first_position(text) + lengths[text]; }
  /// The name of a text, such as its file; "text 3" if it has none.
  [[nodiscard]] std::string name_of(std::size_t text) const;
  /// Throws `bad_input` about a text, by its name.
  [[noreturn]] void refuse(std::size_t text, std::string expected, std::string found) const;
};

namespace detail {
template <class Probe, class T, class Site>
concept takes = requires(Probe probe, place at, tensor_view<T, Site::rank> view) { probe(Site{}, at, view); };
template <class Probe, class T, class Site>
inline constexpr bool observes_or_edits = takes<Probe, const T, Site> || takes<Probe, T, Site>;

template <class Probe>
inline constexpr bool lists_sites = requires { typename std::remove_cvref_t<Probe>::sites; };

template <class Probe, class T, class List>
struct takes_all {
  static_assert(std::is_void_v<List>, "the `sites` of this probe is not a site_list<...>");
  static constexpr bool value = false;
};
template <class Probe, class T, class... Sites>
struct takes_all<Probe, T, site_list<Sites...>> {
  static_assert((observes_or_edits<Probe, T, Sites> && ...),
                "this probe lists a site in `sites` but has no call operator (site, place, tensor_view<const T, rank>) "
                "for it, or with T instead of const T to edit it, T being the scalar of the model");
  static constexpr bool value = (observes_or_edits<Probe, T, Sites> && ...);
};

/// A site's tensor with three axes, (row, width, 1) if it has two: what code takes that does not depend on the site.
template <class T, std::size_t Rank>
[[nodiscard]] tensor_view<T, 3> three_axes(tensor_view<T, Rank> view) {
  if constexpr (Rank == 3) {
    return view;
  } else {
    return view.template reshape<3>({view.rows(), view.cols(), std::size_t{1}});
  }
}
/// The way back.
template <class Site, class T>
[[nodiscard]] tensor_view<T, Site::rank> axes_of(tensor_view<T, 3> view) {
  if constexpr (Site::rank == 3) {
    return view;
  } else {
    return view.template reshape<2>({view.rows(), view.cols()});
  }
}

/// Those of `positions` that are among the `count` from `first` on, counted from there: for the member `rows` of
/// probes.
[[nodiscard]] std::vector<std::size_t> rows_among(const std::vector<std::size_t>& positions, std::size_t first,
                                                  std::size_t count);

// The optional members.
template <class Probe>
void begin(Probe& probe, const run_plan& plan) {
  if constexpr (requires { probe.begin(plan); }) probe.begin(plan);
}
template <class Probe>
void end(Probe& probe) {
  if constexpr (requires { probe.end(); }) probe.end();
}
template <class Probe>
void finish(Probe& probe) {
  if constexpr (requires { probe.finish(); }) probe.finish();
}
}  // namespace detail

/// A type that lists the sites it wants and has a call operator for each:
///
///     struct largest_neuron {
///       using sites = site_list<site::mlp_post>;
///       void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> neurons);  // (position, ffn)
///     };
///
/// An editor takes `tensor_view<float, 2>` instead and may change what it is shown: the forward pass continues with
/// that, and the probes that follow in the call of `run` see it. Keys that a position cannot see stay hidden in
/// `scores` and `pattern`, whatever an editor writes there.
///
/// The forward pass calls a probe on one thread, layer by layer and within a layer text by text. Sites that no probe
/// lists leave no trace in the program. Optional members:
///
/// * `void begin(const run_plan&)` is called before the first site, `void end()` after the last one, `void finish()`
///   after the `end` of a run; in a generation only after that of its last run.
/// * `bool wants(Site, std::size_t layer) const` leaves out layers or sites at run time.
/// * `std::size_t first_wanted(std::size_t text) const`: of the last layer's sites from `scores` on, and of the sites
///   after that layer, the probe needs only the positions from this one on. Earlier ones are skipped if no other probe
///   needs them.
/// * `std::vector<std::size_t> rows(Site, const place&, std::size_t count) const`: which of the `count` positions that
/// it
///   is shown the probe reads or edits. Where the backend's memory is not the host's, only these are fetched; the
///   others in the view are then unspecified.
/// * Where the backend's memory is not the host's, a call operator `(site, place, view, backend)` is called instead,
///   with a view of the backend's memory. If it returns false, it has done nothing, and the host's view follows.
template <class Probe, class T>
concept probe_for = detail::lists_sites<Probe> &&
                    detail::takes_all<std::remove_cvref_t<Probe>, T, typename std::remove_cvref_t<Probe>::sites>::value;

namespace detail {
/// For functions that take probes: true, or a compile error that says what a type lacks.
template <class T, class... Probes>
[[nodiscard]] constexpr bool are_probes() {
  constexpr bool listed = (lists_sites<Probes> && ...);
  static_assert(
      listed,
      "a probe lists the sites that it wants to be shown, such as `using sites = site_list<site::mlp_post>;`: "
      "core/probe.hpp says what else it has");
  if constexpr (listed) {
    return (probe_for<Probes, T> && ...);
  } else {
    return false;
  }
}
}  // namespace detail

/// True if the probe's type lists the site.
template <class Probe, class Site>
inline constexpr bool lists_site = std::remove_cvref_t<Probe>::sites::template contains<Site>;

/// True if the probe's type edits the site: its call operator does not take a constant view of T.
template <class Probe, class Site, class T>
inline constexpr bool edits_site = lists_site<Probe, Site> && !detail::takes<std::remove_cvref_t<Probe>, const T, Site>;

/// True if the probe wants the site in this layer.
template <class Site, class Probe>
[[nodiscard]] bool wants(const Probe& probe, std::size_t layer) {
  if constexpr (!lists_site<Probe, Site>) {
    return false;
  } else if constexpr (requires { probe.wants(Site{}, layer); }) {
    return probe.wants(Site{}, layer);
  } else {
    return true;
  }
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/probe.ipp>
#endif
