// SPDX-License-Identifier: MIT
// Weights where they lie in the files: of every stored type, and those that have to be copied.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <filesystem>
#include <optscope/backend/cblas.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/variants.hpp>
#include <span>
#include <string>
#include <temporary_folder.hpp>
#include <utility>
#include <vector>

#include "some_runs.hpp"

using namespace optscope;

namespace {

/// The upper half of a float: a number that every type but F16 holds.
float cut(float value) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) & 0xffff0000u); }

/// The same model with the values cut to BF16, stored as `type`; W_K as `key_type`.
checkpoint stored_as(const checkpoint& files, const temporary_folder& folder, dtype type, dtype key_type) {
  const std::string name = std::string{name_of(type)} + std::string{name_of(key_type)};
  std::filesystem::create_directories(folder / name);
  std::filesystem::copy_file(files.folder() / "config.json", folder / name / "config.json");
  std::vector<safetensors_item> items;
  for (const dtype each : {dtype::f64, dtype::f32, dtype::bf16}) {  // the widest first, so that all are aligned
    for (const std::string& tensor : files.names()) {
      const dtype wanted = tensor.ends_with("k_proj.weight") ? key_type : type;
      if (wanted == each) items.push_back({.name = tensor, .shape = files.at(tensor).shape(), .type = each});
    }
  }
  safetensors_writer out{folder / name / "model.safetensors", items};
  for (const safetensors_item& item : items) {
    const stored_tensor& from = files.at(item.name);
    std::vector<float> values(from.size());
    from.copy_to(values.data());
    std::ranges::transform(values, values.begin(), cut);
    std::vector<std::uint16_t> bits;
    for (const float value : values)
      bits.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
    if (item.type == dtype::f32) out.append(values);
    if (item.type == dtype::f64) out.append(std::vector<double>(values.begin(), values.end()));
    if (item.type == dtype::bf16) out.append_stored(std::as_bytes(std::span{bits}), dtype::bf16);
  }
  out.commit();
  return checkpoint{folder / name};
}

template <class Weights, class Backend>
std::vector<float> logits_of(const checkpoint& files, const Backend& backend, const removal& what) {
  model<any_opt, float, Backend, pruned_weights<float, Weights>> opt{files, backend};
  opt.weights().remove(what, opt.backend().pool());
  kv_cache<float> cache;
  const tensor<float, 2> first = opt.next_logits({some_text(4, 20, 1), some_text(6, 20, 2)}, cache);
  const tensor<float, 2> second = opt.next_logits({{3}, {5}}, cache);
  std::vector<float> result{first.data(), first.data() + first.size()};
  result.insert(result.end(), second.data(), second.data() + second.size());
  return result;
}

}  // namespace

TEST_CASE("a model has the same bits whichever type its weights are stored as") {
  removal some;
  some.layers.resize(1);
  some.layers[0].neurons = {0, 2};
  some.layers[0].neuron_values = {0.5f, -1};
  some.layers[0].heads = {1};
  for (const std::string name : {"head-dim-7", "post-ln-projected", "no-bias"}) {
    CAPTURE(name);
    const temporary_folder folder;
    const checkpoint files{folder_of(name)};
    const checkpoint expected = stored_as(files, folder, dtype::f32, dtype::f32);
    for (const auto& [type, key_type] :
         {std::pair{dtype::bf16, dtype::bf16}, {dtype::f64, dtype::f64}, {dtype::bf16, dtype::f32}}) {
      const checkpoint other = stored_as(files, folder, type, key_type);
      for (const removal& what : {removal{}, name == "no-bias" ? removal{} : some}) {
        CHECK_EQ(logits_of<mapped_weights<float>>(other, cpu{2}, what),
                 logits_of<mapped_weights<float>>(expected, cpu{2}, what));
        CHECK_EQ(logits_of<mapped_weights<float>>(other, cblas{2}, what),
                 logits_of<mapped_weights<float>>(expected, cblas{2}, what));
      }
    }
  }
}

TEST_CASE("layers are those of the files, in any order, also of a policy that was copied or moved") {
  const checkpoint files{folder_of("demo-model")};
  const architecture shape = architecture_of(files.configuration(), "config.json");
  thread_pool pool{1};
  mapped_weights<float> first{files, shape, pool};
  mapped_weights<float> copy{first}, moved{std::move(first)};
  for (const std::size_t layer : {5u, 1u, 1u, 7u, 0u}) {
    for (mapped_weights<float>* weights : {&copy, &moved}) {
      const layer_weights<float> found = weights->layer(layer, shape.layers, pool);
      const auto check = [&](const matrix_view<float>& weight, const std::string& tensor) {
        const stored_tensor& stored = files.at("decoder.layers." + std::to_string(layer) + "." + tensor);
        CHECK(weight.row(0) == stored.data());  // not a copy
        std::vector<float> values(weight.size()), expected(stored.size());
        weight.copy_to(values.data());
        stored.copy_to(expected.data());
        CHECK_EQ(values, expected);
      };
      check(found.qkv.weight.slice(0, shape.hidden), "self_attn.q_proj.weight");
      check(found.qkv.weight.slice(shape.hidden, shape.hidden), "self_attn.k_proj.weight");
      check(found.qkv.weight.slice(2 * shape.hidden, shape.hidden), "self_attn.v_proj.weight");
      check(found.fc2.weight, "fc2.weight");
    }
  }
}
