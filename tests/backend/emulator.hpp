// SPDX-License-Identifier: MIT
#pragma once
// Runs the source of the CUDA kernels on the CPU: a thread of a block is a fiber, which others wait for at
// `__syncthreads` and at warp shuffles. Blocks run one after the other.

#include <setjmp.h>
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

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_WITH_ASAN
#endif
#endif

namespace emulator {

using index = unsigned long long;

struct dimensions {
  unsigned x = 1, y = 1, z = 1;
};
inline dimensions threadIdx, blockIdx, blockDim, gridDim;

enum class waits_for { nothing, block, warp, end };

/// What runs when it is not the scheduler: a place to go back to. Once begun it is left and entered without system
/// calls, by setjmp and longjmp, which ASan would take for the end of what is left.
struct place {
  ucontext_t context;
  jmp_buf jump;
  bool begun = false;
};
inline void change(place& from, place& to) {
#ifdef EMULATOR_WITH_ASAN
  swapcontext(&from.context, &to.context);
#else
  if (_setjmp(from.jump) != 0) return;
  if (to.begun) _longjmp(to.jump, 1);
  to.begun = true;
  setcontext(&to.context);
#endif
}

/// Where threads run, one after the other, until one of them waits: the fiber is that one's then until it ends.
struct fiber {
  place here;
  std::unique_ptr<std::byte[]> stack;
};

struct thread {
  fiber* at = nullptr;
  waits_for state = waits_for::nothing;
  double exchanged = 0;  // in a shuffle
};

constexpr std::size_t stack_bytes = 128 * 1024;

class block {
 public:
  std::vector<thread> threads;
  unsigned running = 0;
  const std::function<void()>* body = nullptr;
  std::unique_ptr<std::byte[]> shared;  // as large as was asked for, so that sanitizers see what is outside

  void wait(waits_for what) {
    const unsigned me = running;
    threads[me].state = what;
    change(threads[me].at->here, scheduler_);
    running = threadIdx.x = me;
  }

  /// `reversed`: the last thread goes first.
  void run(unsigned count, std::size_t shared_bytes, bool reversed) {
    threads.assign(count, thread{});
    shared.reset(new std::byte[shared_bytes]);
    std::memset(shared.get(), 0xff, shared_bytes);  // NaN
    reversed_ = reversed;
    for (started_ = 0; started_ < count;) resume(idle_.empty() ? new_fiber() : idle_.back());
    for (;;) {
      bool released = release_warps();
      if (!released) {
        std::size_t ended = 0, waiting = 0;
        for (const thread& each : threads) {
          ended += each.state == waits_for::end ? 1 : 0;
          waiting += each.state == waits_for::block ? 1 : 0;
        }
        if (ended == count) return;
        if (waiting != count) throw std::logic_error{"some threads of a block do not reach a barrier"};
        for (thread& each : threads) each.state = waits_for::nothing;
      }
      for (unsigned i = 0; i < count; ++i) {
        thread& each = threads[reversed ? count - 1 - i : i];
        if (each.state == waits_for::nothing) resume(each.at);
      }
    }
  }

 private:
  static void enter();

  [[nodiscard]] fiber* new_fiber() {
    fibers_.push_back(std::make_unique<fiber>());
    fiber& each = *fibers_.back();
    each.stack.reset(new std::byte[stack_bytes]);
    getcontext(&each.here.context);
    each.here.context.uc_stack.ss_sp = each.stack.get();
    each.here.context.uc_stack.ss_size = stack_bytes;
    makecontext(&each.here.context, &block::enter, 0);
    idle_.push_back(&each);
    return &each;
  }
  void resume(fiber* next) {
    on_ = next;
    change(scheduler_, next->here);
  }
  /// Runs threads that have not started, in the fiber that is resumed.
  void run_threads(fiber* me) {
    std::erase(idle_, me);
    while (started_ < threads.size()) {
      const unsigned order = started_++;
      running = threadIdx.x = reversed_ ? static_cast<unsigned>(threads.size()) - 1 - order : order;
      threads[running].at = me;
      (*body)();
      threads[running].state = waits_for::end;
    }
    idle_.push_back(me);
    change(me->here, scheduler_);
  }
  bool release_warps() {
    bool any = false;
    for (std::size_t first = 0; first < threads.size(); first += 32) {
      bool all = true;
      for (std::size_t i = first; i < first + 32; ++i) all = all && threads[i].state == waits_for::warp;
      for (std::size_t i = first; all && i < first + 32; ++i) threads[i].state = waits_for::nothing;
      any = any || all;
    }
    return any;
  }

  std::vector<std::unique_ptr<fiber>> fibers_;
  std::vector<fiber*> idle_;
  fiber* on_ = nullptr;
  place scheduler_{.context = {}, .jump = {}, .begun = true};
  unsigned started_ = 0;
  bool reversed_ = false;
};
inline block current;

inline void block::enter() {
  fiber* const me = current.on_;
  for (;;) current.run_threads(me);
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
  current.threads[me].exchanged = static_cast<double>(value);
  current.wait(waits_for::warp);
  const T result = other / 32 == me / 32 ? static_cast<T>(current.threads[other].exchanged) : value;
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
