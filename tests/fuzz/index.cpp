// SPDX-License-Identifier: MIT
// The index of a sharded checkpoint, next to two shards.
#include <optscope/checkpoint/checkpoint.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::file file;
  static fuzz::folder folder;
  static const bool linked = [] {
    for (const auto& entry : fuzz::fs::directory_iterator{fuzz::goldens / "checkpoint/safetensors-sharded"}) {
      const std::string name = entry.path().filename();
      if (name != "model.safetensors.index.json") fuzz::fs::copy(entry.path(), folder.path / name);
    }
    folder.link("model.safetensors.index.json", file);
    return true;
  }();
  static_cast<void>(linked);
  file.put(fuzz::text_of(data, size));
  fuzz::ends_or_refuses([&] {
    const optscope::checkpoint files{folder.path};
    fuzz::require(files.files().size() <= 2, "no other files than those of the folder");
    for (const std::string& name : files.names()) fuzz::touch(files.at(name));
    fuzz::touch(files.embedding());
    static_cast<void>(files.tied());
  });
  return 0;
}
