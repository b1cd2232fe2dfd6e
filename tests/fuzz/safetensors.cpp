// SPDX-License-Identifier: MIT
// A safetensors file: what is accepted fills the file exactly, and can be read.
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/safetensors.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::file file;
  file.put(fuzz::text_of(data, size));
  fuzz::ends_or_refuses([&] {
    const auto table = optscope::read_safetensors(file.path());
    fuzz::touch(table);
    std::size_t bytes = 0;
    for (const auto& [name, tensor] : table.tensors) bytes += tensor.size() * size_of(tensor.type());
    const auto header = optscope::detail::number_at<std::uint64_t>(std::as_bytes(std::span{data, size}), 0);
    fuzz::require(bytes <= size - 8 - header, "tensors that are in the file");
    fuzz::require(!table.unsupported.empty() || bytes == size - 8 - header, "tensors that fill the file");
  });
  return 0;
}
