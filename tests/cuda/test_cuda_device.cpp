// SPDX-License-Identifier: MIT
// What can be tested of the CUDA device without a GPU: kernels become cubins, and what is missing is said.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/backend/cuda_device.hpp>
#include <string>
#include <thread>
#include <vector>

#include "temporary_folder.hpp"

using namespace optscope;

namespace {

std::vector<std::string> kernel_names(const std::string& source) {
  std::vector<std::string> names;
  for (std::size_t at = source.find("KERNEL ", source.find("no_place()")); at != std::string::npos;
       at = source.find("KERNEL ", at + 1)) {
    const std::size_t begin = at + 7;
    names.push_back(source.substr(begin, source.find('(', begin) - begin));
  }
  return names;
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream stream{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{stream}, {}};
}

constexpr const char* tiny = "extern \"C\" __global__ void f(SCALAR* x) { *x = 1; }";

}  // namespace

TEST_CASE("every kernel becomes a cubin for every architecture") {
  const std::string source = detail::cuda_source();
  const std::vector<std::string> names = kernel_names(source);
  CHECK(names.size() >= 20);
  const std::array architectures{"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"};
  std::array<std::string, 7> cubins;
  const auto compile = [&](std::size_t first) {
    for (std::size_t i = first; i < cubins.size(); i += 2) {
      const bool in_double = i == architectures.size();
      cubins[i] =
          detail::compile_kernels(source, in_double ? "sm_80" : architectures[i], in_double ? "double" : "float", true);
    }
  };
  std::thread other{compile, 0};
  compile(1);
  other.join();
  for (const std::string& cubin : cubins) {
    CHECK(
        cubin.starts_with("\x7f"
                          "ELF"));
    for (const std::string& name : names) {
      CAPTURE(name);
      CHECK(cubin.find(".text." + name) != std::string::npos);
    }
  }
}

TEST_CASE("a kernel that does not compile is an error with NVRTC's log") {
  try {
    static_cast<void>(detail::compile_kernels("KERNEL f() {}\nint broken = ;", "sm_90", "float"));
    FAIL("it compiled");
  } catch (const cuda_kernel_error& e) {
    CHECK(e.log().find("optscope.cu(2): error") != std::string::npos);
    CHECK(std::string{e.what()}.find("do not compile for sm_90; please report this") != std::string::npos);
  }
}

TEST_CASE("an architecture that NVRTC does not know is an error that says which toolkit is needed") {
  CHECK_NOTHROW(detail::require_architecture(90));
  CHECK_THROWS_WITH_AS(detail::require_architecture(999),
                       doctest::Contains("a CUDA toolkit for this device, a later one"), cuda_toolkit_error);
  CHECK_THROWS_WITH_AS(detail::require_architecture(10), doctest::Contains("an earlier one"), cuda_toolkit_error);
}

TEST_CASE("cubins are kept by a hash, compiled again if broken, and a cache is not needed") {
  const temporary_folder folder;
  const std::filesystem::path cache = folder.path / "new" / "cache";
  const std::string cubin = detail::cached_kernels(cache, tiny, "sm_90", "float");
  const std::filesystem::path file = detail::cubin_file(cache, tiny, "sm_90", "float");
  CHECK_EQ(bytes_of(file).size(), cubin.size() + 16);
  CHECK_EQ(std::distance(std::filesystem::directory_iterator{cache}, {}), 1);
  for (const auto& [source, architecture, scalar] :
       {std::array<const char*, 3>{tiny, "sm_80", "float"}, {tiny, "sm_90", "double"}, {"", "sm_90", "float"}}) {
    CHECK(detail::cubin_file(cache, source, architecture, scalar) != file);
  }

  // What is in the file is taken as it is, if it is whole.
  std::ofstream{file, std::ios::binary} << "stored" << detail::hash_of("stored");
  CHECK_EQ(detail::cached_kernels(cache, tiny, "sm_90", "float"), "stored");
  for (const std::string broken : {"", "short", "stored, but not with its hash"}) {
    std::ofstream{file, std::ios::binary} << broken;
    CHECK_EQ(detail::cached_kernels(cache, tiny, "sm_90", "float"), cubin);
    CHECK_EQ(bytes_of(file).size(), cubin.size() + 16);
  }
  CHECK_EQ(detail::cached_kernels(file / "below a file", tiny, "sm_90", "float"), cubin);
  CHECK_EQ(detail::cached_kernels({}, tiny, "sm_90", "float"), cubin);
}

TEST_CASE("the cache is in XDG_CACHE_HOME, else in the home folder") {
  ::setenv("XDG_CACHE_HOME", "/a/cache", 1);
  CHECK_EQ(detail::kernel_cache_folder(), "/a/cache/optscope");
  ::setenv("XDG_CACHE_HOME", "relative", 1);  // which the specification says to pass over
  ::setenv("HOME", "/home/a", 1);
  CHECK_EQ(detail::kernel_cache_folder(), "/home/a/.cache/optscope");
  ::unsetenv("XDG_CACHE_HOME");
  ::unsetenv("HOME");
  CHECK(detail::kernel_cache_folder().empty());
}

TEST_CASE("without a driver or a device the error says so and what to do") {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);  // none, whatever this machine has
  try {
    const detail::cuda_device device{0};
    FAIL("there is a device");
  } catch (const no_cuda_device& e) {
    const std::string text = e.what();
    CAPTURE(text);
    CHECK((text == "CUDA: no NVIDIA driver is installed; install one, or run on the CPU" ||
           text.starts_with("CUDA: the NVIDIA driver finds no device; check nvidia-smi and CUDA_VISIBLE_DEVICES") ||
           text.starts_with("CUDA: the NVIDIA driver is too old")));
  }
}

TEST_CASE("too little memory is an error with how much is needed and what would fit") {
  const cuda_out_of_memory e{"the weights of a layer", 5'500'000'000, 1'000'000'000};
  CHECK_EQ(e.needed(), 5'500'000'000);
  CHECK_EQ(e.free(), 1'000'000'000);
  CHECK(std::string{e.what()}.find("the weights of a layer: expected 5.5 GB, found 1.0 GB free; ") !=
        std::string::npos);
}
