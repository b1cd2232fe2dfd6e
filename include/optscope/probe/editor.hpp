// SPDX-License-Identifier: MIT
#pragma once
// Editors: an operation on the chosen vectors of sites.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Changes a vector of a site: a type, or a lambda, with a call operator `(span of T, const vector_place&)`, or with
/// the site in front: `(Site, span of T, const vector_place&)`. It may give a bool: false if it changed nothing.
template <class Operation, class Site, class T>
concept operation_on = std::invocable<Operation&, Site, std::span<T>, const vector_place&> ||
                       std::invocable<Operation&, std::span<T>, const vector_place&>;

namespace detail {
/// Calls an operation; false if that says it changed nothing.
template <class Site, class T, class Operation>
bool operate(Operation& operation, std::span<T> x, const vector_place& at) {
  const auto call = [&] {
    if constexpr (std::invocable<Operation&, Site, std::span<T>, const vector_place&>) {
      return operation(Site{}, x, at);
    } else {
      return operation(x, at);
    }
  };
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    return true;
  } else {
    return call();
  }
}

template <class Operation>
std::string name_of(const Operation& operation) {
  if constexpr (requires { std::string{operation.name}; }) {
    return std::string{operation.name};
  } else {
    return "edit";
  }
}

/// One operation with its choice of vectors, and how often it found one.
template <class Operation>
class placed_operation {
 public:
  placed_operation(Operation operation, where chosen) : operation_{std::move(operation)}, where_{std::move(chosen)} {}

  void begin(const run_plan& plan) {
    if (!plan.continues) fired_ = 0;
    rows_.clear();
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) rows_.push_back(where_.rows_of(plan, text));
    heads_ = where_.heads_of(plan.shape.heads);
  }

  template <class Site, class T>
  void edit(const place& at, tensor_view<T, Site::rank> view) {
    static_assert(operation_on<Operation, Site, T>, "this operation takes no vectors of this site");
    for (const std::size_t position : rows_[at.text]) {
      if (position < at.first_position) continue;
      const std::size_t row = position - at.first_position;
      vector_place vector{at.text, at.layer, position, 0};
      if constexpr (Site::rank == 2) {
        if (row < view.rows()) edit_vector<Site>(view.row(row), vector);
      } else {
        const bool by_head = Site::layout == site_layout::head;
        const std::size_t width = view.extent(2);
        for (const std::size_t head : heads_) {
          if (head >= view.extent(by_head ? 0 : 1)) continue;  // cut out of this layer
          vector.head = head;
          edit_vector<Site>(view.row(by_head ? head : row).subspan((by_head ? row : head) * width, width), vector);
        }
      }
    }
  }

  [[nodiscard]] const where& chosen() const noexcept { return where_; }
  [[nodiscard]] std::size_t fired() const noexcept { return fired_; }
  void may_not_fire() noexcept { may_not_fire_ = true; }

  [[nodiscard]] std::string text(const std::string& sites) const {
    return name_of(operation_) + " at " + sites + where_.text();
  }
  void finish(const std::string& sites) const {
    if (fired_ != 0 || may_not_fire_) return;
    throw unfired_hook{"", text(sites), "something to edit", "no such place in what was run"};
  }

 private:
  template <class Site, class T>
  void edit_vector(std::span<T> x, const vector_place& at) {
    if (!where_.units() && !where_.mask()) {
      fired_ += operate<Site>(operation_, x, at);
      return;
    }
    // The operation sees the whole vector; of what it leaves, the chosen units are taken over.
    std::vector<T>& whole = std::get<std::vector<T>>(scratch_);
    whole.assign(x.begin(), x.end());
    if (!operate<Site>(operation_, std::span<T>{whole}, at)) return;
    bool any = false;
    const auto take = [&](std::size_t unit) {
      if (unit >= x.size() || (where_.mask() && !where_.mask()(at, unit))) return;
      x[unit] = whole[unit];
      any = true;
    };
    if (where_.units()) {
      for (const std::size_t unit : *where_.units()) take(unit);
    } else {
      for (std::size_t unit = 0; unit < x.size(); ++unit) take(unit);
    }
    fired_ += any;
  }

  Operation operation_;
  where where_;
  std::vector<std::vector<std::size_t>> rows_;  // [text]: positions
  std::vector<std::size_t> heads_;
  std::tuple<std::vector<float>, std::vector<double>> scratch_;
  std::size_t fired_ = 0;
  bool may_not_fire_ = false;
};
}  // namespace detail

/// Applies an operation to the chosen vectors of `Sites`; made by `edit`:
///
///     auto ablate = edit<site::mlp_post>(zero{}, where{}.layers({3}).units({17, 40}));
///     auto steer = edit<site::resid_post>(add{direction, 4}, where{}.layers({20}));
///     auto halve = edit<site::z>([](std::span<float> z, const vector_place&) { for (float& x : z) x /= 2; });
///     opt.run(texts, ablate, steer, halve, probe);  // in this order where they meet; the probe sees what they leave
///     ablate.fired();                               // vectors that were edited
///
/// At the end of a run, or of `generate`, throws `unfired_hook` if it has edited nothing, unless `may_not_fire`;
/// before it `bad_input` if layers, heads, units or texts are chosen that are none of the run's.
template <class Operation, class... Sites>
class editor {
 public:
  using sites = site_list<Sites...>;

  explicit editor(Operation operation, where chosen = {}) : edit_{std::move(operation), std::move(chosen)} {}

  /// That nothing is found to edit is no error then.
  editor& may_not_fire() noexcept {
    edit_.may_not_fire();
    return *this;
  }
  /// Vectors edited in the last run or generation: one a text, layer, position and head.
  [[nodiscard]] std::size_t fired() const noexcept { return edit_.fired(); }
  /// Such as `zero at mlp_post, layers 3, units 17 40`.
  [[nodiscard]] std::string text() const { return edit_.text(names()); }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return !Site::per_layer || edit_.chosen().has_layer(layer);
  }
  void begin(const run_plan& plan) {
    (edit_.chosen().check(Sites{}, plan, text()), ...);
    edit_.begin(plan);
  }
  template <class Site, class T>
    requires(!std::is_const_v<T>)
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    edit_.template edit<Site>(at, view);
  }
  void finish() const { edit_.finish(names()); }

 private:
  static std::string names() {
    std::string result;
    ((result += (result.empty() ? "" : " ") + std::string{Sites::name}), ...);
    return result;
  }

  detail::placed_operation<Operation> edit_;
};

/// An `editor` of `Sites`.
template <class... Sites, class Operation>
[[nodiscard]] editor<Operation, Sites...> edit(Operation operation, where chosen = {}) {
  static_assert(sizeof...(Sites) != 0, "edit<site::...>(operation, where): which sites?");
  return editor<Operation, Sites...>{std::move(operation), std::move(chosen)};
}

}  // namespace optscope
