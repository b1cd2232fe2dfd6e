// SPDX-License-Identifier: MIT
// A zip archive in memory, where a read outside is seen, and as a file of torch.save.
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/checkpoint/torch_zip.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::file file;
  const auto bytes = std::as_bytes(std::span{data, size});
  fuzz::ends_or_refuses([&] {
    const optscope::detail::torch_zip zip{"fuzz.bin", bytes};
    if (const auto* pickle = zip.find("data.pkl")) {
      fuzz::require(pickle->data() >= bytes.data() && pickle->size() <= size &&
                        static_cast<std::size_t>(pickle->data() - bytes.data()) <= size - pickle->size(),
                    "a record inside the file");
    }
    file.put(fuzz::text_of(data, size));
    fuzz::touch(optscope::read_torch(file.path()));
  });
  return 0;
}
