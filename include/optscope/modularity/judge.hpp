// SPDX-License-Identifier: MIT
#pragma once
// Which category a piece of text is of: a classifier of byte n-grams that knows nothing of the model.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optscope/core/tensor.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Logistic regression on the 1- to 4-grams of a text's bytes, hashed to 2^16 features: the square roots of their
/// counts, scaled to length 1.
class judge {
 public:
  /// `texts` [category][text]. Trained on pieces of about `piece` bytes, equally many of each category, drawn at random
  /// with a fixed seed.
  explicit judge(const std::vector<std::vector<std::string>>& texts, std::size_t piece = 160)
      : categories_{texts.size()}, weights_(features * categories_), bias_(categories_) {
    constexpr std::size_t rounds = 400;
    std::vector<float> square(weights_.size(), 1e-6f);  // AdaGrad's sums
    std::mt19937_64 bits{0};
    for (std::size_t round = 0; round < rounds; ++round) {
      for (std::size_t category = 0; category < categories_; ++category) {
        const std::vector<std::string>& own = texts[category];
        if (own.empty()) continue;
        const std::string& text = own[bits() % own.size()];
        const std::size_t size = piece / 2 + bits() % piece;
        const std::size_t begin = text.size() > size ? bits() % (text.size() - size) : 0;
        learn(std::string_view{text}.substr(begin, size), category, square);
      }
    }
  }

  [[nodiscard]] std::size_t categories() const noexcept { return categories_; }

  /// Probability of each category.
  [[nodiscard]] std::vector<double> probabilities(std::string_view text) const {
    return probabilities(features_of(text));
  }
  /// The most probable category.
  [[nodiscard]] std::size_t operator()(std::string_view text) const {
    const std::vector<double> p = probabilities(text);
    return static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  }

 private:
  static constexpr std::size_t features = 1 << 16;
  using sparse = std::vector<std::pair<std::uint32_t, float>>;

  static sparse features_of(std::string_view text) {
    std::vector<std::uint32_t> hashes;
    for (std::size_t begin = 0; begin < text.size(); ++begin) {
      std::uint32_t hash = 2166136261u;  // FNV-1a
      for (std::size_t n = 0; n < 4 && begin + n < text.size(); ++n) {
        hash = (hash ^ static_cast<unsigned char>(text[begin + n])) * 16777619u;
        hashes.push_back((hash ^ hash >> 16) % features);
      }
    }
    std::sort(hashes.begin(), hashes.end());
    sparse result;
    for (const std::uint32_t hash : hashes) {
      if (result.empty() || result.back().first != hash) result.emplace_back(hash, 0.0f);
      result.back().second += 1;
    }
    const float scale = 1 / std::sqrt(static_cast<float>(std::max<std::size_t>(1, hashes.size())));
    for (auto& [unused, value] : result) value = std::sqrt(value) * scale;
    return result;
  }

  [[nodiscard]] std::vector<double> probabilities(const sparse& x) const {
    std::vector<double> p(bias_.begin(), bias_.end());
    for (const auto& [feature, value] : x) {
      for (std::size_t c = 0; c < categories_; ++c) {
        p[c] += static_cast<double>(weights_[feature * categories_ + c] * value);
      }
    }
    const double largest = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& each : p) sum += each = std::exp(each - largest);
    for (double& each : p) each /= sum;
    return p;
  }

  void learn(std::string_view text, std::size_t category, std::vector<float>& square) {
    constexpr float rate = 0.5f;
    const sparse x = features_of(text);
    const std::vector<double> p = probabilities(x);
    for (std::size_t c = 0; c < categories_; ++c) {
      const float error = static_cast<float>(p[c]) - (c == category ? 1.0f : 0.0f);
      for (const auto& [feature, value] : x) {
        const std::size_t place = feature * categories_ + c;
        const float gradient = error * value;
        square[place] += gradient * gradient;
        weights_[place] -= rate * gradient / std::sqrt(square[place]);
      }
    }
  }

  std::size_t categories_;
  std::vector<float> weights_;  // (feature, category)
  std::vector<float> bias_;
};

/// Wilson's interval for a share: `hits` of `count` at 95 %.
[[nodiscard]] inline std::pair<double, double> wilson(std::size_t hits, std::size_t count) {
  if (count == 0) return {0, 1};
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(count), share = static_cast<double>(hits) / n;
  const double centre = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

/// Whether a text has the structure of code in a language with braces: no closing bracket contradicts the last open
/// one, and at least half of its whole lines that are not blank end or begin as lines of code do.
[[nodiscard]] inline bool looks_like_code(std::string_view text) {
  std::string open;
  std::size_t lines = 0, code = 0;
  for (const char c : text) {
    if (c == '(' || c == '[' || c == '{') open += c;
    const char match = c == ')' ? '(' : c == ']' ? '[' : c == '}' ? '{' : '\0';
    if (match == '\0' || open.empty()) continue;  // what was opened in the prompt may be closed
    if (open.back() != match) return false;
    open.pop_back();
  }
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    std::string_view line = text.substr(begin, end - begin);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty()) continue;
    ++lines;
    constexpr std::array<std::string_view, 4> begins{"#", "//", "/*", "*"};
    code += std::string_view{";{}):\\"}.find(line.back()) != std::string_view::npos || line.ends_with("*/") ||
            std::any_of(begins.begin(), begins.end(), [&](std::string_view b) { return line.starts_with(b); });
  }
  return lines > 0 && 2 * code >= lines;
}

}  // namespace optscope
