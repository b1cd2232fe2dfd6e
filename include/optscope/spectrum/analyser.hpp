// SPDX-License-Identifier: MIT
#pragma once
// The spectrum analyser concept: everything that functions and programs use of an analyser.

#include <concepts>
#include <cstddef>
#include <optscope/core/saved_state.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <string_view>

namespace optscope {

/// A way to find the singular values of a linear operator. An analyser A has
///
/// * `A::name`, `A::help`: what it is called, and in half a sentence what it finds. Programs offer it under this name.
/// * `A::scalar`, float or double: the precision in which a program builds the operators for it.
/// * `A::settings`: a default-constructible type derived from `analysis_settings`, from which A is constructed.
/// * `check(shape)`: throws `bad_input`, before any work, for an operator that it cannot analyse.
/// * `bytes(shape)`: how much memory it will take. `operations(shape)`: about how many floating-point operations; it
///   only serves to estimate the time that is left.
/// * `analyser(op)`: the singular values of a linear operator as a `spectrum` or a type derived from it. It sets
///   `values` (or `density`), `size`, `method`, `floor` and `outcome`, and calls `settings.progress` now and then.
///
/// All are const. This one is slow, but it is whole:
///
///     struct power_iteration {  // the largest singular value alone
///       using scalar = double;
///       using settings = analysis_settings;
///       static constexpr std::string_view name = "power", help = "the largest value, by power iteration";
///       explicit power_iteration(settings = {}) {}
///       void check(const operator_shape&) const {}
///       std::size_t bytes(const operator_shape& shape) const { return 8 * (shape.rows + shape.cols); }
///       double operations(const operator_shape& shape) const { return 400.0 * double(shape.rows * shape.cols); }
///       template <linear_operator Op>
///       spectrum operator()(Op& op) const {
///         using T = typename Op::scalar;
///         tensor<T, 2> x{{1, op.cols()}}, y{{1, op.rows()}};
///         x(0, 0) = 1;
///         spectrum found;
///         found.method = name;
///         found.size = std::min<std::size_t>(op.rows(), op.cols());
///         for (int step = 0; step < 100; ++step) {
///           op.apply(x, y);
///           op.apply_transposed(y, x);
///           const double length = std::sqrt(std::inner_product(x.data(), x.data() + x.size(), x.data(), 0.0));
///           for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] /= static_cast<T>(length);
///           found.values = {std::sqrt(length)};
///         }
///         return found;
///       }
///     };
template <class A, class Op = matrix_operator<double>>
concept spectrum_analyser =
    linear_operator<Op> && operator_scalar<typename A::scalar> && std::default_initializable<typename A::settings> &&
    std::derived_from<typename A::settings, analysis_settings> &&
    std::constructible_from<A, const typename A::settings&> &&
    requires(const A analyser, Op& op, const operator_shape& shape) {
      { A::name } -> std::convertible_to<std::string_view>;
      { A::help } -> std::convertible_to<std::string_view>;
      analyser.check(shape);
      { analyser.bytes(shape) } -> std::convertible_to<std::size_t>;
      { analyser.operations(shape) } -> std::convertible_to<double>;
      { analyser(op) } -> std::derived_from<spectrum>;
    };

/// An analyser that can be stopped and resumed:
///
/// * `A::state_of<T>`: plain data between two steps for an operator of scalar T; default-constructed, nothing is done
/// yet.
///   `write_state` and `read_state` take it, and `worth_saving()` says whether resuming from it would save any work.
/// * `analyser(op, &state)` resumes from the state and leaves there where it ended. The bits are those of one run.
/// * `state_bytes(shape)`: how much disk space a state takes at most.
template <class A, class Op = matrix_operator<double>>
concept resumable_analyser =
    spectrum_analyser<A, Op> && std::default_initializable<typename A::template state_of<typename Op::scalar>> &&
    requires(const A analyser, Op& op, typename A::template state_of<typename Op::scalar> state,
             const operator_shape& shape, detail::state_writer& file) {
      { analyser(op, &state) } -> std::derived_from<spectrum>;
      { state.worth_saving() } -> std::same_as<bool>;
      { analyser.state_bytes(shape) } -> std::convertible_to<std::size_t>;
      file(state);
    };

/// An analyser that hands operators to others: `select(shape, use)` calls `use(analyser, reason)` with the one that it
/// picks for operators of this shape.
template <class A>
concept selecting_analyser = spectrum_analyser<A> && requires(const A analyser, const operator_shape& shape) {
  analyser.select(shape, [](const auto&, const std::string&) {});
};

/// Calls `use(analyser, reason)` with the analyser that does the work: the one that is selected, or the one given.
template <class A, class Use>
void with_selected(const A& analyser, const operator_shape& shape, Use&& use) {
  if constexpr (selecting_analyser<A>) {
    analyser.select(shape, use);
  } else {
    use(analyser, std::string{});
  }
}

}  // namespace optscope
