// SPDX-License-Identifier: MIT
#pragma once
// Data of the study's shape, made up: ten texts in three categories that draw apart from layer to layer.

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <optscope/core/tensor.hpp>
#include <string>
#include <utility>
#include <vector>

#include "temporary_folder.hpp"

namespace made_up {

constexpr std::size_t layers = 12, texts = 10, positions = 10;
constexpr std::size_t category[texts] = {0, 0, 0, 0, 1, 1, 1, 2, 2, 2};

/// Repeatable noise, about uniform in [-1, 1].
struct noise {
  std::uint32_t state = 1;
  float operator()() {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / 8388608.0f - 1;
  }
};

/// (layer, text, position, hidden)
inline optscope::tensor<float, 4> streams(std::size_t hidden) {
  optscope::tensor<float, 4> x{{layers, texts, positions, hidden}};
  noise random;
  std::vector<float> centre(3 * hidden), of_text(texts * hidden), common(hidden);
  for (float& v : centre) v = random();
  for (float& v : of_text) v = random();
  for (float& v : common) v = random();
  std::vector<float> walk(texts * positions * hidden);
  for (std::size_t l = 0; l < layers; ++l) {
    const float depth = static_cast<float>(l) / (layers - 1);
    for (std::size_t t = 0; t < texts; ++t)
      for (std::size_t p = 0; p < positions; ++p)
        for (std::size_t h = 0; h < hidden; ++h) {
          float& w = walk[(t * positions + p) * hidden + h];
          w += 0.25f * random();
          x(l, t, p, h) = w + depth * (1.1f * centre[category[t] * hidden + h] + 0.6f * of_text[t * hidden + h]) +
                          2.5f * depth * depth * depth * common[h];
        }
  }
  return x;
}

/// Cosines of (layer, vector, hidden), as (layer, vector, vector).
inline optscope::tensor<float, 3> cosines(const optscope::tensor<float, 4>& x, bool last) {
  const std::size_t hidden = x.extent(3), n = last ? texts : texts * positions;
  optscope::tensor<float, 3> matrices{{layers, n, n}};
  for (std::size_t l = 0; l < layers; ++l) {
    const auto vector = [&](std::size_t i) {
      return x.data() + (l * texts * positions + (last ? i * positions + positions - 1 : i)) * hidden;
    };
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        double dot = 0, a = 0, b = 0;
        for (std::size_t h = 0; h < hidden; ++h) {
          dot += vector(i)[h] * vector(j)[h];
          a += vector(i)[h] * vector(i)[h];
          b += vector(j)[h] * vector(j)[h];
        }
        matrices(l, i, j) = static_cast<float>(dot / std::sqrt(a * b));
      }
  }
  return matrices;
}

/// A variable of the environment has another value until the end of the scope.
class environment_variable {
 public:
  environment_variable(std::string name, const std::string& value) : name_{std::move(name)} {
    if (const char* before = std::getenv(name_.c_str())) before_ = before;
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  environment_variable(const environment_variable&) = delete;
  environment_variable& operator=(const environment_variable&) = delete;
  ~environment_variable() {
    if (before_) {
      ::setenv(name_.c_str(), before_->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }

 private:
  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace made_up
