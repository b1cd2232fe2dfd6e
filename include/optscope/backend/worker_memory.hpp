// SPDX-License-Identifier: MIT
#pragma once
// Scratch memory of the workers of a pool, kept from call to call.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace optscope::detail {

/// One buffer for each worker.
class worker_memory {
 public:
  explicit worker_memory(std::size_t workers) : memory_(workers) {}

  /// Makes every worker's buffer large enough for this many T, so that no task has to allocate.
  template <class T>
  void reserve(std::size_t count) {
    for (std::vector<std::byte>& memory : memory_) memory.resize(std::max(memory.size(), count * sizeof(T) + line));
  }
  /// A worker's buffer, from the beginning of a cache line.
  template <class T>
  [[nodiscard]] T* of(std::size_t worker) {
    std::byte* const memory = memory_[worker].data();
    return reinterpret_cast<T*>(memory + (line - reinterpret_cast<std::uintptr_t>(memory) % line) % line);
  }

 private:
  static constexpr std::size_t line = 64;
  std::vector<std::vector<std::byte>> memory_;
};

}  // namespace optscope::detail
