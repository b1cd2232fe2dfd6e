// SPDX-License-Identifier: MIT
#pragma once
// Whether the bodies of the library are compiled in every file that includes it, or once.

/// The target `optscope::compiled` defines `OPTSCOPE_COMPILED`: `X.hpp` then only declares, and the bodies in `X.ipp`
/// come from liboptscope.a. Without it `X.hpp` ends by including `X.ipp`, whose functions are inline.
///
/// A program that mixes the two ways, or headers and a library of different versions, does not link; the name of the
/// symbol that the linker reports says why.
#ifdef OPTSCOPE_COMPILED
#define OPTSCOPE_INLINE
extern "C" {
extern const char optscope_compiled_library_0_2_0;  // defined by a library of this version alone
extern const char optscope_is_header_only_in_one_file_and_compiled_in_another;
}
namespace optscope::detail {
[[gnu::used]] inline const char* const compiled_library[] = {
    &optscope_compiled_library_0_2_0, &optscope_is_header_only_in_one_file_and_compiled_in_another};
}
#else
#define OPTSCOPE_INLINE inline
// Thread-local here and not in the library: a linker refuses both under one name.
extern "C" {
[[gnu::used]] inline thread_local char optscope_is_header_only_in_one_file_and_compiled_in_another{};
}
#endif
