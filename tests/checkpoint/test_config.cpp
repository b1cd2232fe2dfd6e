// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/checkpoint/config.hpp>
#include <string>

#include "attack.hpp"

using namespace optscope;
using attack::refused;

namespace {
config from(const std::string& json) {
  const temporary_folder folder;
  folder.put("config.json", json);
  return read_config(folder.path);
}
/// A config of model type "opt" with these members.
config with(const std::string& members) { return from("{\"model_type\": \"opt\", " + members + "}"); }
}  // namespace

TEST_CASE("a config without keys has the defaults of OPTConfig") {
  const config read = from(R"({"model_type": "opt"})");
  CHECK_EQ(read.hidden_size, 768u);
  CHECK_EQ(read.num_hidden_layers, 12u);
  CHECK_EQ(read.num_attention_heads, 12u);
  CHECK_EQ(read.ffn_dim, 3072u);
  CHECK_EQ(read.word_embed_proj_dim, 768u);
  CHECK_EQ(read.vocab_size, 50272u);
  CHECK_EQ(read.max_position_embeddings, 2048u);
  CHECK(read.do_layer_norm_before);
  CHECK_FALSE(read.remove_final_layer_norm);
  CHECK(read.enable_bias);
  CHECK(read.layer_norm_elementwise_affine);
  CHECK(read.tie_word_embeddings);
  CHECK_EQ(read.activation_function, "relu");
  CHECK_EQ(read.bos_token_id.value(), 2);
  CHECK_EQ(read.eos_token_ids, std::vector<token_id>{2});
  CHECK_EQ(read.pad_token_id.value(), 1);
  CHECK_EQ(read.torch_dtype, "");
  CHECK_EQ(read.head_dim(), 64u);
  CHECK(read.has_final_layer_norm());
  CHECK_FALSE(read.has_projection());
}

TEST_CASE("every key of a config is read, and those of other programs are ignored") {
  const config read = with(R"("hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "ffn_dim": 4096,
      "word_embed_proj_dim": 512, "vocab_size": 50265, "max_position_embeddings": 100, "do_layer_norm_before": false,
      "_remove_final_layer_norm": true, "enable_bias": false, "layer_norm_elementwise_affine": false,
      "tie_word_embeddings": false, "activation_function": "gelu", "bos_token_id": 0, "eos_token_id": [2, 50260],
      "pad_token_id": null, "torch_dtype": "float16", "output_projection": true, "prefix": "</s>", "dropout": 0.1,
      "quantization": {"hidden_size": 3, "hidden_size": 4})");
  CHECK_EQ(read.hidden_size, 1024u);
  CHECK_EQ(read.num_hidden_layers, 24u);
  CHECK_EQ(read.num_attention_heads, 16u);
  CHECK_EQ(read.ffn_dim, 4096u);
  CHECK_EQ(read.word_embed_proj_dim, 512u);
  CHECK_EQ(read.vocab_size, 50265u);
  CHECK_EQ(read.max_position_embeddings, 100u);
  CHECK_FALSE(read.do_layer_norm_before);
  CHECK(read.remove_final_layer_norm);
  CHECK_FALSE(read.enable_bias);
  CHECK_FALSE(read.layer_norm_elementwise_affine);
  CHECK_FALSE(read.tie_word_embeddings);
  CHECK_EQ(read.activation_function, "gelu");
  CHECK_EQ(read.bos_token_id.value(), 0);
  CHECK_EQ(read.eos_token_ids, std::vector<token_id>{2, 50260});
  CHECK_FALSE(read.pad_token_id.has_value());
  CHECK_EQ(read.torch_dtype, "float16");
  CHECK_FALSE(read.has_final_layer_norm());
  CHECK(read.has_projection());
}

TEST_CASE("null and missing values mean what they mean in transformers") {
  CHECK_EQ(with(R"("word_embed_proj_dim": null, "hidden_size": 240)").word_embed_proj_dim, 240u);
  CHECK(with(R"("eos_token_id": null)").eos_token_ids.empty());
  CHECK_FALSE(with(R"("pad_token_id": -1)").pad_token_id.has_value());
  CHECK_FALSE(with(R"("bos_token_id": -100)").bos_token_id.has_value());
  CHECK_EQ(with(R"("eos_token_id": [-1, 2])").eos_token_ids, std::vector<token_id>{2});
  CHECK_EQ(with(R"("torch_dtype": "float16", "dtype": "bfloat16")").torch_dtype, "bfloat16");
  CHECK_EQ(with(R"("torch_dtype": null, "dtype": null)").torch_dtype, "");
}

