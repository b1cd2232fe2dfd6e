// SPDX-License-Identifier: MIT
#pragma once
// Bodies of threads.hpp.

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optscope/core/threads.hpp>
#include <thread>
#include <vector>

namespace optscope {

// The threads other than the calling one, and the loop that all of them work on.
struct thread_pool::crew {
  ~crew() {
    stopping = true;
    announce();
    for (std::thread& worker : workers) worker.join();
  }

  void announce() {
    epoch.fetch_add(1, std::memory_order_release);
    epoch.notify_all();
  }

  void serve(std::size_t worker) {
    for (std::uint32_t seen = 0;;) {
      epoch.wait(seen, std::memory_order_acquire);
      seen = epoch.load(std::memory_order_acquire);
      if (stopping) return;
      work(worker);
      if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1) busy.notify_one();
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
    busy.store(workers.size(), std::memory_order_relaxed);
    announce();
    work(0);
    for (std::size_t left = busy.load(std::memory_order_acquire); left != 0;
         left = busy.load(std::memory_order_acquire)) {
      busy.wait(left, std::memory_order_acquire);
    }
    if (failure) std::rethrow_exception(failure);
  }

  std::atomic<std::uint32_t> epoch{0};
  std::atomic<std::size_t> next{0}, busy{0};
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
