// SPDX-License-Identifier: MIT
#pragma once
// Operations of editors that insert what another run had: its means, its modes, or the vectors themselves.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// The half-sample mode: the half of the sorted values that lies closest together, the half of that, and so on.
/// For neurons after a ReLU that is 0 where most are 0. Reorders `values`. (Bickel and Frühwirth 2006.)
[[nodiscard]] double half_sample_mode(std::span<double> values);

namespace detail {
[[nodiscard]] double mean_of(std::span<double> values);
/// Throws `bad_input` if a captured row has fewer than `expected` elements.
void require_captured_width(std::size_t expected, std::size_t found);
/// For `patch`: throws `bad_input` unless a recorded text of this many tokens, or none, has what is to be patched.
void check_recorded(const run_plan& plan, std::size_t text, const std::vector<std::size_t>& positions, bool all,
                    std::optional<std::size_t> recorded, const std::string& item);
/// For `resample`: a number that depends on nothing but the three, each equally likely.
[[nodiscard]] std::uint64_t draw_of(std::uint64_t seed, std::size_t text, std::size_t other);

/// [layer][unit]: `number(values)` of what a capture kept of each unit, empty for layers without.
template <class Capture, class Site, class Number>
std::vector<std::vector<double>> of_units(const Capture& recorded, Site site, Number&& number) {
  static_assert(Site::layout == site_layout::position, "units of this site are keys");
  static_assert(
      requires { recorded(site, std::size_t{}).rows(); },
      "means and modes are of a capture; means are also of running statistics with mean() and count()");
  std::vector<std::vector<double>> result(recorded.layers(site));
  std::vector<double> values;
  for (std::size_t layer = 0; layer < result.size(); ++layer) {
    if (!recorded.keeps(site, layer)) continue;
    const auto rows = recorded(site, layer);  // (vector, ...)
    if (rows.rows() == 0) continue;
    for (std::size_t unit = 0; unit < rows.cols(); ++unit) {
      values.clear();
      for (std::size_t row = 0; row < rows.rows(); ++row) values.push_back(rows.row(row)[unit]);
      result[layer].push_back(number(std::span<double>{values}));
    }
  }
  return result;
}

/// [layer][unit]: the means of what was recorded, empty for layers without. `Recorded` is a capture, or statistics of
/// units that have `mean()` and `count()`.
template <class Recorded, class Site>
std::vector<std::vector<double>> means_of(const Recorded& recorded, Site site) {
  if constexpr (requires { recorded(site, std::size_t{}).mean(); }) {
    std::vector<std::vector<double>> result(recorded.layers(site));
    for (std::size_t layer = 0; layer < result.size(); ++layer) {
      if (!recorded.keeps(site, layer)) continue;
      const auto& passed = recorded(site, layer);
      if (passed.count() != 0) result[layer] = passed.mean();
    }
    return result;
  } else {
    return of_units(recorded, site, mean_of);
  }
}
}  // namespace detail

/// x = the mean of recorded vectors, layer by layer, or any values given.
///
///     edit<site::mlp_post>(mean{recorded, site::mlp_post{}}, where{}.layers({3}))
///
/// `recorded` is a capture, or, where there is too much to keep, `running<running_moments, site::mlp_post>`.
struct mean : set {
  static constexpr std::string_view name = "mean";
  explicit mean(unit_values given) : set{std::move(given)} {}
  template <class Recorded, class Site>
  mean(const Recorded& recorded, Site site) : set{detail::means_of(recorded, site)} {}
};

/// x = the modes of recorded vectors, unit by unit (`half_sample_mode`), layer by layer, or any values given.
struct mode : set {
  static constexpr std::string_view name = "mode";
  explicit mode(unit_values given) : set{std::move(given)} {}
  template <class Capture, class Site>
  mode(const Capture& recorded, Site site) : set{detail::of_units(recorded, site, half_sample_mode)} {}
};

