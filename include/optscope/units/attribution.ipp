// SPDX-License-Identifier: MIT
#pragma once
// Bodies of attribution.hpp.

#include <optscope/units/attribution.hpp>

namespace optscope::detail {

template <class T>
void add_products(tensor_view<const T, 2> a, tensor_view<const T, 2> g, std::size_t width, std::size_t first,
                  std::vector<double>& effect, std::vector<double>& magnitude) {
  for (std::size_t i = 0; i < a.rows(); ++i) {
    for (std::size_t u = 0; u < a.cols() / width; ++u) {
      double product = 0;
      for (std::size_t d = u * width; d < (u + 1) * width; ++d) product += static_cast<double>(a(i, d) * g(i, d));
      effect[first + u] += product;
      magnitude[first + u] += std::abs(product);
    }
  }
}

template <class T>
void turn_to_loss_gradient(const token_list& text, std::size_t first, tensor_view<T, 2> logits) {
  for (std::size_t i = 0; i < logits.rows(); ++i) {
    const auto row = logits.row(i);
    const std::size_t next = i + 1;
    if (next < first || next >= text.size()) {  // nothing follows the last token
      std::fill(row.begin(), row.end(), T{0});
      continue;
    }
    to_probabilities(row);
    row[static_cast<std::size_t>(text[next])] -= T{1};
  }
}

#ifdef OPTSCOPE_COMPILED
template void add_products<float>(tensor_view<const float, 2>, tensor_view<const float, 2>, std::size_t, std::size_t,
                                  std::vector<double>&, std::vector<double>&);
template void add_products<double>(tensor_view<const double, 2>, tensor_view<const double, 2>, std::size_t, std::size_t,
                                   std::vector<double>&, std::vector<double>&);
template void turn_to_loss_gradient<float>(const token_list&, std::size_t, tensor_view<float, 2>);
template void turn_to_loss_gradient<double>(const token_list&, std::size_t, tensor_view<double, 2>);
#endif

}  // namespace optscope::detail
