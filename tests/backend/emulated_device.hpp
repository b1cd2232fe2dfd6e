// SPDX-License-Identifier: MIT
#pragma once
// A device for `basic_cuda` that is the host: kernels by the emulator, products by plain loops. So everything that the
// backend does on a GPU is tested but for the GPU: which kernels it starts, with which blocks and arguments.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <optscope/backend/cuda_backend.hpp>
#include <optscope/backend/device_product.hpp>
#include <optscope/core/dtype.hpp>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include "emulator.hpp"

namespace emulator {

class emulated_device {
 public:
  static constexpr unsigned threads = 32;
  explicit emulated_device(int) {}

  [[nodiscard]] static std::size_t shared_bytes() { return shared_limit; }
  [[nodiscard]] static std::size_t free_memory() { return memory_limit; }
  static inline std::size_t shared_limit = std::size_t{1} << 16, memory_limit = std::size_t{1} << 40;
  static inline std::size_t allocated = 0, launches = 0, edits = 0;

  [[nodiscard]] static void* allocate(std::size_t bytes) {
    if (bytes > memory_limit) throw optscope::cuda_out_of_memory{"an array", bytes, memory_limit};
    void* const memory = std::malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc{};
    std::memset(memory, 0xff, bytes);  // NaN
    ++allocated;
    return memory;
  }
  static void free(void* memory) noexcept {
    std::free(memory);
    --allocated;
  }
  static void copy_to_device(void* to, std::size_t to_stride, const void* from, std::size_t from_stride,
                             std::size_t row_bytes, std::size_t rows) {
    for (std::size_t i = 0; i < rows; ++i) {
      auto* const target = static_cast<std::byte*>(to) + i * to_stride;
      const auto* const source = static_cast<const std::byte*>(from) + i * from_stride;
      if (target < source + row_bytes && source < target + row_bytes) throw std::logic_error{"a copy overlaps"};
      std::memcpy(target, source, row_bytes);
    }
  }
  static void copy_to_host(void* to, std::size_t to_stride, const void* from, std::size_t from_stride,
                           std::size_t row_bytes, std::size_t rows) {
    copy_to_device(to, to_stride, from, from_stride, row_bytes, rows);
  }
  static void copy_within(void* to, std::size_t to_stride, const void* from, std::size_t from_stride,
                          std::size_t row_bytes, std::size_t rows) {
    copy_to_device(to, to_stride, from, from_stride, row_bytes, rows);
  }
  static void wait() {}

  /// Checks the types of the arguments, which a GPU takes as they come.
  template <class T, class... Arguments>
  static void launch(const char* name, std::array<std::size_t, 3> grid, std::size_t bytes, Arguments... arguments) {
    const entry& kernel = kernels<T>().at(name);
    const std::vector<std::type_index> types{typeid(plain<T, Arguments>)...};
    if (types != kernel.types) throw std::logic_error{std::string{"wrong types of arguments for "} + name};
    const std::array<void*, sizeof...(Arguments)> pointers{&arguments...};
    for (const std::size_t blocks : grid) {
      if (blocks == 0) throw std::logic_error{std::string{"no blocks for "} + name};
    }
    if (bytes > shared_limit || grid[1] > 65535 || grid[2] > 65535) throw std::logic_error{"too large a launch"};
    edits += name == std::string{"edit"} ? 1 : 0;
    const auto extent = [](std::size_t blocks) { return static_cast<unsigned>(blocks); };
    emulator::launch({extent(grid[0]), extent(grid[1]), extent(grid[2])}, threads, bytes, launches++ % 2 == 1,
                     [&] { kernel.call(pointers.data()); });
  }

