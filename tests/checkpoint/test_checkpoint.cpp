// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <optscope/checkpoint/checkpoint.hpp>
#include <string>
#include <vector>

#include "attack.hpp"

using namespace optscope;
using attack::refused;
namespace fs = std::filesystem;

namespace {
const fs::path goldens = fs::path{OPTSCOPE_SOURCE_DIR} / "tests/goldens/checkpoint";

/// Element i of a golden's tensor, as make_checkpoint_goldens.py defines it.
double golden(const std::string& name, std::size_t i) {
  const std::size_t salt = std::accumulate(name.begin(), name.end(), std::size_t{0});
  return (static_cast<double>((i + salt) * 37 % 64) - 31) / 64;
}

/// Checks every element of a tensor, whole and row by row, as float and as double.
void check_values(const stored_tensor& tensor, const std::string& name) {
  INFO(tensor.file().string() << ": " << name);
  std::vector<float> whole(tensor.size());
  tensor.copy_to(whole.data());
  std::vector<double> rows(tensor.size());
  for (std::size_t row = 0; row < tensor.rows(); ++row) {
    tensor.copy_rows(row, 1, rows.data() + row * tensor.row_size());
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    wrong += static_cast<double>(whole[i]) != golden(name, i) || rows[i] != golden(name, i);
  }
  CHECK_EQ(wrong, 0u);
}

std::vector<std::string> expected_names(int layers, bool head) {
  std::vector<std::string> names{"decoder.embed_positions.weight", "decoder.embed_tokens.weight",
                                 "decoder.final_layer_norm.bias", "decoder.final_layer_norm.weight"};
  if (head) names.push_back("lm_head.weight");
  for (int layer = 0; layer < layers; ++layer) {
    for (const std::string part : {"fc1", "fc2", "final_layer_norm", "self_attn.k_proj", "self_attn.out_proj",
                                   "self_attn.q_proj", "self_attn.v_proj", "self_attn_layer_norm"}) {
      for (const std::string leaf : {"bias", "weight"}) {
        names.push_back("decoder.layers." + std::to_string(layer) + "." + part + "." + leaf);
      }
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Everything that is the same in all goldens; `other` is a tensor whose values are not by the formula.
checkpoint check_golden(const std::string& folder, int layers, bool head, const std::string& other = "") {
  checkpoint files{goldens / folder};
  INFO(folder);
  CHECK_EQ(files.configuration().hidden_size, 8u);
  CHECK_EQ(files.names(), expected_names(layers, head));
  for (const std::string& name : files.names()) {
    const bool copied_head = name == "lm_head.weight" && folder != "bin-head-differs";
    if (name != other) check_values(files.at(name), copied_head ? "decoder.embed_tokens.weight" : name);
  }
  CHECK_EQ(files.at("decoder.layers.0.fc1.weight").shape(), std::vector<std::size_t>{16, 8});
  CHECK_EQ(files.at("decoder.embed_positions.weight").shape(), std::vector<std::size_t>{8, 8});
  CHECK(files.contains("model.decoder.layers.0.fc1.weight"));
  CHECK_FALSE(files.contains("decoder.layers.9.fc1.weight"));
  return files;
}
}  // namespace

TEST_CASE("safetensors of transformers are read in every type that it stores") {
  CHECK_EQ(check_golden("safetensors-fp16", 1, false).at("decoder.embed_tokens.weight").type(), dtype::f16);
  CHECK_EQ(check_golden("safetensors-bf16", 1, false).at("decoder.embed_tokens.weight").type(), dtype::bf16);
  const checkpoint files = check_golden("safetensors-fp32", 1, false);
  const stored_tensor& table = files.at("decoder.embed_tokens.weight");
  CHECK_EQ(table.type(), dtype::f32);
  if (table.direct<float>() != nullptr) CHECK_EQ(*table.direct<float>(), golden("decoder.embed_tokens.weight", 0));
  CHECK_EQ(table.direct<double>(), nullptr);
  CHECK_EQ(files.configuration().torch_dtype, "float32");
}

TEST_CASE("sharded safetensors are one checkpoint") {
  const checkpoint files = check_golden("safetensors-sharded", 2, false);
  CHECK_EQ(files.files().size(), 2u);
  CHECK(files.unlisted().empty());
}

TEST_CASE("torch files are read as an OrderedDict and a dict, saved to a path and to a buffer, wrapped or not") {
  const checkpoint files = check_golden("bin-ordered-dict", 1, true);
  CHECK_EQ(files.at("lm_head.weight").data(), files.at("decoder.embed_tokens.weight").data());
  CHECK(files.tied());
  check_golden("bin-plain-dict", 1, false);
  check_golden("bin-no-prefix", 1, false);
  check_golden("bin-wrapped", 1, false);
  check_golden("bin-parameters", 1, false);
}

TEST_CASE("sharded torch files are one checkpoint, and a second copy of the tied matrix is recognised") {
  const checkpoint files = check_golden("bin-sharded", 2, true);
  CHECK_EQ(files.files().size(), 2u);
  CHECK(files.tied());
  CHECK_NE(files.embedding().data(), files.unembedding().data());
}

TEST_CASE("tensors that are views into larger storages have their own values") {
  const std::string ones = "decoder.final_layer_norm.weight";
  const checkpoint files = check_golden("bin-views", 1, false, ones);
  CHECK_FALSE(files.at("decoder.layers.0.fc1.weight").contiguous());
  CHECK_FALSE(files.at("decoder.layers.0.self_attn.out_proj.bias").contiguous());
  CHECK(files.at("decoder.layers.0.self_attn.q_proj.weight").contiguous());
  std::vector<float> values(8);
  files.at(ones).copy_to(values.data());
  CHECK_EQ(values, std::vector<float>(8, 1.0f));
  std::vector<float> all(8 * 16), some(3 * 8);
  files.at("decoder.layers.0.fc1.weight").copy_to(all.data());
  files.at("decoder.layers.0.fc1.weight").copy_rows(2, 3, some.data());
  CHECK(std::equal(some.begin(), some.end(), all.begin() + 16));
  // An integer tensor in the file is only an error for who asks for it.
  CHECK_FALSE(files.contains("decoder.position_ids"));
  refused([&] { return &files.at("decoder.position_ids"); }, "found LongStorage");
}

TEST_CASE("embedding and unembedding are the one matrix or the two that the file has") {
  const checkpoint tied{goldens / "bin-no-prefix"};
  CHECK_EQ(&tied.embedding(), &tied.unembedding());
  CHECK(tied.tied());
  const checkpoint head{goldens / "bin-head-only"};
  CHECK_EQ(head.embedding().name(), "lm_head.weight");
  CHECK_EQ(&head.embedding(), &head.unembedding());
  CHECK(head.tied());
  const checkpoint copied = check_golden("bin-head-copied", 1, true);
  CHECK_NE(copied.embedding().data(), copied.unembedding().data());
  CHECK(copied.tied());
  const checkpoint both = check_golden("bin-head-differs", 1, true);
  CHECK_EQ(both.embedding().name(), "decoder.embed_tokens.weight");
  CHECK_EQ(both.unembedding().name(), "lm_head.weight");
  CHECK_FALSE(both.tied());
  const checkpoint untied{goldens / "bin-untied-no-head"};
  CHECK_EQ(untied.embedding().rows(), 24u);
  refused([&] { return &untied.unembedding(); }, "tensor \"lm_head.weight\"");
}

TEST_CASE("the format before torch 1.6 is refused by name") {
  refused([] { return checkpoint{goldens / "bin-legacy"}; }, "the legacy format of torch before 1.6");
}

TEST_CASE("a tensor keeps its file mapped after the checkpoint is gone") {
  const auto bias = [] {
    const checkpoint files{goldens / "safetensors-fp16"};
    return files.at("decoder.layers.0.fc1.bias");
  }();
  check_values(bias, "decoder.layers.0.fc1.bias");
}

namespace {
/// One U8-free safetensors file of F32 scalars with these names.
std::string scalars(const std::vector<std::string>& names) {
  std::string header = "{", data;
  for (std::size_t i = 0; i < names.size(); ++i) {
    header += (i == 0 ? "\"" : ",\"") + names[i] + R"(":{"dtype":"F32","shape":[1],"data_offsets":[)" +
              std::to_string(4 * i) + "," + std::to_string(4 * i + 4) + "]}";
    data += attack::little_endian(static_cast<float>(i));
  }
  return attack::safetensors(header + "}", data);
}
const std::string config_text = R"({"model_type": "opt"})";
}  // namespace

TEST_CASE("safetensors come before torch files, single files before shards") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  const auto file = [&] { return checkpoint{folder.path}.files().front().filename().string(); };
  folder.put("pytorch_model.bin.index.json", R"({"weight_map": {"x": "a.bin"}})");
  folder.put("a.bin", attack::bin(attack::pickle(attack::dict(
                          attack::item("x", attack::tensor(attack::storage("FloatStorage", "0", 6), 0, {6}, {1}))))));
  CHECK_EQ(file(), "a.bin");
  fs::copy_file(folder.path / "a.bin", folder.path / "pytorch_model.bin");
  CHECK_EQ(file(), "pytorch_model.bin");
  folder.put("model.safetensors.index.json", R"({"weight_map": {"x": "a.safetensors"}})");
  folder.put("a.safetensors", scalars({"x"}));
  CHECK_EQ(file(), "a.safetensors");
  folder.put("model.safetensors", scalars({"x"}));
  CHECK_EQ(file(), "model.safetensors");
}

TEST_CASE("an error names what is missing and where it was looked for") {
  const temporary_folder folder;
  refused([&] { return checkpoint{folder.path / "none"}; }, "expected a folder with a model");
  refused([&] { return checkpoint{folder.path}; }, "expected config.json");
  folder.put("config.json", config_text);
  refused([&] { return checkpoint{folder.path}; },
          "expected weights: model.safetensors, model.safetensors.index.json, pytorch_model.bin or "
          "pytorch_model.bin.index.json, found none of them");
  CHECK_EQ(read_config(folder.path).hidden_size, 768u);
  folder.put("model.safetensors", scalars({"model.decoder.x"}));
  const checkpoint files{folder.path};
  refused([&] { return &files.at("decoder.y"); }, "model.safetensors: tensor \"decoder.y\"");
  refused([&] { return &files.embedding(); }, "tensor \"decoder.embed_tokens.weight\"");
  CHECK_EQ(files.at("decoder.x").name(), "model.decoder.x");
}

TEST_CASE("what torch.compile and DataParallel put before names is left out") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  for (const std::string before : {"module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."}) {
    folder.put("model.safetensors", scalars({before + "lm_head.weight", before + "model.decoder.layers.0.x"}));
    CHECK_EQ(checkpoint{folder.path}.names(), std::vector<std::string>{"decoder.layers.0.x", "lm_head.weight"});
  }
}

TEST_CASE("a prefix that is not known is named where a tensor is missing") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  for (const std::string before : {"transformer.", "base_model.model.model.decoder.", "opt."}) {
    folder.put("model.safetensors", scalars({before + "layers.0.x", before + "lm_head.weight"}));
    const checkpoint files{folder.path};
    refused([&] { return &files.at("lm_head.weight"); }, "tensor \"lm_head.weight\": expected this tensor, found \"" +
                                                             before + "lm_head.weight\"; the prefix \"" + before +
                                                             "\" must be removed from the names");
    refused([&] { return &files.at("head.weight"); }, "found no tensor of that name");
  }
}

TEST_CASE("a tensor under both of its names is refused") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  folder.put("model.safetensors", scalars({"model.decoder.x", "decoder.x"}));
  refused([&] { return checkpoint{folder.path}; }, "found it with and without a prefix such as \"model.\"");
}

