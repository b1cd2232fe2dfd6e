// SPDX-License-Identifier: MIT
#pragma once
// The largest singular values with their vectors, from products with the operator alone.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Leading singular values with their vectors, A right_i = values_i left_i.
template <class T>
struct leading_spectrum : spectrum {
  tensor<T, 2> left;   ///< (value, rows), orthonormal
  tensor<T, 2> right;  ///< (value, cols), orthonormal
  /// [value]: the larger of |A v - s u| and |Aᵀ u - s v|, measured with two products at the end, relative to the
  /// largest value: a singular value of A lies within this of values[i].
  std::vector<double> residuals;
};

struct largest_settings : analysis_settings {
  std::size_t count = 10;       ///< how many values
  double tolerance = 0;         ///< for `residuals`; 0: 1e-4 for float, 1e-10 for double
  std::size_t basis = 0;        ///< vectors kept on each side before a restart; 0: 4 count + 40
  std::size_t products = 2000;  ///< give up after so many vectors went through the operator
  std::uint64_t seed = 1;
};

/// The largest singular values by block Golub-Kahan bidiagonalisation with full reorthogonalisation and thick restarts
/// (Baglama & Reichel 2005), from a random block.
///
///     const auto top = largest{{.count = 20}}(jacobian);  // top.values, top.left, top.right, top.residuals
///
/// Cost: a product on each side for each vector of the basis; memory `basis` vectors on each side in the operator's
/// scalar. Values that have not converged are kept, with their residuals, and the outcome is `not_converged`. Same bits
/// for a seed if the operator gives the same bits.
class largest {
 public:
  explicit largest(largest_settings settings = {}) : settings_{std::move(settings)} {}

