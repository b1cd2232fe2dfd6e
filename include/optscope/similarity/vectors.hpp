// SPDX-License-Identifier: MIT
#pragma once
// What similarities are computed of: anything with rows and columns of floats or doubles, or a list of those.

#include <cassert>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <optscope/core/tensor.hpp>
#include <type_traits>
#include <utility>

namespace optscope {

namespace detail {
template <class X>
inline constexpr bool is_tensor = false;
template <class T, std::size_t Rank>
inline constexpr bool is_tensor<tensor<T, Rank>> = true;
template <class T, std::size_t Rank>
inline constexpr bool is_tensor<tensor_view<T, Rank>> = true;

template <class X>
using element_of = std::remove_cvref_t<decltype(std::declval<const X&>()(std::size_t{}, std::size_t{}))>;
}  // namespace detail

/// A set of vectors (vector, width) of float or double: a `tensor` or `tensor_view` of two axes, or a matrix of another
/// library, such as an xtensor container, view or expression: it has `shape()`, of two extents, and `x(row, column)`.
template <class X>
concept vector_set =
    (std::same_as<detail::element_of<X>, float> || std::same_as<detail::element_of<X>, double>)&&requires(const X& x) {
      { x.shape()[0] } -> std::convertible_to<std::size_t>;
      { x.shape()[1] } -> std::convertible_to<std::size_t>;
    };

/// A list of sets of vectors, such as `std::vector<tensor_view<const float, 2>>`. The sets can differ in width.
template <class L>
concept list_of_vector_sets = requires(const L& list) {
  std::begin(list);
  std::end(list);
  { std::size(list) } -> std::convertible_to<std::size_t>;
} && vector_set<std::remove_cvref_t<decltype(*std::begin(std::declval<const L&>()))>>;

namespace detail {

/// Rows of a vector set: tensors as they are, all else by a copy.
template <vector_set X>
class set_of_rows {
 public:
  using scalar = element_of<X>;

  explicit set_of_rows(const X& x) {
    if constexpr (is_tensor<X>) {
      view_ = x;
    } else {
      const auto rows = static_cast<std::size_t>(x.shape()[0]), cols = static_cast<std::size_t>(x.shape()[1]);
      if constexpr (requires { x.shape().size(); }) assert(x.shape().size() == 2 && "a set of vectors has two axes");
      copy_ = tensor<scalar, 2>{{rows, cols}};
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < cols; ++j) copy_(i, j) = x(i, j);
      }
    }
  }

  [[nodiscard]] tensor_view<const scalar, 2> view() const {
    if constexpr (is_tensor<X>) {
      return view_;
    } else {
      return copy_.view();
    }
  }

 private:
  tensor_view<const scalar, 2> view_;
  tensor<scalar, 2> copy_;
};

}  // namespace detail
}  // namespace optscope