TEST_CASE("an index that does not fit its shards is refused") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  folder.put("a.safetensors", scalars({"x", "z"}));
  folder.put("b.safetensors", scalars({"y"}));
  fs::create_directory(folder.path / "sub");
  fs::copy_file(folder.path / "a.safetensors", folder.path / "sub/a.safetensors");
  const auto with = [&](const std::string& index, const std::string& expected) {
    folder.put("model.safetensors.index.json", index);
    refused([&] { return checkpoint{folder.path}; }, expected);
  };
  const auto map = [](const std::string& members) { return "{\"weight_map\": {" + members + "}}"; };
  with("", "JSON");
  with("[]", "a JSON object");
  with("{}", "weight_map");
  with(R"({"weight_map": []})", "weight_map: expected a JSON object");
  with(R"({"weight_map": {}})", "at least one tensor");
  with(map(R"("x": 3)"), "weight_map.x");
  for (const std::string name : {"", ".", "..", "../a.safetensors", "sub/a.safetensors", "/etc/passwd", "sub\\\\a",
                                 "a.safetensors\\u0000", "c:a"}) {
    with(map("\"x\": \"" + name + "\""), "the name of a file next to the index");
  }
  with(map(R"("x": "a.safetensors", "x": "b.safetensors")"), "weight_map: duplicate key \"x\"");
  with(map(R"("x": "c.safetensors")"), "c.safetensors, found no such file");
  folder.put("model.safetensors.index.json", map(R"("y": "a.safetensors", "x": "a.safetensors")"));
  const checkpoint lacks_y{folder.path};  // refused only if someone needs it
  CHECK(lacks_y.contains("x"));
  CHECK_FALSE(lacks_y.contains("y"));
  refused([&] { return &lacks_y.at("y"); }, "model.safetensors.index.json lists here, found no tensor of that name");
  with(map(R"("x": "sub")"), "a regular file");

  folder.put("model.safetensors.index.json",
             R"({"metadata": {"total_size": -1}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  const checkpoint files{folder.path};
  CHECK_EQ(files.names(), std::vector<std::string>{"x", "y"});
  REQUIRE_EQ(files.unlisted().size(), 1u);
  CHECK(files.unlisted()[0].find("a.safetensors: z: not used, the index does not list it") != std::string::npos);
}

