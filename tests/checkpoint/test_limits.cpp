// SPDX-License-Identifier: MIT
// What a file can cost: memory goes with the length of a file, never with a number in it; and so does time, for what
// goes with a number or with the square of a length does not end.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <optscope/checkpoint/checkpoint.hpp>
#include <string>
#include <vector>

#include "attack.hpp"
#include "count_memory.hpp"
#include "long_files.hpp"

using namespace optscope;
using namespace std::string_literals;
using attack::bin;
using attack::dict;
using attack::item;
using attack::number;
using attack::pickle;
using attack::refused;
using attack::safetensors;
using attack::storage;
using attack::text;
namespace fs = std::filesystem;

namespace {
/// Refuses `read(path)` of a file with these bytes in bounded memory.
template <class Read>
void cheaply_refused(const std::string& bytes, Read&& read, const std::string& expected, std::size_t memory_limit) {
  const temporary_folder folder;
  const fs::path path = folder.put("config.json", bytes);
  const std::size_t peak = memory::peak_of([&] { refused([&] { return read(path); }, expected); });
  INFO(bytes.size() << " bytes took " << peak << " bytes of memory: " << expected);
  CHECK_LT(peak, memory_limit);
}
constexpr std::size_t little = 1 << 16;

const auto as_safetensors = [](const fs::path& path) { return read_safetensors(path); };
const auto as_torch = [](const fs::path& path) { return read_torch(path); };
const auto as_config = [](const fs::path& path) { return read_config(path.parent_path()); };

std::string repeated(const std::string& part, std::size_t count) {
  std::string all;
  all.reserve(part.size() * count);
  for (std::size_t i = 0; i < count; ++i) all += part;
  return all;
}
}  // namespace

TEST_CASE("large numbers in a small file cost no memory: safetensors") {
  const auto with = [](const std::string& bytes, const std::string& expected) {
    cheaply_refused(bytes, as_safetensors, expected, little);
  };
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return safetensors(R"({"x":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", "");
  };
  with(attack::u64(~0ull), "header length");
  with(attack::u64(100'000'000) + "{}", "header length: expected at most 2");
  with(one("[1099511627776]", "[0,4398046511104]"), "found 0");
  with(one("[4611686018427387903]", "[0,18446744073709551612]"), "64 bits");
  with(one("[1152921504606846976,1152921504606846976]", "[0,0]"), "64 bits");
}

TEST_CASE("large numbers in a small file cost no memory: torch files") {
  const auto with = [](const std::string& value, const std::string& expected) {
    cheaply_refused(bin(pickle(value)), as_torch, expected, little);
  };
  constexpr std::int64_t huge = std::int64_t{1} << 60;
  const std::string floats = storage("FloatStorage", "0", 6);
  const auto tensor = [&](std::initializer_list<std::int64_t> sizes, std::initializer_list<std::int64_t> strides) {
    return dict(item("x", attack::tensor(floats, 0, sizes, strides)));
  };
  with("X" + attack::u32(0xfffffff0), "found 4294967280");
  with("Nr" + attack::u32(0xffffffff) + "j" + attack::u32(0xfffffffe), "none in slot 4294967294");
  with(dict(item("x", attack::tensor(storage("FloatStorage", "0", huge), 0, {1}, {1}))), "found 24 bytes");
  with(tensor({huge}, {0}), "inside its storage");
  with(tensor({1 << 21}, {0}), "inside its storage");  // repeats one element, and would be read as 8 MB
  with(tensor({0, huge}, {1, 1}) + "0", "opcode");
  using entries = std::vector<attack::zip_entry>;
  for (const std::int64_t size : {0x7fffffffll, 0xfffffffell}) {
    entries all{{"a/data.pkl", pickle(dict(""))}, {"a/data/0", "x"}};
    all[1].size = all[1].packed = size;
    cheaply_refused(attack::zip(all), as_torch, "bytes before the directory", little);
  }
  attack::zip_end end;
  end.with_64 = true;
  end.count = 0xffff;
  end.count_64 = 1ll << 60;
  cheaply_refused(attack::zip({{"a/data.pkl", pickle(dict(""))}}, end), as_torch, "zip entry 1", little);
}

