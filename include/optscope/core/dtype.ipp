// SPDX-License-Identifier: MIT
#pragma once
// Bodies of dtype.hpp.

#include <cstring>
#include <optscope/core/dtype.hpp>
#include <optscope/core/simd.hpp>
#include <type_traits>

namespace optscope {

template <class To>
void convert(const std::byte* source, dtype type, std::size_t count, To* target) {
  static_assert(std::is_floating_point_v<To>);
  const auto each = [&]<class Stored>(Stored, auto decode) {
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t i = 0; i < count; ++i) {
        Stored stored;
        std::memcpy(&stored, source + i * sizeof(Stored), sizeof(Stored));
        target[i] = static_cast<To>(decode(stored));
      }
    });
  };
  switch (type) {
    case dtype::f16: return each(std::uint16_t{}, [](std::uint16_t value) { return half_to_float(value); });
    case dtype::bf16: return each(std::uint16_t{}, [](std::uint16_t value) { return bfloat16_to_float(value); });
    case dtype::f32: return each(float{}, [](float value) { return value; });
    case dtype::f64: return each(double{}, [](double value) { return value; });
    case dtype::i8: return each(std::int8_t{}, [](std::int8_t value) { return value; });
  }
}

#ifdef OPTSCOPE_COMPILED
template void convert<float>(const std::byte*, dtype, std::size_t, float*);
template void convert<double>(const std::byte*, dtype, std::size_t, double*);
#endif

}  // namespace optscope
