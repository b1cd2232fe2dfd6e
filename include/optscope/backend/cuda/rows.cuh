// SPDX-License-Identifier: MIT
// Kernels that take rows one by one: LayerNorm, nonlinearities, addition, copies, edits.
OPTSCOPE_CUDA_SOURCE(

// y = (x - mean) / divisor * gamma + beta, divisor = sqrt(variance + 1e-5), or `given` (row) where that is not null.
// gamma, beta null: none. y may be x, or null: only `scale` (row), the divisor, is wanted. scale null: not wanted.
// A block a row; shared memory: a scalar for each thread.
KERNEL layer_norm(const scalar* x, index x_stride, index n, const scalar* gamma, const scalar* beta,
                  const scalar* given, scalar* y, index y_stride, scalar* scale) {
  scalar* const memory = shared_memory<scalar>();
  const scalar* const row = x + blockIdx.x * x_stride;
  scalar sum = 0;
  for (index i = threadIdx.x; i < n; i += blockDim.x) sum += row[i];
  const scalar mean = block_sum(sum, memory) / static_cast<scalar>(n);
  scalar squares = 0;
  for (index i = threadIdx.x; i < n; i += blockDim.x) squares = fma(row[i] - mean, row[i] - mean, squares);
  const scalar variance = block_sum(squares, memory) / static_cast<scalar>(n);
  const scalar own = sqrt(variance + static_cast<scalar>(1e-5));
  if (scale != nullptr && threadIdx.x == 0) scale[blockIdx.x] = own;
  if (y == nullptr) return;
  const scalar factor = 1 / (given == nullptr ? own : given[blockIdx.x]);
  scalar* const out = y + blockIdx.x * y_stride;
  for (index i = threadIdx.x; i < n; i += blockDim.x) {
    scalar value = (row[i] - mean) * factor;
    if (gamma != nullptr) value *= gamma[i];
    if (beta != nullptr) value += beta[i];
    out[i] = value;
  }
}

DEVICE scalar sigmoid(scalar x) { return 1 / (1 + exp(-x)); }
DEVICE scalar gelu(scalar x) {
  return x * static_cast<scalar>(0.5) * erfc(x * static_cast<scalar>(-0.70710678118654752440));
}
DEVICE scalar gelu_tanh(scalar x, double factor) {
  const scalar inner = static_cast<scalar>(factor) * (x + static_cast<scalar>(0.044715) * x * x * x);
  return static_cast<scalar>(0.5) * x * (1 + tanh(inner));
}
DEVICE scalar softplus(scalar x) { return x > 20 ? x : log1p(exp(x)); }
DEVICE scalar clip(scalar x, scalar low, scalar high) { return x < low ? low : x > high ? high : x; }

// The nonlinearities in the order of `enum class activation`.
DEVICE scalar activated(int kind, scalar x) {
  switch (kind) {
    case 0: return x < 0 ? 0 : x;  // relu
    case 1: return gelu(x);
    case 2: return gelu_tanh(x, 0.7978845608028654);
    case 3: return gelu_tanh(x, 0.7978845608);  // gelu_fast
    case 4: return clip(gelu(x), -10, 10);      // gelu_10
    case 5: return x * sigmoid(static_cast<scalar>(1.702) * x);  // quick_gelu
    case 6: return x * sigmoid(x);                               // silu
    case 7: return x * tanh(softplus(x));                        // mish
    case 8: return x < 0 ? static_cast<scalar>(0.01) * x : x;    // leaky_relu
    case 9: return clip(x, 0, 6);                                // relu6
    case 10: return x < 0 ? 0 : x * x;                           // relu2
    case 11: return x * clip(x + 3, 0, 6) / 6;                   // hardswish
    case 12: {                                                   // laplace
      const double width = 0.282095 * 1.41421356237309504880;
      return static_cast<scalar>(0.5) * (1 + erf((x - static_cast<scalar>(0.707107)) / static_cast<scalar>(width)));
    }
    case 13: return sqrt(softplus(x));
    case 14: return tanh(x);
    case 15: return sigmoid(x);
    default: return x;  // identity
  }
}

// Kernels below: blocks (columns / threads, rows), no shared memory. `rows` may be larger than the grid.

// x = f(x).
KERNEL activate(int kind, scalar* x, index stride, index rows, index columns) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) {
    scalar* const at = x + row * stride + column;
    *at = activated(kind, *at);
  }
}