TEST_CASE("folders, pipes and links where a file should be are refused by name, without waiting") {
  const temporary_folder folder;
  const auto with = [&](const std::string& name, auto&& make, const std::string& expected) {
    make(folder.path / name);
    refused([&] { return checkpoint{folder.path}; }, name + ": expected " + expected);
    fs::remove_all(folder.path / name);
  };
  const auto directory = [](const fs::path& path) { fs::create_directory(path); };
  const auto pipe = [](const fs::path& path) { REQUIRE_EQ(::mkfifo(path.c_str(), 0600), 0); };
  const auto nothing = [](const fs::path& path) { fs::create_symlink("blobs/gone", path); };
  const auto itself = [](const fs::path& path) { fs::create_symlink(path.filename(), path); };
  const auto each = [&](const std::string& name) {
    with(name, directory, "a regular file, found a folder");
    with(name, pipe, "a regular file, found a device, pipe or socket");
    with(name, nothing, "a readable file, found a broken link");  // as in a cache of the hub that was copied
    with(name, itself, "a readable file, found Too many levels");
  };
  each("config.json");
  folder.put("config.json", config_text);
  for (const std::string name :
       {"pytorch_model.bin.index.json", "pytorch_model.bin", "model.safetensors.index.json", "model.safetensors"}) {
    each(name);
  }
  folder.put("model.safetensors.index.json", R"({"weight_map": {"x": "shard"}})");
  each("shard");
}

