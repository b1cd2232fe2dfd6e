// SPDX-License-Identifier: MIT
#pragma once
// A pool of threads that share the indices of one loop at a time.

#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <type_traits>

namespace optscope {

/// Runs `body(index, worker)` for every index of a loop on all its threads, the calling thread included.
///
///     thread_pool pool{2};
///     pool.parallel_for(rows, [&](std::size_t row, std::size_t worker) { ... });
///
/// `worker` is in [0, size()), and no two calls under way at the same time have the same one, so it may choose a
/// scratch buffer. Which worker gets which index is not fixed: if bodies write only to places that depend on the index,
/// results are the same for any number of threads. `parallel_for` rethrows the first exception that a body threw. Not
/// re-entrant.
class thread_pool {
 public:
  /// `threads` = 0 starts one thread per core. Throws `std::system_error` if they cannot be started.
  explicit thread_pool(std::size_t threads = 0);

  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  template <class Body>
  void parallel_for(std::size_t count, Body&& body) {
    run(count, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* stored, std::size_t index, std::size_t worker) {
          (*static_cast<std::remove_reference_t<Body>*>(stored))(index, worker);
        });
  }

 private:
  using call = void(void* body, std::size_t index, std::size_t worker);

  void run(std::size_t count, void* body, call* function);

  struct crew;
  std::unique_ptr<crew> crew_;
  std::size_t size_ = 1;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/threads.ipp>
#endif
