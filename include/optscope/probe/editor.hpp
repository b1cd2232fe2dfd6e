// SPDX-License-Identifier: MIT
#pragma once
// Editors: an operation on the chosen vectors of sites.

#include <concepts>
#include <cstddef>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/placement.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
template <class Operation, class... Arguments>
concept changes = std::invocable<Operation&, Arguments...> &&
                  (std::is_void_v<std::invoke_result_t<Operation&, Arguments...>> ||
                   std::convertible_to<std::invoke_result_t<Operation&, Arguments...>, bool>);
}  // namespace detail

/// Changes a vector of a site: a type, or a lambda, with a call operator `(span of T, const vector_place&)`, or with
/// the site before these: `(Site, span of T, const vector_place&)`. It returns nothing, or a bool: false if it changed
/// nothing. Optional members: `name` is shown in messages; `check(plan, text, positions, all, item)` is called before a
/// run for each text with positions that are edited, `all` of them or chosen ones, and throws `bad_input` about `item`
/// if the operation cannot do that.
///
///     struct halve {
///       static constexpr std::string_view name = "halve";
///       void operator()(std::span<float> x, const vector_place&) const {
///         for (float& unit : x) unit /= 2;
///       }
///     };
template <class Operation, class Site, class T>
concept operation_on = detail::changes<Operation, Site, std::span<T>, const vector_place&> ||
                       detail::changes<Operation, std::span<T>, const vector_place&>;

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

/// A backend with a memory of its own that edits there: `scale_and_add(view, rows, factor, addend)` sets the elements
/// of these rows (numbers, ascending) to factor x + addend, or to addend where factor is not a number; a factor of 1
/// and an addend of 0 leave x alone.
template <class Backend, class T, class Space>
concept edits_rows =
    !Space::host && requires(Backend& backend, tensor_view<T, 2, Space> view, const std::vector<std::size_t>& rows,
                             std::span<const T> values) { backend.scale_and_add(view, rows, values, values); };

/// One operation with its choice of vectors.
template <class Operation>
class placed_operation {
 public:
  placed_operation(Operation operation, where chosen)
      : operation_{std::move(operation)}, placement_{name_of(operation_), std::move(chosen)} {}

  [[nodiscard]] placement& place() noexcept { return placement_; }
  [[nodiscard]] const placement& place() const noexcept { return placement_; }

  /// For a run. An operation with a member `check` refuses what it cannot do, but not in later steps of a generation.
  void begin(const run_plan& plan, std::string_view sites) {
    placement_.begin(plan);
    if constexpr (requires { &Operation::check; }) {
      for (std::size_t text = 0; !plan.continues && text < plan.lengths.size(); ++text) {
        const std::vector<std::size_t>& positions = placement_.positions_of(text);
        if (!positions.empty()) {
          operation_.check(plan, text, positions, placement_.chosen().all_positions(), placement_.text(sites));
        }
      }
    }
  }

  /// The view has three axes, as `three_axes` gives them.
  template <class Site, class T>
  void edit(const site_info& site, const optscope::place& at, tensor_view<T, 3> view) {
    const bool by_head = site.layout() == site_layout::head;
    placement_.for_rows(at.text, at.first_position, view.extent(by_head ? 1 : 0), [&](std::size_t row) {
      vector_place vector{.text = at.text, .layer = at.layer, .position = at.first_position + row};
      if (site.rank() == 2) {
        edit_vector<Site>(view.row(row), vector);
        return;
      }
      const std::size_t width = view.extent(2);
      for (const std::size_t head : placement_.heads()) {
        if (head >= view.extent(by_head ? 0 : 1)) continue;  // cut from this layer
        vector.head = head;
        const std::span<T> all = view.row(by_head ? head : row);
        edit_vector<Site>(all.subspan((by_head ? row : head) * width, width), vector);
      }
    });
  }

  /// True if vectors of a site can be edited in a device's memory.
  template <class T>
  [[nodiscard]] bool edits_there(const site_info& site) const {
    if constexpr (!affine_operation<Operation, T>) {
      return false;
    } else {
      if constexpr (requires { operation_.is_affine(); }) {
        if (!operation_.is_affine()) return false;
      }
      return site.layout() == site_layout::position && !placement_.chosen().mask();
    }
  }
  /// Edits there: the view is (position, ...), in the backend's memory.
  template <class T, std::size_t Rank, class Space, class Backend>
  void edit_there(const optscope::place& at, tensor_view<T, Rank, Space> view, Backend& backend) {
    const std::vector<std::size_t> rows = placement_.rows(at, view.rows());
    const std::size_t vectors = Rank == 2 ? 1 : view.extent(1), width = view.extent(Rank - 1);
    std::vector<T> factor(vectors * width, T{1}), addend(vectors * width), own_factor(width), own_addend(width);
    std::size_t edited = 0;  // vectors of a row
    const auto take = [&](std::size_t index) {
      operation_.as_affine(std::span<T>{own_factor}, std::span<T>{own_addend},
                           vector_place{.text = at.text, .layer = at.layer, .head = index});
      bool any = false;
      const auto unit = [&](std::size_t i) {
        if (i >= width) return;
        factor[index * width + i] = own_factor[i];
        addend[index * width + i] = own_addend[i];
        any = true;
      };
      if (const auto& units = placement_.chosen().units()) {
        for (const std::size_t i : *units) unit(i);
      } else {
        for (std::size_t i = 0; i < width; ++i) unit(i);
      }
      edited += any ? 1 : 0;
    };
    if (rows.empty()) return;
    if constexpr (Rank == 2) {
      take(0);
    } else {
      for (const std::size_t head : placement_.heads()) {
        if (head < vectors) take(head);  // else cut from this layer
      }
    }
    if (edited == 0) return;
    backend.scale_and_add(view.template reshape<2>({view.rows(), vectors * width}), rows, std::span<const T>{factor},
                          std::span<const T>{addend});
    for (std::size_t i = 0; i < edited * rows.size(); ++i) placement_.count(true);
  }

