// SPDX-License-Identifier: MIT
#pragma once
// An observer that keeps activations of chosen sites, layers and positions.

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/capture_storage.hpp>
#include <optscope/probe/positions.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Keeps the activations of `Sites` at chosen positions as `Scalar`, float or double.
///
///     capture<site::attn_out, site::resid_post> probe{positions::strided(475, 4, 10)};
///     opt.run(texts, probe);
///     tensor_view<const float, 2> vectors = probe(site::attn_out{}, 3);    // (vector, hidden), text by text
///     tensor_view<const float, 2> one = probe(site::attn_out{}, 3, 0);     // (position, hidden) of text 0
///     xt::xtensor<float, 2> copy = probe(site::attn_out{}, 3);
///
/// Memory: positions x width x layers of each site, allocated before the run starts. For sites laid out by head
/// (`scores`, `pattern`) the positions choose rows: (head, position, key), one text at a time. In a run that follows
/// cached tokens, the chosen positions among the new tokens are kept. Every run starts anew. Of `generate` all runs are
/// kept: the rows of a text are those of its prompt and of its new tokens, and `positions::last()` is the last position
/// of each run.
template <class Scalar, class... Sites>
class basic_capture {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>, "a capture keeps float or double");

 public:
  using sites = site_list<Sites...>;

  explicit basic_capture(positions where = positions::all()) : kept_{sites::infos, std::move(where)} {}

  /// Leaves out other layers; sites without a layer stay.
  basic_capture& only_layers(std::vector<std::size_t> layers) {
    kept_.only_layers(std::move(layers));
    return *this;
  }
  /// Leaves out the sites that have none of these names: for programs that learn at run time which are wanted.
  basic_capture& only_sites(std::vector<std::string> names) {
    kept_.only_sites(std::move(names));
    return *this;
  }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return kept_.wants(index<Site>(), layer);
  }
  /// The first of a text's positions that are kept.
  [[nodiscard]] std::size_t first_wanted(std::size_t text) const { return kept_.first_wanted(text); }
  /// Those of the positions that a run is about to show.
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    return kept_.rows(at, count);
  }

  /// Throws `bad_input` if a text has no token at one of the positions, or the model none of the chosen layers.
  void begin(const run_plan& plan) { kept_.begin(plan); }
  /// Puts the runs of a generation together.
  void finish() { kept_.finish(); }

  template <class Site, class T>
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    kept_.keep(index<Site>(), at, tensor_view<const T, 3>{detail::three_axes(view)});
  }

  /// All texts, one after the other: (vector, width) or (vector, head, width); vectors text by text, positions as
  /// chosen. Throws `bad_input` for a layer or site that was left out or that the model lacks, and before the first
  /// run.
  template <class Site>
    requires(Site::layout == site_layout::position)
  [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(Site, std::size_t layer = 0) const {
    return detail::axes_of<Site>(kept_.all_texts(index<Site>(), layer));
  }

  /// One text: the site's own shape with the chosen positions. Throws as above, and for a text
  /// that was not in the run.
  template <class Site>
  [[nodiscard]] tensor_view<const Scalar, Site::rank> operator()(Site, std::size_t layer, std::size_t text) const {
    return detail::axes_of<Site>(kept_.one_text(index<Site>(), layer, text));
  }

  [[nodiscard]] std::size_t texts() const noexcept { return kept_.texts(); }
  /// Layers of the model, 1 for sites without layers; reading one that was left out throws `bad_input`.
  template <class Site>
  [[nodiscard]] std::size_t layers(Site) const {
    return kept_.layers(index<Site>());
  }
  /// Whether the last run was kept at a layer of a site.
  template <class Site>
  [[nodiscard]] bool keeps(Site, std::size_t layer) const {
    return kept_.keeps(index<Site>(), layer);
  }
  /// The positions kept of a text, in the order of the rows. Throws `bad_input` for a text that was not in the run.
  [[nodiscard]] const std::vector<std::size_t>& positions_of(std::size_t text) const {
    return kept_.positions_of(text);
  }
  /// Tokens of a text once the last run was over, kept or not. Throws `bad_input` for a text that was not in the run.
  [[nodiscard]] std::size_t tokens_of(std::size_t text) const { return kept_.tokens_of(text); }
  /// The row of a position in what is kept of a text; none if it is not kept.
  [[nodiscard]] std::optional<std::size_t> row_of(std::size_t text, std::size_t position) const {
    return kept_.row_of(text, position);
  }

  /// The name of a text in `named_texts`, such as its file; "text 3" if it has none.
  [[nodiscard]] std::string name_of(std::size_t text) const { return kept_.name_of(text); }
  /// The text and the position that a row of all texts is of. Throws `bad_input` for a row that there is not.
  [[nodiscard]] captured_row origin(std::size_t row) const { return kept_.origin(row); }

  /// What is kept, by the index of a site in `sites`: for code that does not depend on the sites.
  [[nodiscard]] const detail::capture_storage<Scalar>& storage() const noexcept { return kept_; }

 private:
  template <class Site>
  static constexpr std::size_t index() {
    static_assert(sites::template contains<Site>, "this capture was not declared with that site");
    return sites::template index<Site>;
  }

  detail::capture_storage<Scalar> kept_;
};

/// `basic_capture` of floats, the scalar that models compute in by default.
template <class... Sites>
using capture = basic_capture<float, Sites...>;

}  // namespace optscope