namespace detail {
/// Copies a captured vector to x; false if the capture has none of that text and position.
template <class Capture, class Site, class T>
bool copy_vector(const Capture& recorded, Site site, std::size_t text, const vector_place& at, std::span<T> x) {
  const std::optional<std::size_t> found = recorded.row_of(text, at.position);
  if (!found || !recorded.keeps(site, at.layer)) return false;
  const std::size_t row = *found;
  const auto view = recorded(site, at.layer, text);
  if constexpr (Site::layout == site_layout::head) {  // the keys that both have; later ones are hidden
    const std::size_t keys = view.extent(2);
    std::copy_n(view.row(at.head).data() + row * keys, std::min(keys, x.size()), x.begin());
  } else {
    const std::span<const typename decltype(view)::value_type> source = view.row(row);
    require_captured_width((at.head + 1) * x.size(), source.size());
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(at.head * x.size()), x.size(), x.begin());
  }
  return true;
}
}  // namespace detail

/// x = what a capture of another run has at the same site, layer, position and head; of the same text, or of text
/// `from[text]`. Positions and layers that the capture left out are not changed. The capture must outlive the editor.
///
/// Throws `bad_input` before a run if a text has no recorded one, if that has another number of tokens, or, where
/// positions are chosen, if it does not have these; see `may_lack`. In a generation the prompts are compared.
template <class Capture>
class patch {
 public:
  static constexpr std::string_view name = "patch";
  explicit patch(const Capture& recorded, std::vector<std::size_t> from = {})
      : recorded_{&recorded}, from_{std::move(from)} {}

  /// Texts and positions that the recording does not have are then left as they are.
  patch& may_lack() noexcept {
    may_lack_ = true;
    return *this;
  }

  template <class Site, class T>
    requires(Capture::sites::template contains<Site>)
  bool operator()(Site site, std::span<T> x, const vector_place& at) const {
    const std::optional<std::size_t> text = source(at.text);
    return text && detail::copy_vector(*recorded_, site, *text, at, x);
  }

  /// For an editor, before a run: `positions` of a text are to be patched, `all` says that those are all it has.
  void check(const run_plan& plan, std::size_t text, const std::vector<std::size_t>& positions, bool all,
             const std::string& item) const {
    if (may_lack_) return;
    const std::optional<std::size_t> from = source(text);
    detail::check_recorded(plan, text, positions, all, from ? std::optional{recorded_->tokens_of(*from)} : std::nullopt,
                           item);
  }

 private:
  [[nodiscard]] std::optional<std::size_t> source(std::size_t text) const {
    if (!from_.empty() && text >= from_.size()) return std::nullopt;
    const std::size_t from = from_.empty() ? text : from_[text];
    return from < recorded_->texts() ? std::optional{from} : std::nullopt;
  }

  const Capture* recorded_;
  std::vector<std::size_t> from_;
  bool may_lack_ = false;
};

/// x = what a capture has at the same place of another text, never the one of the same index. The other text is drawn
/// once for each text and position from those that have the position; it is the same for all layers and heads, and the
/// same whenever the seed is the same.
template <class Capture>
class resample {
 public:
  static constexpr std::string_view name = "resample";
  explicit resample(const Capture& recorded, std::uint64_t seed = 0) : recorded_{&recorded}, seed_{seed} {}

  template <class Site, class T>
    requires(Capture::sites::template contains<Site>)
  bool operator()(Site site, std::span<T> x, const vector_place& at) const {
    const std::size_t text = source(at.text, at.position);
    return text != none && detail::copy_vector(*recorded_, site, text, at, x);
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  /// The text from which a position of a text is taken: the one with the smallest hash among those that have the
  /// position, so that all positions that the drawn text has come from it. `none` if no other text has it.
  [[nodiscard]] std::size_t source(std::size_t text, std::size_t position) const {
    std::size_t best = none;
    std::uint64_t lowest = 0;
    for (std::size_t other = 0; other < recorded_->texts(); ++other) {
      if (other == text || !recorded_->row_of(other, position)) continue;
      const std::uint64_t drawn = detail::draw_of(seed_, text, other);
      if (best != none && drawn >= lowest) continue;
      best = other;
      lowest = drawn;
    }
    return best;
  }

 private:
  const Capture* recorded_;
  std::uint64_t seed_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/replace.ipp>
#endif
