// SPDX-License-Identifier: MIT
#pragma once
// Bodies of set_metrics.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <span>
#include <string>

namespace optscope {
namespace detail {
inline double sum_of_products(const tensor<double, 2>& x, const tensor<double, 2>& y) {
  return dot(std::span<const double>{x.data(), x.size()}, std::span<const double>{y.data(), y.size()});
}
}  // namespace detail

template <class T>
cka::gram_matrix cka::prepare(tensor_view<const T, 2> set) const {
  const std::size_t n = set.rows(), width = set.cols();
  tensor<double, 2> centred{{n, width}};
  for (std::size_t i = 0; i < n; ++i) std::ranges::copy(set.row(i), centred.row(i).data());
  for (std::size_t j = 0; j < width; ++j) {
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += centred(i, j) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) centred(i, j) -= mean;
  }
  gram_matrix result{.products = tensor<double, 2>{{n, n}}};
  for (std::size_t i = 0; i < n; ++i) {
    const std::span<const double> x = centred.row(i);
    for (std::size_t j = 0; j <= i; ++j) {
      const double product = dot(x, std::span<const double>{centred.row(j)});
      result.products(i, j) = product;
      result.products(j, i) = product;
    }
  }
  result.norm = std::sqrt(detail::sum_of_products(result.products, result.products));
  return result;
}

OPTSCOPE_INLINE double cka::operator()(const gram_matrix& x, const gram_matrix& y) const {
  if (x.products.rows() != y.products.rows()) {
    throw bad_input{"", "cka", "two sets with equally many vectors",
                    std::to_string(x.products.rows()) + " and " + std::to_string(y.products.rows())};
  }
  return detail::sum_of_products(x.products, y.products) / (x.norm * y.norm);
}

#ifdef OPTSCOPE_COMPILED
template cka::gram_matrix cka::prepare(tensor_view<const float, 2>) const;
template cka::gram_matrix cka::prepare(tensor_view<const double, 2>) const;
#endif

}  // namespace optscope
