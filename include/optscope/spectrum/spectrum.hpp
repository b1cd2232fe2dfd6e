// SPDX-License-Identifier: MIT
#pragma once
// What a spectrum analyser gives and takes: the result, progress, limits, and the concept.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/spectrum/density.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// How an analysis ended. Only `complete` has all that was asked for.
enum class spectrum_outcome {
  complete,
  not_converged,  ///< LAPACK's iteration or the residuals: `note` says which, `values` holds nothing unproven
  stopped         ///< the progress callback said so
};

/// Singular values and how they were found.
struct spectrum {
  std::vector<double> values;  ///< descending; all `size` of them, zeros included, unless the method finds fewer
  std::size_t size = 0;        ///< min(rows, cols)
  std::string method;          ///< the analyser's name
  std::string reason;          ///< why `automatic` picked it
  double floor = 0;            ///< values below floor * largest are noise of the method
  spectrum_outcome outcome = spectrum_outcome::complete;
  std::string note;                         ///< one sentence where the outcome is not `complete`
  int lapack_info = 0;                      ///< of the routine that `note` names
  double seconds = 0;                       ///< wall clock
  std::size_t bytes = 0;                    ///< memory that the analyser itself took, without the operator's
  std::optional<spectral_density> density;  ///< instead of values where the whole is sampled

  [[nodiscard]] bool all_values() const noexcept { return values.size() == size; }
};

template <class File>
void fields_of(File& file, spectrum& found) {
  file(found.values, found.size, found.method, found.reason, found.floor, found.outcome, found.note);
  file(found.lapack_info, found.seconds, found.bytes, found.density);
}

/// How far an analysis is; `fraction` of its expected time.
struct analysis_progress {
  std::string_view stage;
  double fraction = 0;
};

/// What all analysers have in common.
struct analysis_settings {
  std::size_t threads = 0;  ///< 0: as many as the machine has cores
  std::size_t memory = 0;   ///< bytes the analyser may take; 0: what the machine has available
  /// Called often, by the thread that called the analyser. `false` stops: the result then is `stopped`.
  std::function<bool(const analysis_progress&)> progress = {};

  [[nodiscard]] bool go_on(std::string_view stage, double fraction) const {
    return !progress || progress(analysis_progress{stage, fraction});
  }
  [[nodiscard]] std::size_t memory_limit() const { return memory != 0 ? memory : available_memory(); }
};

/// A spectrum analyser: a type whose const call operator turns an operator into a `spectrum` (or a type derived from
/// it) and whose `bytes(op)` says beforehand how much memory that takes.
template <class Analyser, class Op>
concept spectrum_analyser = linear_operator<Op> && requires(const Analyser analyser, Op& op) {
  { analyser(op) } -> std::derived_from<spectrum>;
  { analyser.bytes(op) } -> std::convertible_to<std::size_t>;
};

namespace detail {

/// Fills in what every result has, and the time between construction and `finish`.
template <class Result = spectrum>
class analysis {
 public:
  analysis(std::string_view method, std::size_t rows, std::size_t cols, double floor, std::size_t bytes) {
    result.method = method;
    result.size = std::min(rows, cols);
    result.floor = floor;
    result.bytes = bytes;
  }

  Result result;

  [[nodiscard]] Result finish() {
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return std::move(result);
  }
  [[nodiscard]] Result stop(std::string_view stage) {
    result.outcome = spectrum_outcome::stopped;
    result.note = "stopped in the stage " + std::string{stage};
    return finish();
  }
  /// No wrong spectrum: the values that the routine left are thrown away.
  [[nodiscard]] Result fail(std::string_view routine, int info) {
    result.outcome = spectrum_outcome::not_converged;
    result.note = "LAPACK's " + std::string{routine} + " did not converge: info " + std::to_string(info);
    result.lapack_info = info;
    result.values.clear();
    return finish();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Throws if `bytes` are more than may be taken, naming what would do instead.
inline void require_memory(std::string_view method, std::size_t rows, std::size_t cols, std::size_t bytes,
                           const analysis_settings& settings, std::string_view instead) {
  const std::size_t limit = settings.memory_limit();
  if (bytes <= limit) return;
  throw bad_input{"", std::string{method} + " of " + std::to_string(rows) + " x " + std::to_string(cols),
                  "at most " + memory_text(limit) + " of memory",
                  memory_text(bytes) + " needed; " + std::string{instead}};
}

/// Memory of Golub-Kahan recurrences: two vectors on each side and two products, for each probe.
[[nodiscard]] inline std::size_t quadrature_bytes(std::size_t rows, std::size_t cols, std::size_t probes,
                                                  std::size_t scalar) {
  return 2 * probes * (rows + cols) * scalar;
}

/// What to say where a dense matrix does not fit.
[[nodiscard]] inline std::string sampled_instead(std::size_t rows, std::size_t cols) {
  return "lanczos_quadrature would do with " + memory_text(quadrature_bytes(rows, cols, 10, 4));
}

/// Sizes that go to BLAS and LAPACK as 32-bit numbers.
inline void require_size(std::string_view method, std::size_t rows, std::size_t cols) {
  constexpr std::size_t most = std::numeric_limits<int>::max() / 256;  // times the width of a band
  if (rows == 0 || cols == 0 || std::max(rows, cols) > most) {
    throw bad_input{"", std::string{method}, "1 to " + std::to_string(most) + " rows and columns",
                    std::to_string(rows) + " x " + std::to_string(cols)};
  }
}

}  // namespace detail
}  // namespace optscope
