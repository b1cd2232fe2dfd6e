// SPDX-License-Identifier: MIT
#pragma once
// How long files and texts are that show what a byte costs: shorter with sanitizers, which are slow. With time that
// goes with the square of their entries the optimised tests run into ctest's TIMEOUT.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define OPTSCOPE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OPTSCOPE_SANITIZED 1
#endif
#endif

inline constexpr std::size_t mega = 1 << 20;
#ifdef OPTSCOPE_SANITIZED
inline constexpr std::size_t long_file = 2 * mega, long_text = mega / 4, long_pickle = 3 * mega;
#else
inline constexpr std::size_t long_file = 10 * mega, long_text = mega, long_pickle = 16 * mega - 100;
#endif