// y += x.
KERNEL add(const scalar* x, index x_stride, scalar* y, index y_stride, index rows, index columns) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  for (index row = blockIdx.y; row < rows; row += gridDim.y) y[row * y_stride + column] += x[row * x_stride + column];
}

// Every row of y = values (column), or 0 where values is null.
KERNEL fill_rows(const scalar* values, scalar* y, index stride, index rows, index columns) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  const scalar value = values == nullptr ? 0 : values[column];
  for (index row = blockIdx.y; row < rows; row += gridDim.y) y[row * stride + column] = value;
}

// Copies of rows, a block each: none overlaps another's target.
struct row_copy {
  const scalar* from;
  scalar* to;
  index count;
};
KERNEL copy_rows(const row_copy* copies) {
  const row_copy copy = copies[blockIdx.x];
  for (index i = threadIdx.x; i < copy.count; i += blockDim.x) copy.to[i] = copy.from[i];
}

// Of the rows listed: x = factor (column) x + addend (column), the addend alone where the factor is NaN. Where a factor is
// 1 or an addend 0, it does nothing, so that the bits are those of one operation. Blocks (columns / threads, rows listed).
KERNEL edit(scalar* x, index stride, const index* rows, index count, index columns, const scalar* factor,
            const scalar* addend) {
  const index column = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (column >= columns) return;
  const scalar by = factor[column];
  const scalar more = addend[column];
  for (index i = blockIdx.y; i < count; i += gridDim.y) {
    scalar* const at = x + rows[i] * stride + column;
    if (by != by) {
      *at = more;
      continue;
    }
    scalar value = by == 1 ? *at : *at * by;
    if (more != 0) value += more;
    *at = value;
  }
}

// x -= leftᵀ right (x - bias), left and right (direction, column), bias null: 0. With right = left, orthonormal, that
// projects the directions out. A block a row; shared memory: a double for each thread and direction.
KERNEL erase(scalar* x, index stride, index columns, index directions, const double* left, const double* right,
             const double* bias) {
  double* const memory = shared_memory<double>();
  double* const along = memory + blockDim.x;
  scalar* const row = x + blockIdx.x * stride;
  for (index d = 0; d < directions; ++d) {
    double sum = 0;
    for (index i = threadIdx.x; i < columns; i += blockDim.x) {
      sum = fma(right[d * columns + i], static_cast<double>(row[i]) - (bias == nullptr ? 0 : bias[i]), sum);
    }
    sum = block_sum(sum, memory);
    if (threadIdx.x == 0) along[d] = sum;
  }
  __syncthreads();
  for (index i = threadIdx.x; i < columns; i += blockDim.x) {
    double value = row[i];
    for (index d = 0; d < directions; ++d) value = fma(-along[d], left[d * columns + i], value);
    row[i] = static_cast<scalar>(value);
  }
}

// Where a head's share of a row was edited, out (row, column) is the sum of the shares and the bias (null: 0). shares
// and before (row, head, column). A block a row; shared memory: an int for each thread.
KERNEL sum_heads(const scalar* shares, const scalar* before, index heads, index columns, const scalar* bias,
                 scalar* out, index stride) {
  const index size = heads * columns;
  const scalar* const row = shares + blockIdx.x * size;
  const scalar* const old = before + blockIdx.x * size;
  int edited = 0;
  for (index i = threadIdx.x; i < size; i += blockDim.x) edited |= row[i] == old[i] ? 0 : 1;
  if (block_sum(edited, shared_memory<int>()) == 0) return;
  for (index i = threadIdx.x; i < columns; i += blockDim.x) {
    scalar sum = bias == nullptr ? 0 : bias[i];
    for (index head = 0; head < heads; ++head) sum += row[head * columns + i];
    out[blockIdx.x * stride + i] = sum;
  }
}

)
