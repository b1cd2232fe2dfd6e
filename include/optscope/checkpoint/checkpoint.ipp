// SPDX-License-Identifier: MIT
#pragma once
// Bodies of checkpoint.hpp.

#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/errors.hpp>
#include <utility>

namespace optscope {

namespace detail {
inline constexpr std::string_view embedding_name = "decoder.embed_tokens.weight", unembedding_name = "lm_head.weight";

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> all;
  for (const auto& [name, unused] : map) all.push_back(name);
  return all;
}

/// What is in a file in place of a tensor `wanted`: maybe the same name after a prefix that is not known.
template <class Map>
std::string instead_of(std::string_view wanted, const Map& tensors) {
  for (const auto& [name, unused] : tensors) {
    if (!name.ends_with("." + std::string{wanted})) continue;
    const std::string prefix = name.substr(0, name.size() - wanted.size());
    return detail::quoted(name) + "; the prefix " + detail::quoted(prefix) + " must be removed from the names";
  }
  return "no tensor of that name";
}
}  // namespace detail

OPTSCOPE_INLINE checkpoint::checkpoint(std::filesystem::path folder)
    : folder_{std::move(folder)}, config_{read_config(folder_)} {
  weights_ = detail::read_weights(folder_);
}

OPTSCOPE_INLINE bool checkpoint::contains(std::string_view name) const {
  return weights_.tensors.find(detail::canonical_name(name)) != weights_.tensors.end();
}

OPTSCOPE_INLINE const stored_tensor& checkpoint::at(std::string_view name) const {
  const auto found = weights_.tensors.find(detail::canonical_name(name));
  if (found != weights_.tensors.end()) return found->second;
  if (const auto lost = weights_.missing.find(detail::canonical_name(name)); lost != weights_.missing.end()) {
    throw checkpoint_error{lost->second.shard, "tensor " + detail::quoted(name),
                           "this tensor, which " + lost->second.index + " lists here", "no tensor of that name"};
  }
  const auto other = weights_.unsupported.find(detail::canonical_name(name));
  const bool stored = other != weights_.unsupported.end();
  throw checkpoint_error{searched(), "tensor " + detail::quoted(name),
                         stored ? "a type of F16, BF16, F32, F64" : "this tensor",
                         stored ? other->second : detail::instead_of(detail::canonical_name(name), weights_.tensors)};
}

OPTSCOPE_INLINE std::vector<std::string> checkpoint::names() const { return detail::names_of(weights_.tensors); }

OPTSCOPE_INLINE std::vector<std::string> checkpoint::unsupported() const {
  return detail::names_of(weights_.unsupported);
}

OPTSCOPE_INLINE const stored_tensor& checkpoint::embedding() const {
  return either(detail::embedding_name, detail::unembedding_name);
}

OPTSCOPE_INLINE const stored_tensor& checkpoint::unembedding() const {
  return either(detail::unembedding_name, detail::embedding_name);
}

OPTSCOPE_INLINE bool checkpoint::tied() const { return detail::same_values(embedding(), unembedding()); }

OPTSCOPE_INLINE const stored_tensor& checkpoint::either(std::string_view first, std::string_view second) const {
  if (contains(first) || !config_.tie_word_embeddings || !contains(second)) return at(first);
  return at(second);
}

// The files for a message: the first one, and how many more.
OPTSCOPE_INLINE std::string checkpoint::searched() const {
  std::string text = weights_.files.front().string();
  for (std::size_t i = 1; i < weights_.files.size(); ++i) text += ", " + weights_.files[i].filename().string();
  return text;
}

}  // namespace optscope