TEST_CASE("large numbers in a small file cost no memory: config and index") {
  for (const std::string key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "vocab_size",
                                "max_position_embeddings", "word_embed_proj_dim"}) {
    for (const std::string value : {"1152921504606846976", "4294967297", "-1", "0", "1e300", "\"12\"", "[12]"}) {
      cheaply_refused("{\"model_type\": \"opt\", \"" + key + "\": " + value + "}", as_config, key, little);
    }
  }
  const temporary_folder folder;
  folder.put("config.json", R"({"model_type": "opt"})");
  folder.put("a.safetensors", safetensors(R"({"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", ""));
  folder.put("model.safetensors.index.json",
             R"({"metadata": {"total_size": 18446744073709551615}, "weight_map": {"x": "a.safetensors"}})");
  CHECK_LT(memory::peak_of([&] { CHECK(checkpoint{folder.path}.contains("x")); }), little);
}

TEST_CASE("a longer file costs memory and time in proportion") {
  const auto with = [](const std::string& bytes, auto&& read, const std::string& expected) {
    cheaply_refused(bytes, read, expected, 32 * bytes.size());
  };
  // Brackets, keys, numbers and a string, as whole files and as the header of safetensors.
  std::string keys = "{", header = "{", numbers = R"({"x":{"dtype":"F32","data_offsets":[0,0],"shape":[)";
  for (std::size_t i = 0; keys.size() < long_file; ++i) keys += "\"key" + std::to_string(i) + "\":0,";
  for (std::size_t i = 0; header.size() < long_file; ++i) {
    header += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},)";
  }
  while (numbers.size() < long_file) numbers += "1,";
  keys += R"("model_type": "opt", "hidden_size": 0})";
  header += R"("x":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})";
  numbers += "1]}}";
  with(keys, as_config, "hidden_size");
  with(repeated("[", long_file), as_config, "JSON");
  with(repeated("{\"a\":", long_file / 5), as_config, "JSON");
  with(std::string(long_file, ' '), as_config, "JSON");
  with("{\"model_type\": \"" + std::string(long_file, 'x') + "\"}", as_config, "expected \"opt\"");
  with("{\"" + std::string(long_file, 'x') + "\": 0}", as_config, "model_type");
  with("{\"model_type\": \"opt\", \"hidden_size\": " + std::string(long_file, '9') + "}", as_config, "hidden_size");
  with(safetensors(header, std::string(9, '\0')), as_safetensors, "expected to begin at 9");
  with(safetensors(numbers, ""), as_safetensors, "at most 8 axes");
  with(safetensors("{\"__metadata__\":{}," + keys.substr(1), ""), as_safetensors, "a JSON object");
  with(safetensors(repeated("[", long_file), ""), as_safetensors, "JSON");
  // Pickles: marks, values, memo slots, tuples of everything, dicts filled again and again; more than 1048576 of each.
  std::string puts = "N", sets = "}";
  for (std::uint32_t i = 0; puts.size() < long_pickle; ++i) puts += "r" + attack::u32(i * 2654435761u);
  for (std::uint32_t i = 0; sets.size() < long_pickle; ++i) sets += "(NNu";
  with(bin(pickle(std::string(long_pickle, '('))), as_torch, "one value at the end");
  with(bin(pickle(std::string(long_pickle, 'N'))), as_torch, "one value at the end");
  with(bin(pickle(std::string(long_pickle, '}'))), as_torch, "1048576 values");
  with(bin(pickle("}q\0"s + repeated("h\0"s, long_pickle / 2))), as_torch, "one value at the end");
  with(bin(pickle(puts)), as_torch, "a dict of names");
  with(bin(pickle(sets)), as_torch, "names of tensors as keys, found");
  with(bin(pickle("(" + repeated("(NNNNt", std::max(mega + 1, long_pickle / 6)) + "t")), as_torch, "1048576 values");
  with(bin(pickle(repeated(text(std::string(1000, 'x')), long_pickle / 1005))), as_torch, "one value at the end");
}

TEST_CASE("a header or a pickle that is too long is refused before it is read") {
  const temporary_folder folder;
  const fs::path path = folder.put("model.safetensors", attack::u64(620'000'000) + "{");
  fs::resize_file(path, 700'000'000);  // ten million entries would be as long; the file is sparse
  CHECK_LT(memory::peak_of([&] { refused([&] { return read_safetensors(path); }, "at most 100000000"); }), little);
  const fs::path config = folder.put("config.json", "{");
  fs::resize_file(config, 200'000'000);
  CHECK_LT(memory::peak_of([&] { refused([&] { return read_config(folder.path); }, "at most 100000000"); }), little);
}
