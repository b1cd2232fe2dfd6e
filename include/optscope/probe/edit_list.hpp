// SPDX-License-Identifier: MIT
#pragma once
// An editor whose sites, operations and places are data: what a file or a search says at run time.

#include <cstddef>
#include <functional>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Any number of edits, in the order in which they were added:
///
///     edit_list edits;
///     edits.add("mlp_post", zero{}, where{}.layers({0}).units(neurons));
///     edits.add("z", set{means}, where{}.layers({3}).heads({1, 7}));
///     generate(opt, prompts, what, edits);
///
/// Throws as `editor` does, each edit for itself.
template <class Scalar = float, class Sites = common_sites>
class basic_edit_list {
 public:
  using sites = Sites;

  /// Throws `bad_input` if there is no such site.
  template <class Operation>
  basic_edit_list& add(std::string_view site, Operation operation, where chosen = {}) {
    bool found = false;
    sites::for_each([&]<class Site>(Site) {
      if constexpr (operation_on<Operation, Site, Scalar>) {
        if (Site::name != site) return;
        found = true;
        edits_.push_back({site_index<Site>(), std::string{site}, any_operation{Site{}, operation}, chosen});
      }
    });
    if (!found) throw bad_input{"", "edit", "a site that can be edited so", std::string{site}};
    return *this;
  }
  basic_edit_list& may_not_fire() {
    for (entry& each : edits_) each.edit.may_not_fire();
    return *this;
  }

  [[nodiscard]] std::size_t size() const noexcept { return edits_.size(); }
  /// Vectors that an edit changed in the last run or generation.
  [[nodiscard]] std::size_t fired(std::size_t index) const { return edits_.at(index).edit.fired(); }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    for (const entry& each : edits_) {
      if (each.site == site_index<Site>() && (!Site::per_layer || each.edit.chosen().has_layer(layer))) return true;
    }
    return false;
  }
  void begin(const run_plan& plan) {
    for (entry& each : edits_) {
      sites::for_each([&]<class Site>(Site site) {
        if (each.site == site_index<Site>()) each.edit.chosen().check(site, plan, each.edit.text(each.name));
      });
      each.edit.begin(plan);
    }
  }
  template <class Site>
  void operator()(Site, const place& at, tensor_view<Scalar, Site::rank> view) {
    for (entry& each : edits_) {
      if (each.site != site_index<Site>() || (Site::per_layer && !each.edit.chosen().has_layer(at.layer))) continue;
      each.edit.template edit<Site>(at, view);
    }
  }
  void finish() const {
    for (const entry& each : edits_) each.edit.finish(each.name);
  }

 private:
  /// An operation bound to a site, its type forgotten.
  struct any_operation {
    template <class Site, class Operation>
    any_operation(Site, Operation operation)
        : name{detail::name_of(operation)},
          call{[operation = std::move(operation)](std::span<Scalar> x, const vector_place& at) mutable {
            return detail::operate<Site>(operation, x, at);
          }} {}
    bool operator()(std::span<Scalar> x, const vector_place& at) { return call(x, at); }
    std::string name;
    std::function<bool(std::span<Scalar>, const vector_place&)> call;
  };
  struct entry {
    std::size_t site;
    std::string name;
    detail::placed_operation<any_operation> edit;
    entry(std::size_t of, std::string called, any_operation operation, where chosen)
        : site{of}, name{std::move(called)}, edit{std::move(operation), std::move(chosen)} {}
  };

  template <class Site>
  static std::size_t site_index() {
    std::size_t index = 0, found = 0;
    sites::for_each([&]<class Other>(Other) {
      if (std::is_same_v<Other, Site>) found = index;
      ++index;
    });
    return found;
  }

  std::vector<entry> edits_;
};

using edit_list = basic_edit_list<>;

}  // namespace optscope