 private:
  template <class Site, class T>
  void edit_vector(std::span<T> x, const vector_place& at) {
    const where& chosen = placement_.chosen();
    if (!chosen.units() && !chosen.mask()) {
      placement_.count(operate<Site>(operation_, x, at));
      return;
    }
    // The operation sees the whole vector; the chosen units of what it leaves are kept.
    std::vector<T>& whole = std::get<std::vector<T>>(scratch_);
    whole.assign(x.begin(), x.end());
    if (!operate<Site>(operation_, std::span<T>{whole}, at)) return;
    bool any = false;
    const auto take = [&](std::size_t unit) {
      if (unit >= x.size() || (chosen.mask() && !chosen.mask()(at, unit))) return;
      x[unit] = whole[unit];
      any = true;
    };
    if (chosen.units()) {
      for (const std::size_t unit : *chosen.units()) take(unit);
    } else {
      for (std::size_t unit = 0; unit < x.size(); ++unit) take(unit);
    }
    placement_.count(any);
  }

  Operation operation_;
  placement placement_;
  std::tuple<std::vector<float>, std::vector<double>> scratch_;
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
/// Throws `bad_input` before a run if texts, layers, heads or units are chosen that the run does not have. Throws
/// `unfired_hook` after a run, or after `generate`, if nothing was edited, unless `may_not_fire` was called.
template <class Operation, class... Sites>
class editor {
 public:
  using sites = site_list<Sites...>;

  explicit editor(Operation operation, where chosen = {}) : edit_{std::move(operation), std::move(chosen)} {}

  /// Finding nothing to edit is then no error.
  editor& may_not_fire() noexcept {
    edit_.place().may_not_fire();
    return *this;
  }
  /// Vectors edited in the last run or generation: one per text, layer, position and head.
  [[nodiscard]] std::size_t fired() const noexcept { return edit_.place().fired(); }
  /// Such as `zero at mlp_post, layers 3, units 17 40`.
  [[nodiscard]] std::string text() const { return edit_.place().text(names()); }

  template <class Site>
  [[nodiscard]] bool wants(Site, std::size_t layer) const {
    return !Site::per_layer || edit_.place().chosen().has_layer(layer);
  }
  void begin(const run_plan& plan) {
    for (const site_info* site : sites::infos) edit_.place().chosen().check(*site, plan, text());
    edit_.begin(plan, names());
  }
  template <class Site>
  [[nodiscard]] std::vector<std::size_t> rows(Site, const place& at, std::size_t count) const {
    return edit_.place().rows(at, count);
  }
  template <class Site, class T>
    requires(!std::is_const_v<T>)
  void operator()(Site, const place& at, tensor_view<T, Site::rank> view) {
    static_assert(operation_on<Operation, Site, T>,
                  "this operation takes no vectors of this site in the scalar of the model: std::span<T>");
    if constexpr (operation_on<Operation, Site, T>) {
      edit_.template edit<Site>(Site::info, at, detail::three_axes(view));
    }
  }
  /// The same in a device's memory; false if that cannot be done there.
  template <class Site, class T, class Space, class Backend>
    requires(!std::is_const_v<T> && detail::edits_rows<Backend, T, Space>)
  bool operator()(Site, const place& at, tensor_view<T, Site::rank, Space> view, Backend& backend) {
    if (!edit_.template edits_there<T>(Site::info)) return false;
    if constexpr (affine_operation<Operation, T>) edit_.edit_there(at, view, backend);
    return true;
  }
  void finish() const { edit_.place().finish(names()); }

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
  static_assert(
      ((operation_on<Operation, Sites, float> || operation_on<Operation, Sites, double>)&&...),
      "the operation of an editor takes (std::span<T>, const vector_place&), T being the scalar of the model, "
      "or the site before these, and returns nothing or a bool; patch and resample have a capture of the same "
      "site");
  return editor<Operation, Sites...>{std::move(operation), std::move(chosen)};
}

}  // namespace optscope
