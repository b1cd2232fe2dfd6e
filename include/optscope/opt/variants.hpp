// SPDX-License-Identifier: MIT
#pragma once
// The OPT models as types, and how a config becomes an architecture.

#include <concepts>
#include <optscope/checkpoint/config.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {

/// Sizes of the released models. Embeddings are as wide as the stream, and LayerNorm comes before each block, unless a
/// type says otherwise.
struct opt_125m {
  static constexpr std::string_view name = "opt-125m";
  static constexpr architecture shape{};
};
/// The odd one: LayerNorm after each addition, none at the end, embeddings 512 wide.
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
/// Whatever the checkpoint says. What the compiler checks for the other types is checked at run time for this one.
struct any_opt {
  static constexpr std::string_view name = "any OPT";
};

/// A variant whose sizes are known when the program is compiled. A custom one needs a `name` and a `shape`.
template <class Variant>
concept fixed_variant = requires {
  { Variant::shape } -> std::convertible_to<architecture>;
  { Variant::name } -> std::convertible_to<std::string_view>;
};

/// The names that config.json may give the nonlinearity: those of transformers' `ACT2FN` without weights of their own
/// (`prelu` and `xielu` have some).
[[nodiscard]] std::span<const std::pair<std::string_view, activation>> activation_names();

/// The nonlinearity by its name in config.json; throws `checkpoint_error` with all names for one that is not known.
[[nodiscard]] activation activation_of(const std::string& name, const std::string& file);

/// The architecture that a config describes; `file` is named in errors.
[[nodiscard]] architecture architecture_of(const config& from, const std::string& file);

/// Throws `checkpoint_error` with both shapes unless the checkpoint has that of the variant `name`. The number of
/// vocabulary rows may differ, as it does in fine-tuned models.
void require_variant(architecture found, const architecture& shape, std::string_view name, const std::string& file);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/variants.ipp>
#endif
