// SPDX-License-Identifier: MIT
#pragma once
// Bodies of probe_set.hpp.

#include <algorithm>
#include <optscope/opt/probe_set.hpp>

namespace optscope::detail {

template <class T>
void hide_later_keys(tensor_view<T, 3> square, T hidden) {
  const std::size_t positions = square.extent(1), keys = square.extent(2);
  for (std::size_t head = 0; head < square.rows(); ++head) {
    for (std::size_t position = 0; position < positions; ++position) {
      T* const row = square.row(head).data() + position * keys;
      std::fill(row + (keys - positions) + position + 1, row + keys, hidden);
    }
  }
}

#ifdef OPTSCOPE_COMPILED
template void hide_later_keys(tensor_view<float, 3>, float);
template void hide_later_keys(tensor_view<double, 3>, double);
#endif

}  // namespace optscope::detail
