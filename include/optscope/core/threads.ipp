// SPDX-License-Identifier: MIT
#pragma once
// Bodies of threads.hpp.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optscope/core/threads.hpp>
#include <thread>
#include <vector>

namespace optscope {

// The threads other than the calling one, and the loop that all of them work on. Who calls does not wait for a thread
// that has not woken up when the last index is taken: on a busy machine that may be long after.
struct thread_pool::crew {
  // The state of the loop in one word: its number, whether it is open, how many threads have entered it.
  static constexpr std::uint32_t open = 1u << 12, entered = open - 1, number = ~(open | entered);

  ~crew() {
    stopping = true;
    begin();
    for (std::thread& worker : workers) worker.join();
  }

  void begin() {
    const std::uint32_t last = state.load(std::memory_order_relaxed) & number;
    state.store((last + 2 * open) | open, std::memory_order_release);
    state.notify_all();
  }

  /// Returns when the state is another one than `last`. Loops that follow each other at once, as those of a token do,
  /// find a thread awake: it sleeps only after about as long as it takes to wake one.
  void wait(std::uint32_t last) const noexcept {
    const auto start = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < 16; ++i) {
        if (state.load(std::memory_order_relaxed) != last) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() - start < std::chrono::microseconds{50});
    state.wait(last, std::memory_order_relaxed);
  }

  /// Tells the CPU that a loop waits.
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
  }

  void serve(std::size_t worker) {
    for (std::uint32_t done = 0;;) {
      std::uint32_t now = state.load(std::memory_order_acquire);
      if (stopping) return;
      if (!(now & open) || (now & number) == done) {
        wait(now);
      } else if (state.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) {
        done = now & number;
        work(worker);
        if (state.fetch_sub(1, std::memory_order_acq_rel) == (done | 1)) state.notify_all();
      }
    }
  }

  void work(std::size_t worker) noexcept {
    for (;;) {
      const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= count) return;
      try {
        function(body, index, worker);
      } catch (...) {
        const std::lock_guard lock{failure_mutex};
        if (!failure) failure = std::current_exception();
      }
    }
  }

  void run_all() {
    next.store(0, std::memory_order_relaxed);
    failure = nullptr;
    begin();
    work(0);
    std::uint32_t now = state.fetch_and(~open, std::memory_order_acq_rel) & ~open;
    while (now & entered) {
      wait(now);
      now = state.load(std::memory_order_acquire);
    }
    if (failure) std::rethrow_exception(failure);
  }

  std::atomic<std::uint32_t> state{0};
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stopping{false};
  void* body = nullptr;
  call* function = nullptr;
  std::size_t count = 0;
  std::mutex failure_mutex;
  std::exception_ptr failure;
  std::vector<std::thread> workers;
};

OPTSCOPE_INLINE thread_pool::thread_pool(std::size_t threads) : crew_{new crew} {
  if (threads == 0) threads = std::thread::hardware_concurrency();
  if (threads == 0) threads = 1;
  for (std::size_t worker = 1; worker < threads; ++worker) {
    crew_->workers.emplace_back([all = crew_.get(), worker] { all->serve(worker); });
  }
  size_ = threads;
}

OPTSCOPE_INLINE thread_pool::~thread_pool() = default;

OPTSCOPE_INLINE void thread_pool::run(std::size_t count, void* body, call* function) {
  if (size_ == 1 || count <= 1) {
    for (std::size_t index = 0; index < count; ++index) function(body, index, 0);
    return;
  }
  crew_->body = body;
  crew_->function = function;
  crew_->count = count;
  crew_->run_all();
}

}  // namespace optscope
