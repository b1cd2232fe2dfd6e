// SPDX-License-Identifier: MIT
#pragma once
// The OPT models as types, and how a config becomes an architecture.

#include <array>
#include <concepts>
#include <optscope/checkpoint/config.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {

/// Sizes of the released models; embeddings are as wide as the stream, LayerNorm comes first.
struct opt_125m {
  static constexpr std::string_view name = "opt-125m";
  static constexpr architecture shape{};
};
/// The odd one: LayerNorm behind the additions, none at the end, embeddings 512 wide.
struct opt_350m {
  static constexpr std::string_view name = "opt-350m";
  static constexpr architecture shape{.layers = 24,
                                      .hidden = 1024,
                                      .heads = 16,
                                      .ffn = 4096,
                                      .embed_dim = 512,
                                      .pre_layer_norm = false,
                                      .final_layer_norm = false};
};
struct opt_1_3b {
  static constexpr std::string_view name = "opt-1.3b";
  static constexpr architecture shape{.layers = 24, .hidden = 2048, .heads = 32, .ffn = 8192, .embed_dim = 2048};
};
struct opt_2_7b {
  static constexpr std::string_view name = "opt-2.7b";
  static constexpr architecture shape{.layers = 32, .hidden = 2560, .heads = 32, .ffn = 10240, .embed_dim = 2560};
};
struct opt_6_7b {
  static constexpr std::string_view name = "opt-6.7b";
  static constexpr architecture shape{.layers = 32, .hidden = 4096, .heads = 32, .ffn = 16384, .embed_dim = 4096};
};
struct opt_13b {
  static constexpr std::string_view name = "opt-13b";
  static constexpr architecture shape{.layers = 40, .hidden = 5120, .heads = 40, .ffn = 20480, .embed_dim = 5120};
};
struct opt_30b {
  static constexpr std::string_view name = "opt-30b";
  static constexpr architecture shape{.layers = 48, .hidden = 7168, .heads = 56, .ffn = 28672, .embed_dim = 7168};
};
struct opt_66b {
  static constexpr std::string_view name = "opt-66b";
  static constexpr architecture shape{.layers = 64, .hidden = 9216, .heads = 72, .ffn = 36864, .embed_dim = 9216};
};
/// Whatever the checkpoint says; what the other types let the compiler check is then checked when the program runs.
struct any_opt {
  static constexpr std::string_view name = "any OPT";
};

/// A variant whose numbers are known when the program is compiled. A user's own needs a `name` and a `shape`.
template <class Variant>
concept fixed_variant = requires {
  { Variant::shape } -> std::convertible_to<architecture>;
  { Variant::name } -> std::convertible_to<std::string_view>;
};

/// The names that config.json may give the nonlinearity: those of transformers' `ACT2FN` without weights of their own
/// (`prelu` and `xielu` have such).
inline constexpr std::array<std::pair<std::string_view, activation>, 22> activation_names{
    {{"relu", activation::relu},
     {"gelu", activation::gelu},
     {"gelu_10", activation::gelu_10},
     {"gelu_accurate", activation::gelu_tanh},
     {"gelu_fast", activation::gelu_fast},
     {"gelu_new", activation::gelu_tanh},
     {"gelu_python", activation::gelu},
     {"gelu_python_tanh", activation::gelu_tanh},
     {"gelu_pytorch_tanh", activation::gelu_tanh},
     {"hardswish", activation::hardswish},
     {"laplace", activation::laplace},
     {"leaky_relu", activation::leaky_relu},
     {"linear", activation::identity},
     {"mish", activation::mish},
     {"quick_gelu", activation::quick_gelu},
     {"relu2", activation::relu2},
     {"relu6", activation::relu6},
     {"sigmoid", activation::sigmoid},
     {"silu", activation::silu},
     {"sqrtsoftplus", activation::sqrtsoftplus},
     {"swish", activation::silu},
     {"tanh", activation::tanh}}};

/// The nonlinearity by its name; throws `checkpoint_error` for others.
[[nodiscard]] inline activation activation_of(const std::string& name, const std::string& file) {
  std::string names;
  for (const auto& [key, kind] : activation_names) {
    if (key == name) return kind;
    names += (names.empty() ? "" : ", ") + std::string{key};
  }
  throw checkpoint_error{file, "activation_function", "one of " + names, name};
}

/// The architecture that a config describes; `file` is named in errors.
[[nodiscard]] inline architecture architecture_of(const config& from, const std::string& file) {
  return {.layers = from.num_hidden_layers,
          .hidden = from.hidden_size,
          .heads = from.num_attention_heads,
          .ffn = from.ffn_dim,
          .embed_dim = from.word_embed_proj_dim,
          .vocabulary = from.vocab_size,
          .max_positions = from.max_position_embeddings,
          .pre_layer_norm = from.do_layer_norm_before,
          .final_layer_norm = from.has_final_layer_norm(),
          .bias = from.enable_bias,
          .affine_layer_norm = from.layer_norm_elementwise_affine,
          .nonlinearity = activation_of(from.activation_function, file)};
}

/// The architecture in words: `12 layers, hidden 768, 12 heads, ffn 3072, …`.
[[nodiscard]] inline std::string describe(const architecture& shape) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  return number(shape.layers) + " layers, hidden " + number(shape.hidden) + ", " + number(shape.heads) +
         " heads, ffn " + number(shape.ffn) + ", embedding " + number(shape.embed_dim) + ", " +
         number(shape.max_positions) + " positions, LayerNorm " + (shape.pre_layer_norm ? "before" : "after") +
         " each block" + (shape.final_layer_norm ? " and at the end" : "") + (shape.bias ? "" : ", no biases") +
         (shape.affine_layer_norm ? "" : ", LayerNorm without weights");
}

/// Throws `checkpoint_error` with both shapes unless the checkpoint has the variant's. The number of vocabulary rows
/// may differ, as it does in fine-tuned models.
template <fixed_variant Variant>
void require_variant(architecture found, const std::string& file) {
  const std::size_t rows = found.vocabulary;
  found.vocabulary = Variant::shape.vocabulary;
  if (found == Variant::shape) return;
  found.vocabulary = rows;
  throw checkpoint_error{file, "architecture", std::string{Variant::name} + " (" + describe(Variant::shape) + ")",
                         describe(found)};
}

}  // namespace optscope
