// SPDX-License-Identifier: MIT
#pragma once
// Bodies of largest.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/largest.hpp>
#include <string>
#include <type_traits>

namespace optscope {
namespace detail {

/// What `largest` does, with its settings.
struct golub_kahan {
  const largest_settings& settings;

  [[nodiscard]] std::size_t basis() const {
    return std::max(settings.basis != 0 ? settings.basis : 4 * settings.count + 40, settings.count + 2);
  }
  [[nodiscard]] std::size_t block(std::size_t n) const {
    return std::min({n, std::size_t{8}, std::max<std::size_t>(1, (basis() - settings.count) / 2)});
  }
  template <class T>
  [[nodiscard]] double tolerance() const {
    return settings.tolerance != 0 ? settings.tolerance : std::is_same_v<T, float> ? 1e-4 : 1e-10;
  }

  /// Left rows u (p), right rows q (p) and the projection t = u A qᵀ (p, p): A q_j = sum_i t_ij u_i exactly, and
  /// Aᵀ u = tᵀ q + what `next` carries for the newest rows. Returns LAPACK's info.
  template <class T>
  int iterate(any_operator<T>& op, thread_pool& pool, leading_spectrum<T>& result) const {
    using scalar = T;
    const block_vectors<scalar> vectors{pool};
    const std::size_t n = op.cols(), wanted = std::min(settings.count, n), most = std::min(basis(), n);
    const std::size_t wide = block(n);
    tensor<scalar, 2> u{{most, op.rows()}}, q{{most, n}}, next{{wide, n}};
    tensor<double, 2> t{{most, most}};
    for (std::size_t i = 0; i < wide; ++i) fill_normal<scalar>(settings.seed, i, next.row(i));
    vectors.orthonormalise({}, next.view(), settings.seed, 0);
    std::size_t p = 0, b = wide, through = 0;
    double scale = 0;
    small_svd svd;
    for (std::uint64_t round = 1;; ++round) {
      if (p + b > most && p < n) p = restart(vectors, svd, wanted, b, u, q, t, p);
      b = std::min(b, most - p);
      const auto right = q.view().slice(p, b), left = u.view().slice(p, b);
      for (std::size_t i = 0; i < b; ++i) std::ranges::copy(next.row(i), right.row(i).data());
      op.apply(right, left);
      for (std::size_t i = 0; i < b; ++i) scale = std::max(scale, length<scalar>(left.row(i)));
      if (!std::isfinite(scale)) {
        throw bad_input{"", "largest", "an operator whose products are finite numbers", "NaN or infinity"};
      }
      const auto forward = vectors.orthonormalise(u.view().slice(0, p), left, settings.seed + 2 * round, scale);
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
        vectors.orthonormalise(q.view().slice(0, p), image.view().slice(0, room), settings.seed + 2 * round + 1, scale);
        for (std::size_t i = 0; i < room; ++i) std::ranges::copy(image.row(i), next.row(i).data());
      }
      svd.compute(t, p);
      if (svd.info != 0) return svd.info;
      double worst = 0;
      for (std::size_t i = 0; i < std::min(wanted, p); ++i) worst = std::max(worst, svd.residual(i, coupling));
      const bool whole = p >= n, enough = p >= wanted && worst <= tolerance<scalar>() / 2 * svd.values.front();
      const bool given_up = through >= settings.products;
      const double fraction = static_cast<double>(through) / static_cast<double>(settings.products);
      const bool stopped = !settings.keep_going("largest values", std::min(1.0, fraction));
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
  [[nodiscard]] std::size_t restart(const block_vectors<T>& vectors, const small_svd& svd, std::size_t wanted,
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
  static void replace(const block_vectors<T>& vectors, const tensor<double, 2>& coefficients, tensor<T, 2>& of) {
    tensor<T, 2> combined{{coefficients.rows(), of.extent(1)}};
    vectors.add(1, coefficients, std::as_const(of).view().slice(0, coefficients.extent(1)), combined.view());
    std::copy_n(combined.data(), combined.size(), of.data());
  }

  template <class T>
  void finish(any_operator<T>& op, const block_vectors<T>& vectors, const small_svd& svd, std::size_t count,
              const tensor<T, 2>& u, const tensor<T, 2>& q, std::size_t p, leading_spectrum<T>& result) const {
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
      subtract_scaled<T>(image.row(i), s, std::as_const(result.left).row(i));
      subtract_scaled<T>(back.row(i), s, std::as_const(result.right).row(i));
      const double residual = std::max(length<T>(image.row(i)), length<T>(back.row(i))) / top;
      result.residuals.push_back(residual);
      worst = std::max(worst, residual);
    }
    if (result.outcome == spectrum_outcome::complete && worst > tolerance<T>()) {
      result.outcome = spectrum_outcome::not_converged;
      result.note = "the worst residual is " + std::to_string(worst) + " of the largest value";
    }
  }
};

}  // namespace detail

OPTSCOPE_INLINE std::size_t largest::bytes(const operator_shape& shape) const {
  const detail::golub_kahan run{settings_};
  const std::size_t n = std::min(shape.rows, shape.cols), basis = run.basis();
  return (std::min(basis, n) + 2 * run.block(n)) * (shape.rows + shape.cols) * shape.scalar_bytes +
         5 * basis * basis * sizeof(double);
}

OPTSCOPE_INLINE double largest::operations(const operator_shape& shape) const {
  const auto vectors = static_cast<double>(2 * detail::golub_kahan{settings_}.basis());
  const std::size_t width = shape.width != 0 ? shape.width : std::min(shape.rows, shape.cols);
  return vectors * 8 * static_cast<double>(shape.rows) * static_cast<double>(width);
}

OPTSCOPE_INLINE void largest::check(const operator_shape& shape) const {
  detail::require_size(name, shape);
  detail::require_memory(name, shape, bytes(shape), settings_,
                         "a smaller basis would need less, or quadrature without vectors");
}

template <class T>
leading_spectrum<T> largest::analyse(detail::any_operator<T>& op) const {
  const detail::golub_kahan method{settings_};
  check(op.shape());
  detail::analysis<leading_spectrum<T>> run{name, op.shape(), method.tolerance<T>(), bytes(op.shape())};
  openblas::use_best_kernels();
  thread_pool pool{settings_.threads};
  int info = 0;
  if (op.cols() > op.rows()) {
    detail::transposed_operator<T> turned{op};
    info = method.iterate(turned, pool, run.result);
    std::swap(run.result.left, run.result.right);
  } else {
    info = method.iterate(op, pool, run.result);
  }
  return info == 0 ? run.finish() : run.fail("dgesdd", info);
}

#ifdef OPTSCOPE_COMPILED
template leading_spectrum<float> largest::analyse(detail::any_operator<float>&) const;
template leading_spectrum<double> largest::analyse(detail::any_operator<double>&) const;
#endif

}  // namespace optscope