  template <linear_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    const std::size_t n = std::min<std::size_t>(op.rows(), op.cols());
    return (std::min(basis(), n) + 2 * block(n)) * (op.rows() + op.cols()) * sizeof(typename Op::scalar) +
           5 * basis() * basis() * sizeof(double);
  }

  template <linear_operator Op>
  [[nodiscard]] leading_spectrum<typename Op::scalar> operator()(Op& op) const {
    using scalar = typename Op::scalar;
    detail::require_size("largest", op.rows(), op.cols());
    detail::analysis<leading_spectrum<scalar>> run{"largest", op.rows(), op.cols(), tolerance<scalar>(), bytes(op)};
    detail::require_memory("largest", op.rows(), op.cols(), run.result.bytes, settings_,
                           "a smaller basis would do, or lanczos_quadrature without vectors");
    openblas::use_best_kernels();
    thread_pool pool{settings_.threads};
    int info;
    if (op.cols() > op.rows()) {
      detail::transposed_operator<Op> turned{op};
      info = iterate(turned, pool, run.result);
      std::swap(run.result.left, run.result.right);
    } else {
      info = iterate(op, pool, run.result);
    }
    return info == 0 ? run.finish() : run.fail("dgesdd", info);
  }

 private:
  [[nodiscard]] std::size_t basis() const {
    return std::max(settings_.basis != 0 ? settings_.basis : 4 * settings_.count + 40, settings_.count + 2);
  }
  [[nodiscard]] std::size_t block(std::size_t n) const {
    return std::min({n, std::size_t{8}, std::max<std::size_t>(1, (basis() - settings_.count) / 2)});
  }
  template <class T>
  [[nodiscard]] double tolerance() const {
    return settings_.tolerance != 0 ? settings_.tolerance : std::is_same_v<T, float> ? 1e-4 : 1e-10;
  }

  /// Left rows u (p), right rows q (p) and the projection t = u A qᵀ (p, p): A q_j = sum_i t_ij u_i exactly, and
  /// Aᵀ u = tᵀ q + what `next` carries for the newest rows. Returns LAPACK's info.
  template <class Op, class Result>
  int iterate(Op& op, thread_pool& pool, Result& result) const {
    using scalar = typename Op::scalar;
    const detail::block_vectors<scalar> vectors{pool};
    const std::size_t n = op.cols(), wanted = std::min(settings_.count, n), most = std::min(basis(), n);
    const std::size_t wide = block(n);
    tensor<scalar, 2> u{{most, op.rows()}}, q{{most, n}}, next{{wide, n}};
    tensor<double, 2> t{{most, most}};
    for (std::size_t i = 0; i < wide; ++i) detail::fill_normal<scalar>(settings_.seed, i, next.row(i));
    vectors.orthonormalise({}, next.view(), settings_.seed, 0);
    std::size_t p = 0, b = wide, through = 0;
    double scale = 0;
    small_svd svd;
    for (std::uint64_t round = 1;; ++round) {
      if (p + b > most && p < n) p = restart(vectors, svd, wanted, b, u, q, t, p);
      b = std::min(b, most - p);
      const auto right = q.view().slice(p, b), left = u.view().slice(p, b);
      for (std::size_t i = 0; i < b; ++i) std::ranges::copy(next.row(i), right.row(i).data());
      op.apply(right, left);
      for (std::size_t i = 0; i < b; ++i) scale = std::max(scale, detail::length<scalar>(left.row(i)));
      if (!std::isfinite(scale)) {
        throw bad_input{"", "largest", "an operator whose products are finite numbers", "NaN or infinity"};
      }
      const auto forward = vectors.orthonormalise(u.view().slice(0, p), left, settings_.seed + 2 * round, scale);
      for (std::size_t j = 0; j < b; ++j) {
        for (std::size_t i = 0; i < p; ++i) t(i, p + j) = forward.coefficients(j, i);
        for (std::size_t i = 0; i <= j; ++i) t(p + i, p + j) = forward.triangle(j, i);
      }
      p += b;
      through += 2 * b;
      tensor<double, 2> coupling{{b, b}};
      if (p < n) {
        const std::size_t room = std::min(b, n - p);
        tensor<scalar, 2> image{{b, n}};
        op.apply_transposed(std::as_const(u).view().slice(p - b, b), image.view());
        vectors.project_out(q.view().slice(0, p), image.view());
        coupling = vectors.dots(image.view(), image.view());  // (b, b): of what is left over
        vectors.orthonormalise(q.view().slice(0, p), image.view().slice(0, room), settings_.seed + 2 * round + 1,
                               scale);
        for (std::size_t i = 0; i < room; ++i) std::ranges::copy(image.row(i), next.row(i).data());
      }
      svd.compute(t, p);
      if (svd.info != 0) return svd.info;
      double worst = 0;
      for (std::size_t i = 0; i < std::min(wanted, p); ++i) worst = std::max(worst, svd.residual(i, coupling));
      const bool whole = p >= n, enough = p >= wanted && worst <= tolerance<scalar>() / 2 * svd.values.front();
      const bool given_up = through >= settings_.products;
      const double fraction = static_cast<double>(through) / static_cast<double>(settings_.products);
      const bool stopped = !settings_.go_on("largest values", std::min(1.0, fraction));
      if (whole || enough || given_up || stopped) {
        if (stopped) {
          result.outcome = spectrum_outcome::stopped;
          result.note = "stopped in the stage largest values";
        }
        finish(op, vectors, svd, std::min(wanted, p), u, q, p, result);
        return 0;
      }
      b = std::min(b, n - p);
    }
  }

  /// Singular value decomposition of the leading (p, p) of t.
  struct small_svd {
    std::size_t size = 0;
    std::vector<double> values, left, right;  // left[i * size + j]: row j of vector i; right[j + i * size] likewise
    int info = 0;

    void compute(const tensor<double, 2>& t, std::size_t p) {
      size = p;
      std::vector<double> a(p * p), work(1);
      std::vector<int> iwork(8 * p);
      for (std::size_t i = 0; i < p; ++i) {
        for (std::size_t j = 0; j < p; ++j) a[i + j * p] = t(i, j);
      }
      values.resize(p);
      left.resize(p * p);
      right.resize(p * p);
      const auto n = static_cast<int>(p);
      std::vector<double> vt(p * p);
      info = lapack::gesdd(n, n, a.data(), values.data(), left.data(), vt.data(), work.data(), -1, iwork.data());
      work.resize(static_cast<std::size_t>(work[0]));
      info = lapack::gesdd(n, n, a.data(), values.data(), left.data(), vt.data(), work.data(),
                           static_cast<int>(work.size()), iwork.data());
      for (std::size_t i = 0; i < p; ++i) {
        for (std::size_t j = 0; j < p; ++j) right[i * p + j] = vt[i + j * p];
      }
    }
    /// |x_newestᵀ coupling x_newest|^(1/2): what Aᵀ u_i has outside the basis.
    [[nodiscard]] double residual(std::size_t i, const tensor<double, 2>& coupling) const {
      const std::size_t b = coupling.rows();
      const double* newest = left.data() + i * size + size - b;
      double sum = 0;
      for (std::size_t j = 0; j < b; ++j) {
        for (std::size_t k = 0; k < b; ++k) sum += newest[j] * coupling(j, k) * newest[k];
      }
      return std::sqrt(std::max(sum, 0.0));
    }
    /// The first `count` vectors of one side as coefficients (count, size).
    [[nodiscard]] static tensor<double, 2> rows(const std::vector<double>& of, std::size_t count, std::size_t size) {
      tensor<double, 2> result{{count, size}};
      std::copy_n(of.data(), count * size, result.data());
      return result;
    }
  };

  /// Keeps the leading singular vectors of t as the basis; what couples them to `next` comes back with the next
  /// product.
  template <class T>
  [[nodiscard]] std::size_t restart(const detail::block_vectors<T>& vectors, const small_svd& svd, std::size_t wanted,
                                    std::size_t b, tensor<T, 2>& u, tensor<T, 2>& q, tensor<double, 2>& t,
                                    std::size_t p) const {
    const std::size_t kept = std::min(p, std::max<std::size_t>(wanted, std::min(wanted + b, u.rows() - b)));
    replace(vectors, small_svd::rows(svd.left, kept, p), u);
    replace(vectors, small_svd::rows(svd.right, kept, p), q);
    std::fill_n(t.data(), t.size(), 0.0);
    for (std::size_t i = 0; i < kept; ++i) t(i, i) = svd.values[i];
    return kept;
  }
  template <class T>
  static void replace(const detail::block_vectors<T>& vectors, const tensor<double, 2>& coefficients,
                      tensor<T, 2>& of) {
    tensor<T, 2> combined{{coefficients.rows(), of.extent(1)}};
    vectors.add(1, coefficients, std::as_const(of).view().slice(0, coefficients.extent(1)), combined.view());
    std::copy_n(combined.data(), combined.size(), of.data());
  }

  template <class Op, class T, class Result>
  void finish(Op& op, const detail::block_vectors<T>& vectors, const small_svd& svd, std::size_t count,
              const tensor<T, 2>& u, const tensor<T, 2>& q, std::size_t p, Result& result) const {
    result.values.assign(svd.values.begin(), svd.values.begin() + static_cast<std::ptrdiff_t>(count));
    result.left = tensor<T, 2>{{count, op.rows()}};
    result.right = tensor<T, 2>{{count, op.cols()}};
    vectors.add(1, small_svd::rows(svd.left, count, p), u.view().slice(0, p), result.left.view());
    vectors.add(1, small_svd::rows(svd.right, count, p), q.view().slice(0, p), result.right.view());
    tensor<T, 2> image{{count, op.rows()}}, back{{count, op.cols()}};
    op.apply(std::as_const(result.right).view(), image.view());
    op.apply_transposed(std::as_const(result.left).view(), back.view());
    const double top = result.values.front() > 0 ? result.values.front() : 1;
    double worst = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const T s = static_cast<T>(result.values[i]);
      detail::subtract_scaled<T>(image.row(i), s, std::as_const(result.left).row(i));
      detail::subtract_scaled<T>(back.row(i), s, std::as_const(result.right).row(i));
      const double residual = std::max(detail::length<T>(image.row(i)), detail::length<T>(back.row(i))) / top;
      result.residuals.push_back(residual);
      worst = std::max(worst, residual);
    }
    if (result.outcome == spectrum_outcome::complete && worst > tolerance<T>()) {
      result.outcome = spectrum_outcome::not_converged;
      result.note = "the worst residual is " + std::to_string(worst) + " of the largest value";
    }
  }

  largest_settings settings_;
};

static_assert(spectrum_analyser<largest, matrix_operator<float>>, "largest is a spectrum analyser");

}  // namespace optscope
