// SPDX-License-Identifier: MIT
// data.pkl of torch.save next to the records of a golden file: no accepted tensor reaches outside its storage.
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/checkpoint/torch_pickle.hpp>
#include <optscope/checkpoint/torch_zip.hpp>

#include "fuzz.hpp"

using namespace optscope;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string archive = content_of(fuzz::goldens / "checkpoint/bin-ordered-dict/pytorch_model.bin");
  static const detail::torch_zip zip{"golden.bin", std::as_bytes(std::span{archive})};
  static fuzz::file file;
  fuzz::ends_or_refuses([&] {
    const detail::torch_pickle pickle{"fuzz.bin", zip, std::as_bytes(std::span{data, size})};
    // The values of the top dict, and every tensor among them, element by element if it is small.
    const auto& items = pickle.top().items;
    for (const std::uint32_t item : items) {
      const auto& value = pickle.value(item);
      if (value.kind != detail::pickle_value::tensor) continue;
      const auto& tensor = pickle.tensor(value);
      const auto& storage = pickle.storage(tensor);
      const std::size_t elements = storage.bytes.size() / storage.type->bytes;
      fuzz::require(storage.count == elements, "a storage that is its record");
      std::size_t last = tensor.offset, count = 1;
      for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
        count *= tensor.shape[axis];
        last += (tensor.shape[axis] - 1) * tensor.strides[axis];
      }
      fuzz::require(count == 0 || last < elements, "a tensor inside its storage");
    }
    std::vector<attack::zip_entry> entries{{"a/data.pkl", std::string{fuzz::text_of(data, size)}}};
    for (int i = 0; const auto* record = zip.find("data/" + std::to_string(i)); ++i) {
      entries.push_back({"a/data/" + std::to_string(i), std::string{detail::as_text(*record)}});
    }
    file.put(attack::zip(entries));
    fuzz::touch(read_torch(file.path()));
  });
  return 0;
}
