// SPDX-License-Identifier: MIT
#pragma once
// Compiles the kernels for a device, and keeps what was compiled. Needs NVRTC of the CUDA toolkit 12.8 or later.

#include <nvrtc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <optscope/backend/cuda_errors.hpp>
#include <optscope/backend/cuda_source.hpp>
#include <optscope/core/output_file.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace optscope::detail {

inline void check_nvrtc(nvrtcResult result, std::string_view doing) {
  if (result == NVRTC_SUCCESS) return;
  throw cuda_error{"CUDA: " + std::string{doing} + ": NVRTC says " + nvrtcGetErrorString(result)};
}

/// "13.0"
[[nodiscard]] inline std::string nvrtc_version() {
  int major = 0, minor = 0;
  check_nvrtc(nvrtcVersion(&major, &minor), "asking for its version");
  return std::to_string(major) + "." + std::to_string(minor);
}

/// Throws `cuda_toolkit_error` if NVRTC does not know an architecture, such as 90 for sm_90.
inline void require_architecture(int architecture) {
  int count = 0;
  check_nvrtc(nvrtcGetNumSupportedArchs(&count), "asking for the architectures it knows");
  std::vector<int> known(static_cast<std::size_t>(count));
  check_nvrtc(nvrtcGetSupportedArchs(known.data()), "asking for the architectures it knows");
  if (std::ranges::find(known, architecture) != known.end()) return;
  const std::string least = known.empty() ? "none" : "sm_" + std::to_string(known.front());
  const std::string most = known.empty() ? "none" : "sm_" + std::to_string(known.back());
  throw cuda_toolkit_error{"CUDA: the device is of architecture sm_" + std::to_string(architecture) + ", NVRTC " +
                           nvrtc_version() + " compiles for " + least + " to " + most +
                           "; install a CUDA toolkit for this device" +
                           (known.empty() || architecture > known.back() ? ", a later one" : ", an earlier one")};
}

// A product and a sum are rounded one after the other unless a kernel says `fma`, so that the steps of attention have
// its bits however the compiler arranges them.
inline constexpr const char *kernel_language = "--std=c++17", *kernel_rounding = "--fmad=false";

/// The cubin of a source for an architecture such as "sm_90"; `scalar` is "float" or "double". `quickly`: for tests
/// that do not run it. Throws `cuda_kernel_error`.
[[nodiscard]] inline std::string compile_kernels(const std::string& source, const std::string& architecture,
                                                 const std::string& scalar, bool quickly = false) {
  nvrtcProgram program{};
  check_nvrtc(nvrtcCreateProgram(&program, source.c_str(), "optscope.cu", 0, nullptr, nullptr), "taking the kernels");
  const struct destroyer {
    nvrtcProgram program;
    ~destroyer() { nvrtcDestroyProgram(&program); }
  } destroy{program};
  const std::string target = "--gpu-architecture=" + architecture, defined = "-DSCALAR=" + scalar;
  std::vector<const char*> options{target.c_str(), defined.c_str(), kernel_language, kernel_rounding};
  if (quickly) options.push_back("--Ofast-compile=max");
  const nvrtcResult result = nvrtcCompileProgram(program, static_cast<int>(options.size()), options.data());
  std::size_t size = 0;
  if (result != NVRTC_SUCCESS) {
    std::string log{nvrtcGetErrorString(result)};
    if (nvrtcGetProgramLogSize(program, &size) == NVRTC_SUCCESS && size > 1) {
      log.resize(size);
      nvrtcGetProgramLog(program, log.data());
      log.pop_back();  // the 0 at its end
    }
    throw cuda_kernel_error{architecture, std::move(log)};
  }
  check_nvrtc(nvrtcGetCUBINSize(program, &size), "giving the compiled kernels");
  std::string cubin(size, '\0');
  check_nvrtc(nvrtcGetCUBIN(program, cubin.data()), "giving the compiled kernels");
  return cubin;
}

/// 64 bits of FNV-1a, as 16 hexadecimal digits.
[[nodiscard]] inline std::string hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name;
  for (int shift = 60; shift >= 0; shift -= 4) name += digits[hash >> shift & 15];
  return name;
}

/// Where compiled kernels are kept: `optscope` in XDG_CACHE_HOME or ~/.cache; empty if neither is known.
[[nodiscard]] inline std::filesystem::path kernel_cache_folder() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::filesystem::path{cache} / "optscope";
  const char* const home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? std::filesystem::path{} : std::filesystem::path{home} / ".cache/optscope";
}

/// The file of a cubin in a cache: its name is a hash of all that it depends on.
[[nodiscard]] inline std::filesystem::path cubin_file(const std::filesystem::path& cache, const std::string& source,
                                                      const std::string& architecture, const std::string& scalar) {
  return cache / (hash_of(source + '\n' + architecture + '\n' + scalar + '\n' + kernel_language + kernel_rounding +
                          "\nNVRTC " + nvrtc_version()) +
                  ".cubin");
}

/// The cubin from the cache, or compiled and put there for the next time. A cache that cannot be read or written is the
/// same as none; a file in it that is not whole is compiled again.
[[nodiscard]] inline std::string cached_kernels(const std::filesystem::path& cache, const std::string& source,
                                                const std::string& architecture, const std::string& scalar) {
  if (cache.empty()) return compile_kernels(source, architecture, scalar);
  const std::filesystem::path file = cubin_file(cache, source, architecture, scalar);
  constexpr std::size_t digits = 16;  // the file ends in the hash of what comes before
  if (std::ifstream stream{file, std::ios::binary}) {
    std::string found{std::istreambuf_iterator<char>{stream}, {}};
    if (found.size() > digits) {
      const std::string hash = found.substr(found.size() - digits);
      found.resize(found.size() - digits);
      if (hash == hash_of(found)) return found;
    }
  }
  std::string cubin = compile_kernels(source, architecture, scalar);
  try {
    std::error_code ignored;
    std::filesystem::create_directories(cache, ignored);
    write_file(file, cubin + hash_of(cubin));
  } catch (const error&) {
    // The next program compiles them again.
  }
  return cubin;
}

}  // namespace optscope::detail
