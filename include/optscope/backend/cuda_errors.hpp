// SPDX-License-Identifier: MIT
#pragma once
// What can go wrong with a CUDA device, as types; each message says what to do. Needs no CUDA toolkit.

#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/core/memory.hpp>
#include <string>
#include <utility>

namespace optscope {

/// Base of what the CUDA backend throws, and any failure that has no type of its own.
struct cuda_error : error {
  using error::error;
};

/// There is no NVIDIA driver, it is too old for the CUDA libraries, or it shows no device of that number.
struct no_cuda_device : cuda_error {
  using cuda_error::cuda_error;
};

/// The CUDA toolkit does not know the device, or is too old for the library.
struct cuda_toolkit_error : cuda_error {
  using cuda_error::cuda_error;
};

/// The device has too little memory.
class cuda_out_of_memory : public cuda_error {
 public:
  /// `what`: for what; `needed` bytes where `free` are free.
  cuda_out_of_memory(const std::string& what, std::size_t needed, std::size_t free)
      : cuda_error{"CUDA: too little memory on the device for " + what + ": expected " + memory_text(needed) +
                   ", found " + memory_text(free) +
                   " free; run fewer or shorter texts at a time. Weights that do not fit are streamed, for which two "
                   "layers "
                   "have to"},
        needed_{needed},
        free_{free} {}

  [[nodiscard]] std::size_t needed() const noexcept { return needed_; }
  [[nodiscard]] std::size_t free() const noexcept { return free_; }

 private:
  std::size_t needed_, free_;
};

/// A kernel does not compile. That is a fault of the library: please report it with `log()`.
class cuda_kernel_error : public cuda_error {
 public:
  cuda_kernel_error(const std::string& architecture, std::string log)
      : cuda_error{"CUDA: the kernels do not compile for " + architecture +
                   "; please report this with what NVRTC says: " + detail::printable(log, 2000)},
        log_{std::move(log)} {}

  [[nodiscard]] const std::string& log() const noexcept { return log_; }  ///< NVRTC's

 private:
  std::string log_;
};

/// The weights have a type that the backend's mode cannot multiply.
struct cuda_mode_error : bad_input {
  using bad_input::bad_input;
};

}  // namespace optscope
