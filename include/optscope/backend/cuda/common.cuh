// SPDX-License-Identifier: MIT
// What the kernels share. Every .cuh file here is one call of OPTSCOPE_CUDA_SOURCE: backend/cuda_source.hpp makes it a
// string for NVRTC, tests/backend/emulator.hpp makes it code for the CPU. So there are no preprocessor lines within.
//
// Kernels are compiled for one `scalar`, float or double. A block has a power of two threads, at least 32. Strides are
// in elements. Sums are added up in an order that depends on the row alone, never on what else is computed.
OPTSCOPE_CUDA_SOURCE(

// How an element of a weight is stored: the numbers of `dtype`.
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };

DEVICE scalar value_of(f16 x) { return static_cast<scalar>(half_to_float(x.bits)); }
DEVICE scalar value_of(bf16 x) { return static_cast<scalar>(float_of_bits(static_cast<unsigned>(x.bits) << 16)); }
DEVICE scalar value_of(float x) { return static_cast<scalar>(x); }
DEVICE scalar value_of(double x) { return static_cast<scalar>(x); }

// To the nearest bfloat16, ties to even; NaN stays NaN.
DEVICE unsigned short float_to_bfloat16(float x) {
  const unsigned bits = bits_of_float(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<unsigned short>(bits >> 16 | 0x40u);
  return static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <class Stored>
struct alignas(4 * sizeof(Stored)) four {
  Stored at[4];
};

DEVICE index smaller(index a, index b) { return a < b ? a : b; }

// Combines a value of each thread; all threads get the result. `memory`: one T for each thread.
template <class T, class Combine>
DEVICE T block_combined(T value, T* memory, Combine combine) {
  __syncthreads();  // others may still read the memory
  memory[threadIdx.x] = value;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) memory[threadIdx.x] = combine(memory[threadIdx.x], memory[threadIdx.x + half]);
  }
  __syncthreads();
  return memory[0];
}
template <class T>
DEVICE T block_sum(T value, T* memory) {
  return block_combined(value, memory, [](T a, T b) { return a + b; });
}

)
