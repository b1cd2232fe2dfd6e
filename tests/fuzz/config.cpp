// SPDX-License-Identifier: MIT
// config.json: what is accepted has sizes whose products fit.
#include <optscope/checkpoint/config.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::file file;
  static fuzz::folder folder;
  static const bool linked = (folder.link("config.json", file), true);
  static_cast<void>(linked);
  file.put(fuzz::text_of(data, size));
  fuzz::ends_or_refuses([&] {
    const optscope::config read = optscope::read_config(folder.path);
    fuzz::require(read.head_dim() * read.num_attention_heads == read.hidden_size, "heads that divide the width");
    for (const std::size_t extent : {read.hidden_size, read.ffn_dim, read.vocab_size, read.word_embed_proj_dim,
                                     read.max_position_embeddings, read.num_hidden_layers}) {
      fuzz::require(extent >= 1 && extent <= 1 << 24, "sizes inside the limits");
    }
    fuzz::require(read.eos_token_ids.size() <= size, "no more ids than the file has");
  });
  return 0;
}
