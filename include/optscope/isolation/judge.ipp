// SPDX-License-Identifier: MIT
#pragma once
// Bodies of judge.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optscope/isolation/judge.hpp>

namespace optscope {
namespace detail {

inline constexpr std::size_t ngram_features = 1 << 18, longest_ngram = 5;

template <class Body>
void for_ngrams(std::string_view text, Body body) {
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (std::size_t n = 0; n < longest_ngram && begin + n < text.size(); ++n) {
      hash = (hash ^ static_cast<unsigned char>(text[begin + n])) * 16777619u;
      body((hash ^ hash >> 14) % ngram_features);
    }
  }
}

/// Bytes of the smallest category that has any.
inline std::size_t bytes_of_smallest(const std::vector<std::vector<std::string>>& texts) {
  std::size_t smallest = static_cast<std::size_t>(-1);
  for (const std::vector<std::string>& own : texts) {
    std::size_t bytes = 0;
    for (const std::string& text : own) bytes += text.size();
    if (bytes != 0) smallest = std::min(smallest, bytes);
  }
  return smallest;
}

}  // namespace detail

OPTSCOPE_INLINE ngram_judge::ngram_judge(const std::vector<std::vector<std::string>>& texts)
    : categories_{texts.size()}, log_share_(detail::ngram_features * categories_) {
  std::vector<double> count(detail::ngram_features);
  const std::size_t smallest = detail::bytes_of_smallest(texts);
  for (std::size_t c = 0; c < categories_; ++c) {
    std::ranges::fill(count, 0.1);  // an n-gram that is not in the texts is still possible
    double all = 0.1 * static_cast<double>(detail::ngram_features);
    std::size_t left = smallest;
    for (const std::string& text : texts[c]) {
      const std::string_view part = std::string_view{text}.substr(0, left);
      left -= part.size();
      detail::for_ngrams(part, [&](std::size_t feature) {
        ++count[feature];
        ++all;
      });
    }
    for (std::size_t i = 0; i < detail::ngram_features; ++i) {
      log_share_[i * categories_ + c] = static_cast<float>(std::log(count[i] / all));
    }
  }
}

OPTSCOPE_INLINE std::vector<double> ngram_judge::probabilities(std::string_view text) const {
  constexpr double ngrams_of_a_byte = detail::longest_ngram * (detail::longest_ngram + 1) / 2;
  std::vector<double> p(categories_);
  detail::for_ngrams(text, [&](std::size_t feature) {
    for (std::size_t c = 0; c < categories_; ++c) p[c] += static_cast<double>(log_share_[feature * categories_ + c]);
  });
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& each : p) {
    each = std::exp((each - largest) / ngrams_of_a_byte);
    sum += each;
  }
  for (double& each : p) each /= sum;
  return p;
}

OPTSCOPE_INLINE std::size_t most_probable(const std::vector<double>& probabilities) {
  return static_cast<std::size_t>(std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
}

}  // namespace optscope