  static void multiply(const optscope::detail::device_product& p) {
    using optscope::detail::device_arithmetic;
    const auto value = [&](const void* values, std::size_t i) -> double {
      switch (p.arithmetic) {
        case device_arithmetic::f16: return half_to_float(static_cast<const std::uint16_t*>(values)[i]);
        case device_arithmetic::bf16: return optscope::bfloat16_to_float(static_cast<const std::uint16_t*>(values)[i]);
        case device_arithmetic::f64: return static_cast<const double*>(values)[i];
        case device_arithmetic::f32: return static_cast<const float*>(values)[i];
        default: return to_tf32(static_cast<const float*>(values)[i]);
      }
    };
    for (std::size_t row = 0; row < p.m; ++row) {
      for (std::size_t column = 0; column < p.n; ++column) {
        double sum = 0;
        for (std::size_t i = 0; i < p.k; ++i) {
          sum += value(p.x, row * p.x_stride + i) *
                 value(p.w, p.transposed ? column * p.w_stride + i : i * p.w_stride + column);
        }
        const std::size_t at = row * p.y_stride + column;
        if (p.arithmetic == device_arithmetic::f64) {
          double* const y = static_cast<double*>(p.y) + at;
          *y = p.accumulate ? *y + sum : sum;
        } else {
          float* const y = static_cast<float*>(p.y) + at;
          *y = static_cast<float>(p.accumulate ? static_cast<double>(*y) + sum : sum);
        }
      }
    }
  }

  /// 10 bits of mantissa, to the nearest.
  static float to_tf32(float x) { return std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x1000u) & ~0x1fffu); }

 private:
  struct entry {
    std::vector<std::type_index> types;
    std::function<void(void* const*)> call;
  };

  template <class T>
  using part_of = std::conditional_t<std::is_same_v<T, float>, in_float::attention_part, in_double::attention_part>;
  /// A type as kernels call it; whether what a pointer points to is constant does not matter.
  template <class T, class Argument>
  using plain =
      std::conditional_t<std::is_pointer_v<Argument>,
                         std::conditional_t<std::is_same_v<std::remove_const_t<std::remove_pointer_t<Argument>>,
                                                           optscope::detail::device_attention_part<T>>,
                                            part_of<T>*, std::remove_const_t<std::remove_pointer_t<Argument>>*>,
                         std::conditional_t<std::is_same_v<Argument, std::size_t>, index, Argument>>;

  template <class T, class... Parameters>
  static entry entry_of(void (*kernel)(Parameters...)) {
    return {{typeid(plain<T, Parameters>)...}, [kernel](void* const* pointers) {
              [&]<std::size_t... I>(std::index_sequence<I...>) {
                kernel(*static_cast<std::remove_cv_t<Parameters>*>(pointers[I])...);
              }(std::index_sequence_for<Parameters...>{});
            }};
  }

  template <class T>
  static const std::map<std::string, entry>& kernels() {
#define KERNELS_OF(space)                                                                                           \
  {                                                                                                                 \
    {"layer_norm", entry_of<T>(space::layer_norm)}, {"activate", entry_of<T>(space::activate)},                     \
        {"add", entry_of<T>(space::add)}, {"fill_rows", entry_of<T>(space::fill_rows)},                             \
        {"sum_heads", entry_of<T>(space::sum_heads)}, {"attention", entry_of<T>(space::attention)},                 \
        {"attention_scores", entry_of<T>(space::attention_scores)},                                                 \
        {"attention_softmax", entry_of<T>(space::attention_softmax)},                                               \
        {"attention_mix", entry_of<T>(space::attention_mix)},                                                       \
        {"hide_later_keys", entry_of<T>(space::hide_later_keys)}, {"few_rows", entry_of<T>(space::few_rows)},       \
        {"convert", entry_of<T>(space::convert)}, {"convert_to_bfloat16", entry_of<T>(space::convert_to_bfloat16)}, \
        {"split_to_half", entry_of<T>(space::split_to_half)},                                                       \
        {"split_to_bfloat16", entry_of<T>(space::split_to_bfloat16)},                                               \
        {"combine_parts", entry_of<T>(space::combine_parts)}, {"edit", entry_of<T>(space::edit)},                   \
        {"erase", entry_of<T>(space::erase)}, {"add_moments", entry_of<T>(space::add_moments)},                     \
        {"largest", entry_of<T>(space::largest)},                                                                   \
  }
    static_assert(sizeof(part_of<T>) == sizeof(optscope::detail::device_attention_part<T>));
    if constexpr (std::is_same_v<T, float>) {
      static const std::map<std::string, entry> all KERNELS_OF(in_float);
      return all;
    } else {
      static const std::map<std::string, entry> all KERNELS_OF(in_double);
      return all;
    }
#undef KERNELS_OF
  }
};

using emulated_cuda = optscope::basic_cuda<emulated_device>;

}  // namespace emulator
