// SPDX-License-Identifier: MIT
#pragma once
// An editor whose sites, operations and places are data: what a file or a search says at run time.

#include <concepts>
#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/editor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// An operation without its type.
template <class T>
struct any_operation {
  std::string name;
  std::function<bool(std::span<T>, const vector_place&)> call;
  std::function<void(std::span<T>, std::span<T>, const vector_place&)> affine = {};  // empty: it is not
  std::function<void(const run_plan&, std::size_t, const std::vector<std::size_t>&, bool, const std::string&)> checked =
      {};  // empty: nothing is

  bool operator()(std::span<T> x, const vector_place& at) { return call(x, at); }
  void check(const run_plan& plan, std::size_t text, const std::vector<std::size_t>& positions, bool all,
             const std::string& item) const {
    if (checked) checked(plan, text, positions, all, item);
  }
  [[nodiscard]] bool is_affine() const { return static_cast<bool>(affine); }
  void as_affine(std::span<T> factor, std::span<T> addend, const vector_place& at) const { affine(factor, addend, at); }
};

/// True if an operation is given the site of a vector.
template <class Operation, class T, class List>
inline constexpr bool takes_a_site = false;
template <class Operation, class T, class... Sites>
inline constexpr bool takes_a_site<Operation, T, site_list<Sites...>> =
    (std::invocable<Operation&, Sites, std::span<T>, const vector_place&> || ...);

/// The edits of a `basic_edit_list`, without its sites.
template <class T>
class edit_sequence {
 public:
  void add(const site_info& site, any_operation<T> operation, where chosen);
  /// The error for a site that is none of `sites`, or that the operation cannot edit.
  [[noreturn]] static void refuse(std::string_view site, std::string_view operation,
                                  std::span<const site_info* const> sites);
  void may_not_fire();
  [[nodiscard]] std::size_t size() const noexcept { return edits_.size(); }
  [[nodiscard]] std::size_t fired(std::size_t index) const { return edits_.at(index).operation.place().fired(); }
  [[nodiscard]] bool wants(const site_info& site, std::size_t layer) const;
  void begin(const run_plan& plan);
  [[nodiscard]] std::vector<std::size_t> rows(const site_info& site, const place& at, std::size_t count) const;
  void edit(const site_info& site, const place& at, tensor_view<T, 3> view);
  /// In a device's memory; false if one of the edits cannot be done there: then nothing was.
  template <std::size_t Rank, class Space, class Backend>
  bool edit_there(const site_info& site, const place& at, tensor_view<T, Rank, Space> view, Backend& backend) {
    for (const entry& each : edits_) {
      if (each.acts_on(site, at.layer) && !each.operation.template edits_there<T>(site)) return false;
    }
    for (entry& each : edits_) {
      if (each.acts_on(site, at.layer)) each.operation.edit_there(at, view, backend);
    }
    return true;
  }
  void finish() const;

 private:
  struct entry {
    const site_info* site;
    placed_operation<any_operation<T>> operation;
    [[nodiscard]] bool acts_on(const site_info& of, std::size_t layer) const;
  };
  std::vector<entry> edits_;
};
}  // namespace detail

/// Any number of edits, in the order in which they were added:
///
///     edit_list edits;
///     edits.add("mlp_post", zero{}, where{}.layers({0}).units(neurons));
///     edits.add("z", set{means}, where{}.layers({3}).heads({1, 7}));
///     generate(opt, prompts, what, edits);
///
/// Each edit throws as `editor` does. `Scalar`: float or double.
template <class Scalar = float, class Sites = common_sites>
class basic_edit_list {
 public:
  using sites = Sites;

  /// Throws `bad_input` if there is no such site, or if the operation cannot edit it.
  template <class Operation>
  basic_edit_list& add(std::string_view site, Operation operation, where chosen = {}) {
    const std::string name = detail::name_of(operation);
    std::function<void(std::span<Scalar>, std::span<Scalar>, const vector_place&)> affine;
    if constexpr (affine_operation<Operation, Scalar>) {
      affine = [operation](std::span<Scalar> factor, std::span<Scalar> addend, const vector_place& at) {
        operation.as_affine(factor, addend, at);
      };
    }
    decltype(detail::any_operation<Scalar>::checked) checked;
    if constexpr (requires { &Operation::check; }) {
      checked = [operation](const auto&... of) { operation.check(of...); };
    }
    bool found = false;
    const auto add_at = [&](const site_info& at, auto call) {
      edits_.add(at, {.name = name, .call = std::move(call), .affine = affine, .checked = checked}, std::move(chosen));
      found = true;
    };
    if constexpr (!detail::takes_a_site<Operation, Scalar, sites>) {
      static_assert(
          std::invocable<Operation&, std::span<Scalar>, const vector_place&>,
          "an operation is called with (span of T, const vector_place&), T being the scalar of the edit list");
      for (const site_info* each : sites::infos) {
        if (each->name == site) add_at(*each, call_of<void>(std::move(operation)));
      }
    } else {
      sites::for_each([&]<class Site>(Site) {
        if constexpr (operation_on<Operation, Site, Scalar>) {
          if (Site::name == site) add_at(Site::info, call_of<Site>(std::move(operation)));
        }
      });
    }
    if (!found) detail::edit_sequence<Scalar>::refuse(site, name, sites::infos);
    return *this;
  }
  basic_edit_list& may_not_fire() {
    edits_.may_not_fire();
    return *this;
  }

  [[nodiscard]] std::size_t size() const noexcept { return edits_.size(); }
  /// Vectors that an edit changed in the last run or generation.
  [[nodiscard]] std::size_t fired(std::size_t index) const { return edits_.fired(index); }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return edits_.wants(Site::info, layer);
  }
  void begin(const run_plan& plan) { edits_.begin(plan); }
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    return edits_.rows(Site::info, at, count);
  }
  template <class Site>
  void operator()(Site, const place& at, tensor_view<Scalar, Site::rank> view) {
    edits_.edit(Site::info, at, detail::three_axes(view));
  }
  template <class Site, class Space, class Backend>
    requires detail::edits_rows<Backend, Scalar, Space>
  bool operator()(Site, const place& at, tensor_view<Scalar, Site::rank, Space> view, Backend& backend) {
    return edits_.edit_there(Site::info, at, view, backend);
  }
  void finish() const { edits_.finish(); }

 private:
  template <class Site, class Operation>
  static auto call_of(Operation operation) {
    return [operation = std::move(operation)](std::span<Scalar> x, const vector_place& at) mutable {
      return detail::operate<Site>(operation, x, at);
    };
  }

  detail::edit_sequence<Scalar> edits_;
};

using edit_list = basic_edit_list<>;

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/edit_list.ipp>
#endif
