// SPDX-License-Identifier: MIT
// Statistics of activations that need not leave the device: moments, the largest values.
OPTSCOPE_CUDA_SOURCE(

// Adds rows to the running moments of each unit, in the order and with the bits of `running_moments`: `count` vectors
// have passed before. A thread a unit.
KERNEL add_moments(const scalar* x, index stride, index rows, index units, index count, double* mean, double* squares,
                   double* least, double* most) {
  const index unit = blockIdx.x * static_cast<index>(blockDim.x) + threadIdx.x;
  if (unit >= units) return;
  double m = mean[unit];
  double s = squares[unit];
  double low = least[unit];
  double high = most[unit];
  for (index row = 0; row < rows; ++row) {
    const double value = x[row * stride + unit];
    const double change = value - m;
    m = rounded_sum(m, rounded_product(change, 1 / static_cast<double>(count + row + 1)));
    s = rounded_sum(s, rounded_product(change, value - m));
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  mean[unit] = m;
  squares[unit] = s;
  least[unit] = low;
  most[unit] = high;
}

struct ranked {
  scalar value;
  index place;  // no_place: none
};
DEVICE bool before(ranked a, ranked b) { return a.value > b.value || (a.value == b.value && a.place < b.place); }

// The k largest of each row of n elements, `step` apart, the largest first, of equal ones the first: values and places
// (row, k). Elements with banned[i] != 0 and NaN are passed over; places beyond those left are no_place. banned null: none.
// With k = 1 it is the arg max. A block a row; shared memory: a `ranked` for each thread.
KERNEL largest(const scalar* x, index stride, index step, index n, const unsigned char* banned, index k,
               scalar* values, index* places) {
  ranked* const memory = shared_memory<ranked>();
  const scalar* const row = x + blockIdx.x * stride;
  ranked last = {infinity(), 0};
  for (index found = 0; found < k; ++found) {
    ranked best = {-infinity(), no_place()};
    for (index i = threadIdx.x; i < n; i += blockDim.x) {
      if (banned != nullptr && banned[i] != 0) continue;
      const ranked here = {row[i * step], i};
      const bool left = found == 0 ? here.value == here.value : before(last, here);
      if (left && before(here, best)) best = here;
    }
    best = block_combined(best, memory, [](ranked a, ranked b) { return before(b, a) ? b : a; });
    if (threadIdx.x == 0) {
      values[blockIdx.x * k + found] = best.value;
      places[blockIdx.x * k + found] = best.place;
    }
    last = best;
    if (best.place == no_place()) {
      for (index rest = found + 1 + threadIdx.x; rest < k; rest += blockDim.x) {
        values[blockIdx.x * k + rest] = best.value;
        places[blockIdx.x * k + rest] = best.place;
      }
      return;
    }
  }
}

)