TEST_CASE("a config that cannot be used is refused with its key") {
  refused([] { return from("{}"); }, "model_type: expected \"opt\", found no such key");
  refused([] { return from(R"({"model_type": "gpt2"})"); }, "expected \"opt\", found \"gpt2\"");
  refused([] { return from(R"({"model_type": 3})"); }, "model_type: expected a string, found 3");
  refused([] { return with(R"("hidden_size": 770)"); }, "num_attention_heads: expected a divisor of hidden_size 770");
  refused([] { return with(R"("num_attention_heads": 4096)"); }, "expected a divisor of hidden_size 768, found 4096");
  refused([] { return with(R"("hidden_size": 0)"); }, "hidden_size: expected a whole number from 1");
  refused([] { return with(R"("hidden_size": -768)"); }, "found -768");
  refused([] { return with(R"("hidden_size": 768.0)"); }, "found 768.0");
  refused([] { return with(R"("hidden_size": "768")"); }, "found the string \"768\"");
  refused([] { return with(R"("hidden_size": null)"); }, "found null");
  refused([] { return with(R"("hidden_size": true)"); }, "found true");
  refused([] { return with(R"("hidden_size": 18446744073709551615)"); }, "found 18446744073709551615");
  refused([] { return with(R"("num_attention_heads": 0)"); }, "num_attention_heads");
  refused([] { return with(R"("hidden_size": 1152921504606846976)"); }, "found 1152921504606846976");
  refused([] { return with(R"("hidden_size": -9223372036854775808)"); }, "found -9223372036854775808");
  refused([] { return with(R"("hidden_size": 1e3)"); }, "found 1000.0");
  refused([] { return with(R"("hidden_size": {"hidden_size": 768})"); }, "found an object");
  refused([] { return with(R"("num_attention_heads": 11)"); }, "a divisor of hidden_size 768, found 11");
  refused([] { return with(R"("activation_function": ["relu"])"); },
          "activation_function: expected a string, found a list");
  refused([] { return with(R"("model_type": "opt")"); }, "duplicate key \"model_type\"");
  refused([] { return with("\"torch_dtype\": 16"); }, "torch_dtype: expected a string, found 16");
  refused([] { return with(R"("num_hidden_layers": 1000000000)"); }, "num_hidden_layers");
  refused([] { return with(R"("word_embed_proj_dim": 0)"); }, "word_embed_proj_dim");
  refused([] { return with(R"("vocab_size": [50272])"); }, "found a list");
  refused([] { return with(R"("enable_bias": 1)"); }, "enable_bias: expected true or false, found 1");
  refused([] { return with(R"("tie_word_embeddings": null)"); }, "expected true or false, found null");
  refused([] { return with(R"("activation_function": null)"); }, "activation_function: expected a string, found null");
  refused([] { return with(R"("bos_token_id": [2])"); }, "bos_token_id: expected a token id or null, found a list");
  refused([] { return with(R"("eos_token_id": "</s>")"); }, "eos_token_id");
  refused([] { return with(R"("pad_token_id": 2147483648)"); }, "pad_token_id");
  refused([] { return with(R"("ffn_dim": 3072, "ffn_dim": 64)"); }, "duplicate key \"ffn_dim\"");
  refused([] { return with(R"("ffn_dim": 3072, "\u0066fn_dim": 64)"); }, "duplicate key \"ffn_dim\"");
}

TEST_CASE("a file that is not a JSON object is refused") {
  for (const std::string text : {"", "[]", "3", "{", "{\"model_type\": \"opt\"", "{\"model_type\": \"opt\"}}",
                                 "{\"model_type\": \"\xff\"}", "{'model_type': 'opt'}", "<html></html>"}) {
    refused([&] { return from(text); }, "JSON");
  }
  refused([] { return from("\xef\xbb\xbf{\"model_type\": \"opt\"}"); },
          "expected JSON, found a byte order mark before it");
  for (const std::string number : {"0x300", "+768", "0768", ".5", "1.", "- 1", "nan", "-NaN", "+Infinity"}) {
    refused([&] { return with("\"hidden_size\": " + number); }, "JSON");
    refused([&] { return with("\"some_key\": " + number); }, "JSON");
  }
  for (const std::string number : {"NaN", "Infinity", "-Infinity", "1e400"}) {  // which Python's json writes
    refused([&] { return with("\"hidden_size\": " + number); }, "hidden_size: expected a whole number");
    refused([&] { return with("\"eos_token_id\": [2, " + number + "]"); }, "eos_token_id: expected a token id or null");
    refused([&] { return with("\"torch_dtype\": " + number); }, "torch_dtype: expected a string, found " + number);
    CHECK_EQ(with("\"some_key\": [" + number + "], \"hidden_size\": 24").hidden_size, 24u);
  }
  refused([] { return with(std::string{"\"a\": \"\0\"", 8}); }, "JSON");
  refused([] { return from(std::string(100000, '[')); }, "JSON");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  refused([&] { return from(deep); }, "JSON");
}

TEST_CASE("a missing folder, a file in its place and a folder without a config have their own messages") {
  const temporary_folder folder;
  refused([&] { return read_config(folder.path / "none"); }, "expected a folder with a model");
  refused([&] { return read_config(folder.put("file", "")); }, "found a file");
  refused([&] { return read_config(folder.path); }, "expected config.json in this folder");
  std::filesystem::create_directory(folder.path / "config.json");
  refused([&] { return read_config(folder.path); }, "expected a regular file, found a folder");
}
