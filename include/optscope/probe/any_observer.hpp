// SPDX-License-Identifier: MIT
#pragma once
// An observer whose sites and actions are chosen at run time: one type for all analyses that are not in a hurry.

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// The actions of a `basic_any_observer`, without its sites.
template <class T>
class observed_sites {
 public:
  using action = std::function<void(const place&, tensor_view<const T, 3>)>;

  /// Throws `bad_input` if none of `sites` has that name.
  void add(std::string_view site, action what, std::optional<std::vector<std::size_t>> layers,
           std::span<const site_info* const> sites);
  [[nodiscard]] bool wants(const site_info& site, std::size_t layer) const;
  void show(const site_info& site, const place& at, tensor_view<const T, 3> rows) const;

 private:
  struct entry {
    const site_info* site;
    action what;
    std::optional<std::vector<std::size_t>> layers;
    [[nodiscard]] bool wants(const site_info& of, std::size_t layer) const;
  };
  std::vector<entry> entries_;
};
}  // namespace detail

/// Calls functions with the activations of sites that are named at run time:
///
///     any_observer probe;
///     double largest = 0;
///     probe.at("mlp_post", [&](const place& at, tensor_view<const float, 3> neurons) {  // (position, ffn, 1)
///       for (std::size_t i = 0; i < neurons.rows(); ++i) largest = std::max<double>(largest, neurons(i, 17, 0));
///     }, {{3, 4}});  // layers; without them all
///     opt.run(texts, probe);
///
/// Every view has three axes: (position, width, 1), (position, head, width) or (head, position, key). A run costs one
/// check per site and layer more than with an observer whose sites are a type, and an indirect call per text and site.
/// All analyses that use this type share one forward pass in a program, which is compiled once: prefer it where a run
/// is not the bulk of the work, or compiling is.
template <class Scalar = float, class Sites = common_sites>
class basic_any_observer {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>, "models compute in float or double");

 public:
  using sites = Sites;
  using action = typename detail::observed_sites<Scalar>::action;

  /// Adds an action; several at one site are called in the order in which they were added. Throws `bad_input` if there
  /// is no such site.
  basic_any_observer& at(std::string_view site, action what,
                         std::optional<std::vector<std::size_t>> layers = std::nullopt) {
    observed_.add(site, std::move(what), std::move(layers), sites::infos);
    return *this;
  }
  /// Called before a run with its plan.
  basic_any_observer& before(std::function<void(const run_plan&)> what) {
    before_ = std::move(what);
    return *this;
  }

  void begin(const run_plan& plan) const {
    if (before_) before_(plan);
  }
  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return observed_.wants(Site::info, layer);
  }
  template <class Site>
  void operator()(Site, const place& at, tensor_view<const Scalar, Site::rank> rows) const {
    observed_.show(Site::info, at, detail::three_axes(rows));
  }

 private:
  detail::observed_sites<Scalar> observed_;
  std::function<void(const run_plan&)> before_;
};

/// For models that compute in float.
using any_observer = basic_any_observer<>;

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/any_observer.ipp>
#endif
