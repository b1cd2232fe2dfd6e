// SPDX-License-Identifier: MIT
#pragma once
// What a spectrum analyser returns and what it is given: the result, progress, limits.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/density.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// How an analysis ended. Only `complete` has everything that was asked for.
enum class spectrum_outcome {
  complete,
  not_converged,  ///< LAPACK's iteration or the residuals: `note` says which, `values` holds nothing unproven
  stopped         ///< the progress callback said so
};

/// Singular values and how they were found.
struct spectrum {
  std::vector<double> values{};  ///< descending; all `size` of them, zeros included, unless the method finds fewer
  std::size_t size = 0;          ///< min(rows, cols)
  std::string method{};          ///< the analyser's name
  std::string reason{};          ///< why this analyser was picked, if an analyser picked it
  double floor = 0;              ///< values below floor * largest are noise of the method
  spectrum_outcome outcome = spectrum_outcome::complete;
  std::string note{};                         ///< one sentence if the outcome is not `complete`
  int lapack_info = 0;                        ///< of the routine that `note` names
  double seconds = 0;                         ///< wall clock
  std::size_t bytes = 0;                      ///< memory that the analyser itself took, without the operator's
  std::optional<spectral_density> density{};  ///< instead of values if the spectrum is sampled

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
  std::size_t memory = 0;   ///< bytes that the analyser may take; 0: what the machine has available
  /// Called often, by the thread that called the analyser. `false` stops the analysis: the outcome is then `stopped`.
  std::function<bool(const analysis_progress&)> progress = {};

  [[nodiscard]] bool keep_going(std::string_view stage, double fraction) const {
    return !progress || progress(analysis_progress{stage, fraction});
  }
  [[nodiscard]] std::size_t memory_limit() const;
  /// `threads`, or the number of cores.
  [[nodiscard]] std::size_t thread_count() const;
};

namespace detail {

/// Fills in what every result has, and the time between construction and `finish`.
template <class Result = spectrum>
class analysis {
 public:
  analysis(std::string_view method, const operator_shape& shape, double floor, std::size_t bytes) {
    result.method = method;
    result.size = shape.rows < shape.cols ? shape.rows : shape.cols;
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

/// Throws `bad_input` if `bytes` are more than the settings allow; `instead` says what would work.
void require_memory(std::string_view method, const operator_shape& shape, std::size_t bytes,
                    const analysis_settings& settings, std::string_view instead);

/// Memory of Golub-Kahan recurrences: two vectors on each side and two products, for each probe.
[[nodiscard]] std::size_t quadrature_bytes(const operator_shape& shape, std::size_t probes, std::size_t scalar);

/// What to suggest if a dense matrix does not fit into memory.
[[nodiscard]] std::string sampled_instead(const operator_shape& shape);

/// Throws `bad_input` for sizes that BLAS and LAPACK cannot take as 32-bit numbers.
void require_size(std::string_view method, const operator_shape& shape);

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/spectrum.ipp>
#endif
