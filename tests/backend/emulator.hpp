// SPDX-License-Identifier: MIT
#pragma once
// Runs the source of the CUDA kernels on the CPU: a thread of a block is a fiber, which others wait for at
// `__syncthreads` and at warp shuffles. Blocks run one after the other.

#include <ucontext.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optscope/core/dtype.hpp>
#include <stdexcept>
#include <vector>

namespace emulator {

using index = unsigned long long;

struct dimensions {
  unsigned x = 1, y = 1, z = 1;
};
inline dimensions threadIdx, blockIdx, blockDim, gridDim;

enum class waits_for { nothing, block, warp, end };

struct fiber {
  ucontext_t context;
  std::unique_ptr<std::byte[]> stack;
  waits_for state = waits_for::nothing;
  double exchanged = 0;  // in a shuffle
};

constexpr std::size_t stack_bytes = 128 * 1024;

class block {
 public:
  std::vector<fiber> fibers;
  std::size_t running = 0;
  ucontext_t scheduler;
  const std::function<void()>* body = nullptr;
  std::unique_ptr<std::byte[]> shared;  // as large as was asked for, so that sanitizers see what is outside

  void wait(waits_for what) {
    fibers[running].state = what;
    swapcontext(&fibers[running].context, &scheduler);
  }

  /// `reversed`: the last thread goes first.
  void run(unsigned threads, std::size_t shared_bytes, bool reversed) {
    if (fibers.size() < threads) fibers.resize(threads);
    shared.reset(new std::byte[shared_bytes]);
    std::memset(shared.get(), 0xff, shared_bytes);  // NaN
    for (unsigned i = 0; i < threads; ++i) start(fibers[i]);
    for (;;) {
      for (unsigned i = 0; i < threads; ++i) resume(reversed ? threads - 1 - i : i);
      if (release_warps(threads)) continue;
      std::size_t ended = 0, waiting = 0;
      for (unsigned i = 0; i < threads; ++i) {
        ended += fibers[i].state == waits_for::end ? 1 : 0;
        waiting += fibers[i].state == waits_for::block ? 1 : 0;
      }
      if (ended == threads) return;
      if (waiting != threads) throw std::logic_error{"some threads of a block do not reach a barrier"};
      for (unsigned i = 0; i < threads; ++i) fibers[i].state = waits_for::nothing;
    }
  }

 private:
  static void enter();

  void start(fiber& each) {
    if (each.stack == nullptr) each.stack.reset(new std::byte[stack_bytes]);
    getcontext(&each.context);
    each.context.uc_stack.ss_sp = each.stack.get();
    each.context.uc_stack.ss_size = stack_bytes;
    each.context.uc_link = &scheduler;
    each.state = waits_for::nothing;
    makecontext(&each.context, &block::enter, 0);
  }
  void resume(unsigned i) {
    if (fibers[i].state != waits_for::nothing) return;
    running = i;
    threadIdx.x = i;
    swapcontext(&scheduler, &fibers[i].context);
  }
  bool release_warps(unsigned threads) {
    bool any = false;
    for (unsigned first = 0; first < threads; first += 32) {
      bool all = true;
      for (unsigned i = first; i < first + 32; ++i) all = all && fibers[i].state == waits_for::warp;
      for (unsigned i = first; all && i < first + 32; ++i) fibers[i].state = waits_for::nothing;
      any = any || all;
    }
    return any;
  }
};
inline block current;

inline void block::enter() {
  (*current.body)();
  current.fibers[current.running].state = waits_for::end;
}

/// Calls `kernel()` as every thread of every block; `threads` is a multiple of 32.
inline void launch(dimensions grid, unsigned threads, std::size_t shared_bytes, bool reversed,
                   const std::function<void()>& kernel) {
  gridDim = grid;
  blockDim = {.x = threads};
  current.body = &kernel;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) current.run(threads, shared_bytes, reversed);
    }
  }
}

inline void __syncthreads() { current.wait(waits_for::block); }

template <class T>
T __shfl_down_sync(unsigned, T value, int distance) {
  const std::size_t me = current.running, other = me + static_cast<std::size_t>(distance);
  current.fibers[me].exchanged = static_cast<double>(value);
  current.wait(waits_for::warp);
  const T result =
      me % 32 + static_cast<std::size_t>(distance) < 32 ? static_cast<T>(current.fibers[other].exchanged) : value;
  current.wait(waits_for::warp);
  return result;
}

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(current.shared.get());
}

inline float half_to_float(unsigned short x) { return optscope::half_to_float(x); }
/// To the nearest F16, ties to even.
inline unsigned short float_to_half(float x) {
  const auto sign = static_cast<unsigned short>(std::bit_cast<std::uint32_t>(x) >> 16 & 0x8000u);
  const float size = std::abs(x);
  if (std::isnan(x)) return static_cast<unsigned short>(sign | 0x7e00u);
  if (size >= 65520.0f) return static_cast<unsigned short>(sign | 0x7c00u);
  int exponent = 0;
  std::frexp(size, &exponent);
  const int last = std::max(exponent - 11, -24);  // exponent of the last bit
  const float rounded = std::ldexp(std::nearbyint(std::ldexp(size, -last)), last);
  if (rounded < 0x1p-14f) return static_cast<unsigned short>(sign | static_cast<unsigned>(std::ldexp(rounded, 24)));
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(rounded);
  return static_cast<unsigned short>(sign | ((bits - (112u << 23)) >> 13));
}
inline float float_of_bits(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned bits_of_float(float x) { return std::bit_cast<unsigned>(x); }
inline double rounded_sum(double a, double b) { return a + b; }
inline double rounded_product(double a, double b) { return a * b; }
inline index address_of(const void* p) { return reinterpret_cast<index>(p); }
inline index no_place() { return ~0ull; }

using std::erf, std::erfc, std::exp, std::fabs, std::fma, std::frexp, std::ldexp, std::log1p, std::sqrt, std::tanh;

// clang-format off
#define OPTSCOPE_CUDA_SOURCE(...) __VA_ARGS__
#define KERNEL inline void
#define DEVICE inline
namespace in_float {
using scalar = float;
inline scalar infinity() { return std::numeric_limits<scalar>::infinity(); }
#include <optscope/backend/cuda/common.cuh>
#include <optscope/backend/cuda/rows.cuh>
#include <optscope/backend/cuda/attention.cuh>
#include <optscope/backend/cuda/products.cuh>
#include <optscope/backend/cuda/statistics.cuh>
}  // namespace in_float
namespace in_double {
using scalar = double;
inline scalar infinity() { return std::numeric_limits<scalar>::infinity(); }
#include <optscope/backend/cuda/common.cuh>
#include <optscope/backend/cuda/rows.cuh>
#include <optscope/backend/cuda/attention.cuh>
#include <optscope/backend/cuda/products.cuh>
#include <optscope/backend/cuda/statistics.cuh>
}  // namespace in_double
#undef DEVICE
#undef KERNEL
#undef OPTSCOPE_CUDA_SOURCE
// clang-format on

}  // namespace emulator
