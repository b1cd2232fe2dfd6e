// SPDX-License-Identifier: MIT
#pragma once
// Counts what operator new gives. These are the operators of the whole program: include it in one source file of it.

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace memory {

inline std::atomic<std::size_t> allocations{0}, in_use{0}, peak{0};

inline void* take(std::size_t size) noexcept {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) return nullptr;
  ++allocations;
  const std::size_t now = in_use += ::malloc_usable_size(memory);
  std::size_t most = peak;
  while (most < now && !peak.compare_exchange_weak(most, now)) continue;
  return memory;
}
inline void* take_or_throw(std::size_t size) {
  if (void* memory = take(size)) return memory;
  throw std::bad_alloc{};
}
inline void give(void* memory) noexcept {
  if (memory != nullptr) in_use -= ::malloc_usable_size(memory);
  std::free(memory);
}

/// The most bytes in use during `call`, above those before it.
template <class Call>
std::size_t peak_of(Call&& call) {
  const std::size_t before = in_use;
  peak = before;
  call();
  return peak - before;
}

}  // namespace memory

void* operator new(std::size_t size) { return memory::take_or_throw(size); }
void* operator new[](std::size_t size) { return memory::take_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return memory::take(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return memory::take(size); }
void operator delete(void* memory) noexcept { memory::give(memory); }
void operator delete[](void* memory) noexcept { memory::give(memory); }
void operator delete(void* memory, std::size_t) noexcept { memory::give(memory); }
void operator delete[](void* memory, std::size_t) noexcept { memory::give(memory); }
