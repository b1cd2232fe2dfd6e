// SPDX-License-Identifier: MIT
#pragma once
// Bodies of erased_operator.hpp.

#include <algorithm>
#include <optscope/spectrum/erased_operator.hpp>
#include <utility>

namespace optscope::detail {

inline bool for_row_panels_of_blocks(any_matrix& op, std::size_t at_least, const use_rows& use, const keep_going& go) {
  const operator_shape& shape = op.shape();
  const std::size_t width = shape.width, tokens = shape.tokens, group = std::max<std::size_t>(1, at_least / width);
  tensor<double, 2> panel{{std::min(group, tokens) * width, op.cols()}};
  for (std::size_t t = 0; t < tokens; t += group) {
    const double done = static_cast<double>(t) / static_cast<double>(tokens);
    if (!go(shape.causal ? done * done : done)) return false;
    const std::size_t count = std::min(group, tokens - t), reach = shape.causal ? (t + count) * width : op.cols();
    std::fill_n(panel.data(), count * width * reach, 0.0);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t first = shape.diagonal ? t + i : 0, last = shape.causal ? t + i + 1 : tokens;
      for (std::size_t u = first; u < last; ++u) {
        double* corner = panel.data() + i * width * reach + u * width;
        op.block(t + i, u, tensor_view<double, 2>{corner, {width, width}, reach});
      }
    }
    use(t * width, tensor_view<const double, 2>{panel.data(), {count * width, reach}});
  }
  return true;
}

template <class T>
bool any_operator<T>::for_row_panels(bool transposed, std::size_t at_least, const use_rows& use, const keep_going& go) {
  if (this->shape().blocks) return for_row_panels_of_blocks(*this, at_least, use, go);
  const std::size_t height = transposed ? this->cols() : this->rows(),
                    length = transposed ? this->rows() : this->cols();
  const std::size_t group = std::min<std::size_t>(height, 64);
  tensor<T, 2> unit{{group, height}}, image{{group, length}};
  tensor<double, 2> panel{{group, length}};
  for (std::size_t first = 0; first < height; first += group) {
    if (!go(static_cast<double>(first) / static_cast<double>(height))) return false;
    const std::size_t count = std::min(group, height - first);
    std::fill_n(unit.data(), unit.size(), T{0});
    for (std::size_t i = 0; i < count; ++i) unit(i, first + i) = 1;
    const auto in = std::as_const(unit).view().slice(0, count);
    const auto out = image.view().slice(0, count);
    transposed ? apply(in, out) : apply_transposed(in, out);
    std::copy_n(image.data(), count * length, panel.data());
    use(first, std::as_const(panel).view().slice(0, count));
  }
  return true;
}

#ifdef OPTSCOPE_COMPILED
template class any_operator<float>;
template class any_operator<double>;
#endif

}  // namespace optscope::detail
