// SPDX-License-Identifier: MIT
// The product of a few rows with weights as they are stored, and what cuBLASLt's products need before and after.
OPTSCOPE_CUDA_SOURCE(

// Adds to sums[row] this lane's part of x (row, k) times w (k). Elements go to the lanes in groups of four, so the order
// of addition is the same whether a group is loaded at once or not.
template <class Stored>
DEVICE void add_products(const scalar* x, index x_stride, index rows, const Stored* w, index k, scalar* sums) {
  const index lane = threadIdx.x % 32;
  const bool aligned = k % 4 == 0 && x_stride % 4 == 0 && address_of(w) % sizeof(four<Stored>) == 0 &&
                       address_of(x) % sizeof(four<scalar>) == 0;
  for (index first = 4 * lane; first < k; first += 128) {
    if (aligned) {
      const four<Stored> stored = *reinterpret_cast<const four<Stored>*>(w + first);
      for (index row = 0; row < rows; ++row) {
        const four<scalar> values = *reinterpret_cast<const four<scalar>*>(x + row * x_stride + first);
        for (index i = 0; i < 4; ++i) sums[row] = fma(values.at[i], value_of(stored.at[i]), sums[row]);
      }
    } else {
      for (index i = first; i < smaller(first + 4, k); ++i) {
        const scalar value = value_of(w[i]);
        for (index row = 0; row < rows; ++row) sums[row] = fma(x[row * x_stride + i], value, sums[row]);
      }
    }
  }
}

// y (row, n) = x (row, k) wᵀ + bias; w (n, k) stored as `type`, a number of `dtype`; bias null: 0. A warp a column,
// eight rows at a time: blocks (n / warps, rows / 8).
KERNEL few_rows(const scalar* x, index x_stride, index rows, const void* w, int type, index w_stride, index n, index k,
                const scalar* bias, scalar* y, index y_stride) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x / 32) + threadIdx.x / 32;
  if (column >= n) return;
  const index first = blockIdx.y * static_cast<index>(8);
  const index count = smaller(8, rows - first);
  const scalar* const from = x + first * x_stride;
  const index start = column * w_stride;
  scalar sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  switch (type) {
    case 0: add_products(from, x_stride, count, static_cast<const f16*>(w) + start, k, sums); break;
    case 1: add_products(from, x_stride, count, static_cast<const bf16*>(w) + start, k, sums); break;
    case 2: add_products(from, x_stride, count, static_cast<const float*>(w) + start, k, sums); break;
    default: add_products(from, x_stride, count, static_cast<const double*>(w) + start, k, sums); break;
  }
  for (index row = 0; row < count; ++row) {
    scalar sum = sums[row];
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_down_sync(0xffffffffu, sum, distance);
    if (threadIdx.x % 32 == 0) y[(first + row) * y_stride + column] = sum + (bias == nullptr ? 0 : bias[column]);
  }
}

// Kernels below: blocks (columns / threads, rows) unless they say otherwise.

// to (row, column) = elements of `type`.
KERNEL convert(const void* from, int type, index from_stride, index rows, index columns, scalar* to, index to_stride) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) {
    const index at = row * from_stride + column;
    scalar value = 0;
    switch (type) {
      case 0: value = value_of(static_cast<const f16*>(from)[at]); break;
      case 1: value = value_of(static_cast<const bf16*>(from)[at]); break;
      case 2: value = value_of(static_cast<const float*>(from)[at]); break;
      default: value = value_of(static_cast<const double*>(from)[at]); break;
    }
    to[row * to_stride + column] = value;
  }
}

// to (row, column) bfloat16 = elements of `type`, rounded.
KERNEL convert_to_bfloat16(const void* from, int type, index from_stride, index rows, index columns,
                           unsigned short* to) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) {
    const index at = row * from_stride + column;
    const scalar value = type == 0   ? value_of(static_cast<const f16*>(from)[at])
                         : type == 1 ? value_of(static_cast<const bf16*>(from)[at])
                                     : value_of(static_cast<const float*>(from)[at]);
    to[row * columns + column] = float_to_bfloat16(static_cast<float>(value));
  }
}

// x (row, column) as the sum of two F16, for F16 weights: x = scale (high + low / 2048), scale (row) a power of two such
// that the row's largest element becomes 4096 to 8192. to (2, row, column). A row with an infinity or NaN gets the scale
// NaN. A block a row; shared memory: a scalar for each thread.
KERNEL split_to_half(const scalar* x, index stride, index rows, index columns, unsigned short* to, scalar* scale) {
  scalar* const memory = shared_memory<scalar>();
  const scalar* const row = x + blockIdx.x * stride;
  scalar largest = 0;
  for (index i = threadIdx.x; i < columns; i += blockDim.x) {
    const scalar size = fabs(row[i]);
    largest = size <= largest ? largest : size;  // NaN stays
  }
  largest = block_combined(largest, memory, [](scalar a, scalar b) { return a != a || b <= a ? a : b; });
  int exponent = 0;
  if (largest > 0 && largest < infinity()) frexp(largest, &exponent);  // largest < 2^exponent
  const bool finite = largest < infinity();
  // A row of tiny numbers is scaled as far as its factor is a number.
  const int shift = exponent < -100 ? 113 : 13 - exponent;
  if (threadIdx.x == 0) scale[blockIdx.x] = finite ? ldexp(static_cast<scalar>(1), -shift) : infinity() - infinity();
  for (index i = threadIdx.x; i < columns; i += blockDim.x) {
    const float value = finite ? static_cast<float>(ldexp(row[i], shift)) : 0.0f;
    const unsigned short high = float_to_half(value);
    to[blockIdx.x * columns + i] = high;
    to[(rows + blockIdx.x) * columns + i] = float_to_half((value - half_to_float(high)) * 2048);
  }
}

// x (row, column) as the sum of three bfloat16, exact but for the smallest numbers, for BF16 weights: to (3, row, column).
KERNEL split_to_bfloat16(const scalar* x, index stride, index rows, index columns, unsigned short* to) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) {
    float rest = static_cast<float>(x[row * stride + column]);
    for (index part = 0; part < 3; ++part) {
      const unsigned short bits = float_to_bfloat16(rest);
      to[(part * rows + row) * columns + column] = bits;
      rest -= float_of_bits(static_cast<unsigned>(bits) << 16);
    }
  }
}

// y (row, column) = scale (row) times the sum over parts of products (part, row, column) factor^part, plus the bias.
// scale null: 1, bias null: 0.
KERNEL combine_parts(const scalar* products, index parts, index rows, index columns, scalar factor, const scalar* scale,
                     const scalar* bias, scalar* y, index stride) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) {
    scalar sum = 0;
    for (index part = parts; part > 0; --part) {
      sum = fma(sum, factor, products[((part - 1) * rows + row) * columns + column]);
    }
    if (scale != nullptr) sum *= scale[row];
    y[row * stride + column] = sum + (bias == nullptr ? 0 : bias[column]);
  }
}

)
