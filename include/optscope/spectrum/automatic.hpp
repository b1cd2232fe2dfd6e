// SPDX-License-Identifier: MIT
#pragma once
// Picks the spectrum analyser by structure, size and memory, and says what it picked and why.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <utility>

namespace optscope {

/// What `automatic` can pick.
enum class analyser_choice { per_token, exact, gram, lanczos_quadrature };

struct automatic_settings : quadrature_settings {
  double minutes = 60;  ///< what all values may take; beyond it the density is sampled
};

/// All values where that is possible, their density where it is not:
///
/// * `per_token` for block-diagonal operators;
/// * `exact` if the matrix fits into memory and its 8/3 n^3 operations into the time, at a guessed 25 GFLOP/s a thread;
/// * `gram` if only its 4/3 to 7/3 n^3 do (a wide operator may also fit into memory as JJᵀ alone);
/// * `lanczos_quadrature` otherwise.
///
/// `result.method` is what was picked, `result.reason` why.
class automatic {
 public:
  explicit automatic(automatic_settings settings = {}) : settings_{std::move(settings)} {}

  template <linear_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    switch (pick(op).first) {
      case analyser_choice::per_token:
        if constexpr (block_operator<Op>) return per_token{settings_}.bytes(op);
        [[fallthrough]];
      case analyser_choice::exact: return exact{settings_}.bytes(op);
      case analyser_choice::gram: return gram{settings_}.bytes(op);
      case analyser_choice::lanczos_quadrature: break;
    }
    return lanczos_quadrature{settings_}.bytes(op);
  }

  /// What it would use for this operator, and why. Costs nothing.
  template <linear_operator Op>
  [[nodiscard]] std::pair<analyser_choice, std::string> pick(const Op& op) const {
    if constexpr (block_operator<Op>) {
      if (op.diagonal()) return {analyser_choice::per_token, "each token is treated by itself"};
    }
    const std::size_t limit = settings_.memory_limit(), whole = exact{settings_}.bytes(op),
                      square = gram{settings_}.bytes(op);
    const auto n = static_cast<double>(std::min<std::size_t>(op.rows(), op.cols()));
    const auto high = static_cast<double>(std::max<std::size_t>(op.rows(), op.cols()));
    const std::size_t threads = settings_.threads != 0 ? settings_.threads : std::thread::hardware_concurrency();
    const double a_minute = 60 * 25e9 * static_cast<double>(std::max<std::size_t>(1, threads));
    const double exact_minutes = (4 * high - 4 * n / 3) * n * n / a_minute;
    const double gram_minutes = (high + 4 * n / 3) * n * n / a_minute;
    const auto minutes = [](double time) { return std::to_string(static_cast<long>(std::ceil(time))) + " min"; };
    const std::string allowed = memory_text(limit) + " and " + minutes(settings_.minutes) + " allowed";
    if (whole <= limit && exact_minutes <= settings_.minutes) {
      return {analyser_choice::exact,
              "the matrix takes " + memory_text(whole) + " and about " + minutes(exact_minutes) + ", " + allowed};
    }
    if (square <= limit && gram_minutes <= settings_.minutes) {
      return {analyser_choice::gram, "exact would take " + memory_text(whole) + " and about " + minutes(exact_minutes) +
                                         ", gram " + memory_text(square) + " and " + minutes(gram_minutes) + ", " +
                                         allowed};
    }
    return {analyser_choice::lanczos_quadrature,
            "all values would take " + memory_text(square) + " and about " + minutes(gram_minutes) + ", " + allowed};
  }

  template <linear_operator Op>
  [[nodiscard]] spectrum operator()(Op& op) const {
    auto [picked, reason] = pick(op);
    spectrum result = analyse(op, picked);
    result.reason = std::move(reason);
    return result;
  }

 private:
  template <class Op>
  [[nodiscard]] spectrum analyse(Op& op, analyser_choice picked) const {
    if constexpr (block_operator<Op>) {
      if (picked == analyser_choice::per_token) return per_token{settings_}(op);
    }
    if (picked == analyser_choice::exact) return exact{settings_}(op);
    if (picked == analyser_choice::gram) return gram{settings_}(op);
    return lanczos_quadrature{settings_}(op);
  }

  automatic_settings settings_;
};

static_assert(spectrum_analyser<automatic, matrix_operator<float>> &&
                  spectrum_analyser<automatic, block_matrix_operator>,
              "automatic is a spectrum analyser");

}  // namespace optscope
