// SPDX-License-Identifier: MIT
#pragma once
// Picks the spectrum analyser by structure, size and memory, and says what it picked and why.

#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace optscope {

struct automatic_settings : quadrature_settings {
  double minutes = 60;  ///< what all values may take; if they would take longer, the density is sampled
};

/// An analyser with these settings, as far as it has them: `from` itself, its part of `from`, or only what all
/// analysers have in common.
template <class A>
[[nodiscard]] A make_analyser(const automatic_settings& from) {
  if constexpr (std::derived_from<automatic_settings, typename A::settings>) {
    return A{static_cast<const typename A::settings&>(from)};
  } else {
    typename A::settings own;
    static_cast<analysis_settings&>(own) = from;
    return A{own};
  }
}

namespace detail {

/// What a candidate would take, in words; and whether that is allowed, at a guessed 25 GFLOP/s per thread.
struct candidate_cost {
  candidate_cost(std::string_view name, std::size_t bytes, double operations, const automatic_settings& settings);

  std::string text;  // "exact takes 5.5 GB and about 3 min"
  bool allowed;
};

/// "5.5 GB and 60 min allowed".
[[nodiscard]] std::string allowed_text(const automatic_settings& settings);

}  // namespace detail

/// Hands an operator to the first of the candidates that can analyse it within the memory and the time allowed, or to
/// the last one if none can. `result.method` is the one that was picked, `result.reason` says why.
template <spectrum_analyser... Candidates>
class first_that_fits {
 public:
  using scalar = double;
  using settings = automatic_settings;
  static constexpr std::string_view name = "automatic",
                                    help = "all values if memory and time allow, otherwise their density";

  explicit first_that_fits(automatic_settings chosen = {}) : settings_{std::move(chosen)} {}

  /// Calls `use(analyser, reason)` with the one that it picks for operators of this shape. Picking costs nothing.
  template <class Use>
  void select(const operator_shape& shape, Use&& use) const {
    std::string rejected;
    select_from<Candidates...>(shape, rejected, use);
  }

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const {
    std::size_t result = 0;
    select(shape, [&](const auto& picked, const std::string&) { result = picked.bytes(shape); });
    return result;
  }
  [[nodiscard]] double operations(const operator_shape& shape) const {
    double result = 0;
    select(shape, [&](const auto& picked, const std::string&) { result = picked.operations(shape); });
    return result;
  }
  void check(const operator_shape& shape) const {
    select(shape, [&](const auto& picked, const std::string&) { picked.check(shape); });
  }

  template <class Op>
  [[nodiscard]] spectrum operator()(Op& op) const {
    spectrum result;
    select(shape_of(op), [&](const auto& picked, const std::string& reason) {
      result = picked(op);
      result.reason = reason;
    });
    return result;
  }

 private:
  template <class First, class... Rest, class Use>
  void select_from(const operator_shape& shape, std::string& rejected, Use& use) const {
    const First candidate = make_analyser<First>(settings_);
    const detail::candidate_cost cost{First::name, candidate.bytes(shape), candidate.operations(shape), settings_};
    bool possible = cost.allowed;
    if (possible) {
      try {
        candidate.check(shape);
      } catch (const bad_input&) {
        possible = false;
      }
    } else {
      rejected += (rejected.empty() ? "" : "; ") + cost.text;
    }
    if constexpr (sizeof...(Rest) > 0) {
      if (!possible) return select_from<Rest...>(shape, rejected, use);
    }
    use(candidate, (rejected.empty() ? cost.text : rejected) + "; " + detail::allowed_text(settings_));
  }

  automatic_settings settings_;
};

/// All values if that is possible, otherwise their density:
///
/// * `per_token` for block-diagonal operators;
/// * `exact` if the matrix fits into memory and its 8/3 n^3 operations into the time;
/// * `gram` if only its 4/3 to 7/3 n^3 do (the JJᵀ of a wide operator may also fit into memory where J does not);
/// * `lanczos_quadrature` otherwise.
using automatic = first_that_fits<per_token, exact, gram, lanczos_quadrature>;

static_assert(selecting_analyser<automatic> && spectrum_analyser<automatic, block_matrix_operator>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/automatic.ipp>
#endif
