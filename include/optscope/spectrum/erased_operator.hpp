// SPDX-License-Identifier: MIT
#pragma once
// Operators of any type behind one interface, so that the analysers are compiled once.

#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <type_traits>

namespace optscope::detail {

/// Asked often with the fraction of the work that is done; `false` stops the work.
using keep_going = std::function<bool(double)>;
/// Takes consecutive rows of a matrix, `first` being the number of the first of them: (count, cols).
using use_rows = std::function<void(std::size_t first, tensor_view<const double, 2> panel)>;

/// An operator as the dense analysers see it.
class any_matrix {
 public:
  explicit any_matrix(const operator_shape& shape) : shape_{shape} {}
  any_matrix(const any_matrix&) = delete;
  any_matrix& operator=(const any_matrix&) = delete;
  virtual ~any_matrix() = default;

  [[nodiscard]] const operator_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_.rows; }
  [[nodiscard]] std::size_t cols() const noexcept { return shape_.cols; }

  /// The accuracy, relative to the largest value, to which the matrix can be written out.
  [[nodiscard]] double floor() const noexcept {
    return shape_.blocks || shape_.scalar_bytes == sizeof(double) ? 1e-14 : 1e-6;
  }

  /// Calls `use(first, panel (count, n))` for panels of at least `at_least` consecutive rows (fewer at the end) from
  /// the top. A panel of a causal operator ends where its blocks end: n <= cols, and what is to the right is zero.
  /// `transposed` gives columns instead; block operators always give rows. False if `go(fraction)` returned false.
  [[nodiscard]] virtual bool for_row_panels(bool transposed, std::size_t at_least, const use_rows& use,
                                            const keep_going& go) = 0;
  /// See `block_operator`; only where `shape().blocks`.
  virtual void block(std::size_t t, std::size_t u, tensor_view<double, 2> out) = 0;

 private:
  operator_shape shape_;
};

/// An operator as the analysers see it that need only products; a model of `linear_operator`.
template <class T>
class any_operator : public any_matrix {
 public:
  using scalar = T;
  using any_matrix::any_matrix;

  virtual void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) = 0;
  virtual void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) = 0;

  [[nodiscard]] bool for_row_panels(bool transposed, std::size_t at_least, const use_rows& use,
                                    const keep_going& go) override;
};

template <class Op>
class erased_operator final : public any_operator<typename Op::scalar> {
 public:
  using scalar = typename Op::scalar;
  explicit erased_operator(Op& op) : any_operator<scalar>{shape_of(op)}, op_{op} {}

  void apply(tensor_view<const scalar, 2> x, tensor_view<scalar, 2> y) override { op_.apply(x, y); }
  void apply_transposed(tensor_view<const scalar, 2> y, tensor_view<scalar, 2> x) override {
    op_.apply_transposed(y, x);
  }
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out) override {
    if constexpr (block_operator<Op>) op_.block(t, u, out);
  }

 private:
  Op& op_;
};

template <class Op>
[[nodiscard]] auto erased(Op& op) {
  static_assert(linear_operator<Op>,
                "a linear operator has a type scalar (float or double) and members rows(), cols(), apply(x, y) and "
                "apply_transposed(y, x): see linear_operator.hpp");
  return erased_operator<Op>{op};
}

/// An operator seen from the other side. It has no blocks.
template <class T>
class transposed_operator final : public any_operator<T> {
 public:
  explicit transposed_operator(any_operator<T>& op)
      : any_operator<T>{operator_shape{.rows = op.cols(), .cols = op.rows(), .scalar_bytes = sizeof(T)}}, op_{op} {}

  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) override { op_.apply_transposed(x, y); }
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) override { op_.apply(y, x); }
  void block(std::size_t, std::size_t, tensor_view<double, 2>) override {}

 private:
  any_operator<T>& op_;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/erased_operator.ipp>
#endif
