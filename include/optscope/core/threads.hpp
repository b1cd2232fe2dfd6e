// SPDX-License-Identifier: MIT
#pragma once
// A pool of threads that share out the indices of one loop at a time.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace optscope {

/// Runs `body(index, worker)` for every index of a loop on all its threads, the calling one among them.
///
///     thread_pool pool{2};
///     pool.parallel_for(rows, [&](std::size_t row, std::size_t worker) { ... });
///
/// `worker` is in [0, size()) and never the same for two calls under way, so it may pick a scratch buffer. Which worker
/// gets which index is not fixed: bodies write to places that depend on the index alone, and results are the same for
/// any number of threads. The first exception of a body is thrown again by `parallel_for`. Not re-entrant.
class thread_pool {
 public:
  /// `threads` = 0 takes as many as the machine has cores. Throws `std::system_error` if they cannot be started.
  explicit thread_pool(std::size_t threads = 0) {
    if (threads == 0) threads = std::thread::hardware_concurrency();
    if (threads == 0) threads = 1;
    try {
      for (std::size_t worker = 1; worker < threads; ++worker) {
        workers_.emplace_back([this, worker] { serve(worker); });
      }
    } catch (...) {
      stop();
      throw;
    }
  }

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { stop(); }

  [[nodiscard]] std::size_t size() const noexcept { return workers_.size() + 1; }

  template <class Body>
  void parallel_for(std::size_t count, Body&& body) {
    if (count == 0) return;
    if (workers_.empty() || count == 1) {
      for (std::size_t index = 0; index < count; ++index) body(index, std::size_t{0});
      return;
    }
    body_ = const_cast<void*>(static_cast<const void*>(&body));
    call_ = [](void* stored, std::size_t index, std::size_t worker) {
      (*static_cast<std::remove_reference_t<Body>*>(stored))(index, worker);
    };
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    failure_ = nullptr;
    busy_.store(workers_.size(), std::memory_order_relaxed);
    announce();
    work(0);
    for (std::size_t left = busy_.load(std::memory_order_acquire); left != 0;
         left = busy_.load(std::memory_order_acquire)) {
      busy_.wait(left, std::memory_order_acquire);
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void stop() {
    stopping_ = true;
    announce();
    for (std::thread& worker : workers_) worker.join();
  }

  void announce() {
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
  }

  void serve(std::size_t worker) {
    for (std::uint32_t seen = 0;;) {
      epoch_.wait(seen, std::memory_order_acquire);
      seen = epoch_.load(std::memory_order_acquire);
      if (stopping_) return;
      work(worker);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
  }

  void work(std::size_t worker) noexcept {
    for (std::size_t index; (index = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) {
      try {
        call_(body_, index, worker);
      } catch (...) {
        const std::lock_guard lock{failure_mutex_};
        if (!failure_) failure_ = std::current_exception();
      }
    }
  }

  std::vector<std::thread> workers_;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<std::size_t> next_{0}, busy_{0};
  std::atomic<bool> stopping_{false};
  void* body_ = nullptr;
  void (*call_)(void*, std::size_t, std::size_t) = nullptr;
  std::size_t count_ = 0;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace optscope
