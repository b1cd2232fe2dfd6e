// SPDX-License-Identifier: MIT
#pragma once
// The density of a spectrum that is too large to compute: stochastic Lanczos quadrature by Golub-Kahan recurrences.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

struct quadrature_settings : analysis_settings {
  std::size_t steps = 100;  ///< decide what is resolved: nothing below about 0.35 / steps of the largest value
  std::size_t probes = 4;   ///< decide the sampling error, which is small
  std::size_t deflate = 0;  ///< this many of the largest values are computed one by one and left out of the quadrature
  std::uint64_t seed = 1;
};

/// Everything that a quadrature is between two steps; plain data. To resume on another day, write it to a file with
/// `write_state` and give it back; the bits are those of one run. Size: (probes + deflate) (rows + cols) scalars: 47 MB
/// for 589,824 values, 10 probes, float.
template <class T>
struct quadrature_state {
  std::size_t rows = 0, cols = 0;     ///< of the operator, turned so that cols <= rows
  std::size_t probes = 0, steps = 0;  ///< steps done
  std::uint64_t seed = 0;
  std::size_t null_width = 0;              ///< the means over this many neighbours are known to be lost; 0: not known
  std::vector<double> single;              ///< values left out, descending
  tensor<T, 2> single_left, single_right;  ///< (value, rows), (value, cols)
  std::vector<std::vector<double>> alpha;  ///< (probe, step): diagonal of the bidiagonal matrix
  std::vector<std::vector<double>> beta;   ///< (probe, step): above it; the last one leads to the next step
  std::vector<std::uint8_t> done;          ///< [probe]: its Krylov space is exhausted, the quadrature exact
  tensor<T, 2> left, right;                ///< (probe, rows): u of the last step, (probe, cols): v of the next

  [[nodiscard]] bool worth_saving() const noexcept { return steps != 0; }
};

template <class File, class T>
void fields_of(File& file, quadrature_state<T>& at) {
  file(at.rows, at.cols, at.probes, at.steps, at.seed, at.null_width, at.single, at.single_left, at.single_right);
  file(at.alpha, at.beta, at.done, at.left, at.right);
}

/// Density of the spectrum from products alone, without ever forming the matrix (Ubaru, Chen & Saad 2017): for each of
/// `probes` random unit vectors v, `steps` of the recurrence
///
///     alpha_j u_j = A v_j - beta_j-1 u_j-1,   beta_j v_j+1 = Aᵀ u_j - alpha_j v_j
///
/// whose bidiagonal matrix has the nodes (singular values) and weights (squared first components of right vectors) of a
/// Gauss quadrature for the singular values as v sees them. No reorthogonalisation: copies of converged values share
/// their weight. Deterministic by `seed` if the operator is.
///
///     const spectrum found = lanczos_quadrature{{.steps = 100, .probes = 4}}(jacobian);  // attention_jacobian<float>
///     const spectral_count above = found.density->above(0.01 * found.density->largest());
///
/// If an operator has tokens() and width(), it is tested whether it loses each token's mean, as blocks with a LayerNorm
/// before them do: those exact zeros are then left out and counted as `zeros`. Cost: a product on each side for each
/// probe and step. Memory: 2 probes (rows + cols) scalars, and what `largest` takes if values are deflated.
class lanczos_quadrature {
 public:
  using scalar = float;
  using settings = quadrature_settings;
  template <class T>
  using state_of = quadrature_state<T>;
  static constexpr std::string_view name = "quadrature",
                                    help =
                                        "the density of the values by sampling, for sizes where all values take too "
                                        "long";

  explicit lanczos_quadrature(quadrature_settings chosen = {}) : settings_{std::move(chosen)} {}

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const;
  [[nodiscard]] double operations(const operator_shape& shape) const;
  [[nodiscard]] std::size_t state_bytes(const operator_shape& shape) const;
  /// Throws `bad_input`, before any work, for settings, a size or memory that will not do.
  void check(const operator_shape& shape) const;

  /// With a `state` from an earlier call it resumes from the steps done, and leaves there where it ended.
  template <class Op>
  [[nodiscard]] spectrum operator()(Op& op, quadrature_state<typename Op::scalar>* state = nullptr) const {
    auto erased = detail::erased(op);
    return analyse<typename Op::scalar>(erased, state);
  }

 private:
  template <class T>
  [[nodiscard]] spectrum analyse(detail::any_operator<T>& op, quadrature_state<T>* state) const;

  quadrature_settings settings_;
};

static_assert(resumable_analyser<lanczos_quadrature, matrix_operator<float>>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/lanczos_quadrature.ipp>
#endif
