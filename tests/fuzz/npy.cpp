// SPDX-License-Identifier: MIT
// A .npy file: what is accepted is written as a file that reads back to the same bits.
#include <cstring>
#include <optscope/interop/npy.hpp>

#include "fuzz.hpp"

using namespace optscope;

namespace {
template <class T, std::size_t Rank>
void read_and_write(const fuzz::file& file, const fuzz::folder& folder) {
  fuzz::ends_or_refuses([&] {
    const tensor<T, Rank> values = read_npy<T, Rank>(file.path());
    write_npy(folder.path / "again.npy", values);
    const tensor<T, Rank> again = read_npy<T, Rank>(folder.path / "again.npy");
    fuzz::require(again.shape() == values.shape(), "the same shape");
    fuzz::require(values.size() == 0 || std::memcmp(again.data(), values.data(), values.size() * sizeof(T)) == 0,
                  "the same bits");
  });
}
}  // namespace

/// What begins with '{' is a header of version 1 up to its first line end, then data; anything else is a whole file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::file file;
  static const fuzz::folder folder;
  const std::string_view text = fuzz::text_of(data, size);
  if (text.starts_with('{')) {
    file.put(std::string{"\x93NUMPY\1\0", 8} + attack::u16(std::min(text.find('\n') + 1, size)) + std::string{text});
  } else {
    file.put(text);
  }
  read_and_write<float, 2>(file, folder);
  read_and_write<double, 3>(file, folder);
  read_and_write<std::int32_t, 1>(file, folder);
  return 0;
}
