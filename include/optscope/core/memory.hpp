// SPDX-License-Identifier: MIT
#pragma once
// How much memory is available, the most that this process has used, and sizes and times in words.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <string>

namespace optscope {

/// Bytes that a process can still allocate before the machine swaps or its control group kills it: Linux's
/// `MemAvailable`, or what is left below `memory.max` if that is less. The largest `std::size_t` if neither can be
/// read.
[[nodiscard]] std::size_t available_memory();

/// The largest resident size of this process so far, in bytes; 0 where Linux does not report it.
[[nodiscard]] std::size_t peak_memory();

/// How often this process has waited so far for a page of memory or of a mapped file to be read from a disk.
[[nodiscard]] std::size_t disk_waits();

/// "5.5 GB": decimal units, as memory is sold and limits are stated.
[[nodiscard]] std::string memory_text(std::size_t bytes);

/// "0.2 s", "3 min", "1.5 h": two digits, of at least a hundredth of a second.
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/memory.ipp>
#endif
