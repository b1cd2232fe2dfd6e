// SPDX-License-Identifier: MIT
#pragma once
// Bodies of decoder_block.hpp.

#include <algorithm>
#include <optscope/opt/decoder_block.hpp>

namespace optscope {

template <class T>
decoder_memory<T>::decoder_memory(const architecture& shape, std::size_t chunk_rows, std::size_t longest,
                                  std::size_t square_size, const wishes& wanted)
    : normed{{chunk_rows, shape.hidden}},
      qkv{{chunk_rows, 3 * shape.hidden}},
      z{{chunk_rows, shape.hidden}},
      out{{chunk_rows, shape.hidden}},
      neurons{{chunk_rows, shape.ffn}},
      square(wanted.square ? shape.heads * square_size : 0),
      result(wanted.result ? longest * shape.heads * shape.hidden : 0),
      before(wanted.before ? result.size() : 0) {}

namespace detail {

template <class T>
void sum_edited_heads(tensor_view<const T, 3> result, const T* before, const T* bias, tensor_view<T, 2> out) {
  const std::size_t heads = result.extent(1), hidden = result.extent(2);
  for (std::size_t row = 0; row < result.rows(); ++row) {
    const std::span<const T> shares = result.row(row);  // (head, hidden)
    if (std::ranges::equal(shares, std::span{before + row * shares.size(), shares.size()})) continue;
    const std::span<T> sum = out.row(row);
    for (std::size_t i = 0; i < hidden; ++i) {
      sum[i] = bias == nullptr ? T{0} : bias[i];
      for (std::size_t head = 0; head < heads; ++head) sum[i] += shares[head * hidden + i];
    }
  }
}

}  // namespace detail

#ifdef OPTSCOPE_COMPILED
template struct decoder_memory<float>;
template struct decoder_memory<double>;
namespace detail {
template void sum_edited_heads(tensor_view<const float, 3>, const float*, const float*, tensor_view<float, 2>);
template void sum_edited_heads(tensor_view<const double, 3>, const double*, const double*, tensor_view<double, 2>);
}  // namespace detail
#endif

}  // namespace optscope