TEST_CASE("a tensor in two shards is read from the one that the index names, and the other is reported") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  folder.put("a.safetensors", scalars({"x", "y"}));  // y is 1
  folder.put("b.safetensors", scalars({"y"}));       // y is 0
  folder.put("model.safetensors.index.json", R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  const checkpoint files{folder.path};
  float value = -1;
  files.at("y").copy_to(&value);
  CHECK_EQ(value, 0);
  REQUIRE_EQ(files.unlisted().size(), 1u);
  CHECK(files.unlisted()[0].find("a.safetensors: y: not used, the index takes it from b.safetensors") !=
        std::string::npos);
  folder.put("model.safetensors.index.json", R"({"weight_map": {"model.y": "a.safetensors", "y": "b.safetensors"}})");
  CHECK_EQ(checkpoint{folder.path}.names(), std::vector<std::string>{"y"});
  folder.put("a.safetensors", scalars({"model.y"}));
  refused([&] { return checkpoint{folder.path}; }, "duplicate tensor \"y\"");
}

TEST_CASE("messages show any tensor name safely") {
  const temporary_folder folder;
  folder.put("config.json", config_text);
  folder.put("model.safetensors", attack::safetensors(R"({"\u001b[31m\n\u0000":{"dtype":"F33"}})", ""));
  refused([&] { return checkpoint{folder.path}; }, "tensor \"\\x1b[31m\\x0a\\x00\".shape: expected");
  folder.put("model.safetensors", scalars({std::string(100000, 'x'), "y"}));
  CHECK(checkpoint{folder.path}.contains(std::string(100000, 'x')));
  refused([&] { return &checkpoint{folder.path}.at(std::string(100000, 'z')); }, std::string(120, 'z') + "...\"");
}
