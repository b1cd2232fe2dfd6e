// SPDX-License-Identifier: MIT
#pragma once
// Bodies of lanczos_quadrature.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/token_null_space.hpp>
#include <span>
#include <string>

namespace optscope {
namespace detail {

/// What `lanczos_quadrature` does, with its settings.
struct quadrature_run {
  const quadrature_settings& settings;

  [[nodiscard]] largest deflation() const {
    largest_settings top;
    static_cast<analysis_settings&>(top) = settings;
    top.progress = {};
    top.count = settings.deflate;
    top.seed = settings.seed + 1;
    top.tolerance = 1e-3;  // what is left in the vectors acts on the quadrature by its square
    return largest{top};
  }

  template <class T>
  bool iterate(any_operator<T>& op, std::size_t token_width, thread_pool& pool, quadrature_state<T>& at) const {
    const block_vectors<T> vectors{pool};
    if (at.probes == 0) {
      begin(op, token_width, vectors, at);
    } else {
      require_state(op, at);
    }
    const std::size_t probes = at.probes;
    tensor<T, 2> image{{probes, at.rows}}, back{{probes, at.cols}};
    const auto over_probes = [&](auto&& body) {
      pool.parallel_for(probes, [&](std::size_t probe, std::size_t) {
        if (at.done[probe] == 0) body(probe);
      });
    };
    while (at.steps < settings.steps && std::count(at.done.begin(), at.done.end(), 0) > 0) {
      const double share = static_cast<double>(at.steps) / static_cast<double>(settings.steps);
      if (!settings.keep_going("quadrature", share)) return false;
      op.apply(std::as_const(at.right).view(), image.view());
      over_probes([&](std::size_t probe) {
        if (at.steps > 0) {
          subtract_scaled<T>(image.row(probe), static_cast<T>(at.beta[probe].back()),
                             std::as_const(at.left).row(probe));
        }
      });
      vectors.project_out(std::as_const(at.single_left).view(), image.view());
      over_probes([&](std::size_t probe) { advance<T>(image.row(probe), at.left.row(probe), at.alpha, at, probe); });
      op.apply_transposed(std::as_const(at.left).view(), back.view());
      over_probes([&](std::size_t probe) {
        subtract_scaled<T>(back.row(probe), static_cast<T>(at.alpha[probe].back()), std::as_const(at.right).row(probe));
        if (at.null_width != 0) remove_means<T>(back.row(probe), at.null_width);
      });
      vectors.project_out(std::as_const(at.single_right).view(), back.view());
      over_probes([&](std::size_t probe) { advance<T>(back.row(probe), at.right.row(probe), at.beta, at, probe); });
      ++at.steps;
    }
    return true;
  }

  /// The length of `from` becomes the next coefficient, its direction the next vector; zero ends the recurrence.
  template <class T>
  static void advance(std::span<T> from, std::span<T> to, std::vector<std::vector<double>>& coefficients,
                      quadrature_state<T>& at, std::size_t probe) {
    const double size = length<T>(from);
    if (!std::isfinite(size)) {
      throw bad_input{"", "quadrature, step " + std::to_string(at.steps),
                      "an operator whose products are finite numbers", "NaN or infinity"};
    }
    const double first = at.alpha[probe].empty() ? size : at.alpha[probe].front();
    coefficients[probe].push_back(size);
    if (size <= 4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * first || size == 0) {
      at.done[probe] = 1;
      std::ranges::fill(at.right.row(probe), T{0});
      return;
    }
    const T scale = static_cast<T>(1 / size);
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = from[i] * scale;
  }

  template <class T>
  void begin(any_operator<T>& op, std::size_t token_width, const block_vectors<T>& vectors,
             quadrature_state<T>& at) const {
    at.rows = op.rows();
    at.cols = op.cols();
    at.seed = settings.seed;
    if (token_width > 1 && loses_means(op, token_width, at.seed)) at.null_width = token_width;
    const std::size_t null = at.null_width == 0 ? 0 : at.cols / at.null_width;
    const std::size_t deflate = std::min(settings.deflate, at.cols - null - 1);
    if (deflate > 0) {
      auto top = deflation()(op);
      at.single = std::move(top.values);
      at.single_left = std::move(top.left);
      at.single_right = std::move(top.right);
    }
    at.left = tensor<T, 2>{{settings.probes, at.rows}};
    at.right = tensor<T, 2>{{settings.probes, at.cols}};
    for (std::size_t probe = 0; probe < settings.probes; ++probe) {
      fill_normal<T>(at.seed, 1000 + probe, at.right.row(probe));
      if (at.null_width != 0) remove_means<T>(at.right.row(probe), at.null_width);
    }
    vectors.project_out(std::as_const(at.single_right).view(), at.right.view());
    for (std::size_t probe = 0; probe < settings.probes; ++probe) {
      multiply<T>(at.right.row(probe), static_cast<T>(1 / length<T>(at.right.row(probe))));
    }
    at.alpha.resize(settings.probes);
    at.beta.resize(settings.probes);
    at.done.assign(settings.probes, 0);
    at.probes = settings.probes;
  }

  template <class T>
  void require_state(const any_operator<T>& op, const quadrature_state<T>& at) const {
    bool fits = at.rows == op.rows() && at.cols == op.cols() && at.probes == settings.probes &&
                at.seed == settings.seed && at.alpha.size() == at.probes && at.beta.size() == at.probes &&
                at.done.size() == at.probes && at.left.rows() == at.probes && at.right.rows() == at.probes &&
                at.left.extent(1) == at.rows && at.right.extent(1) == at.cols;
    for (std::size_t probe = 0; fits && probe < at.probes; ++probe) {
      fits = at.done[probe] != 0 || (at.alpha[probe].size() == at.steps && at.beta[probe].size() == at.steps);
    }
    if (fits) return;
    throw bad_input{"", "quadrature, saved state",
                    std::to_string(settings.probes) + " probes of seed " + std::to_string(settings.seed) + " for " +
                        std::to_string(op.rows()) + " x " + std::to_string(op.cols()),
                    std::to_string(at.probes) + " probes of seed " + std::to_string(at.seed) + " for " +
                        std::to_string(at.rows) + " x " + std::to_string(at.cols) +
                        (at.rows == op.rows() ? ", or not whole" : "")};
  }

  /// Adds nodes and weights of the bidiagonal matrix; LAPACK's info.
  static int rule_of(std::vector<double> nodes, std::vector<double> above, std::vector<std::vector<double>>& all_nodes,
                     std::vector<std::vector<double>>& all_weights) {
    const std::size_t k = nodes.size();
    std::vector<double> first(k), work(4 * k + 1);
    above.resize(std::max<std::size_t>(k, 1));
    if (k > 0) first[0] = 1;
    const int info = lapack::bdsqr(static_cast<int>(k), nodes.data(), above.data(), first.data(), 1, work.data());
    if (info != 0) return info;
    std::reverse(nodes.begin(), nodes.end());
    std::reverse(first.begin(), first.end());
    for (double& component : first) component *= component;
    all_nodes.push_back(std::move(nodes));
    all_weights.push_back(std::move(first));
    return 0;
  }

  /// Nodes and weights of every probe into the result.
  template <class T>
  static int density_of(const quadrature_state<T>& at, spectrum& result) {
    spectral_density density;
    density.zeros = at.null_width == 0 ? 0 : at.cols / at.null_width;
    density.dimension = at.cols - density.zeros - at.single.size();
    density.steps = at.steps;
    density.single = at.single;
    density.whole = at.done;
    result.values = at.single;
    for (std::size_t probe = 0; probe < at.probes; ++probe) {
      std::vector<double> diagonal = at.alpha[probe];
      if (const int info = rule_of(diagonal, at.beta[probe], density.nodes, density.weights); info != 0) return info;
      if (!diagonal.empty() && at.done[probe] == 0) diagonal.back() = 0;  // a node at zero
      const int info = rule_of(diagonal, at.beta[probe], density.radau_nodes, density.radau_weights);
      if (info != 0) return info;
    }
    const double top = density.largest();
    result.floor = top > 0 ? density.resolution_limit() / top : 0;
    result.density = std::move(density);
    return 0;
  }
};

}  // namespace detail

OPTSCOPE_INLINE std::size_t lanczos_quadrature::bytes(const operator_shape& shape) const {
  const std::size_t deflated = settings_.deflate * (shape.rows + shape.cols) * shape.scalar_bytes;
  const std::size_t basis = settings_.deflate == 0 ? 0 : detail::quadrature_run{settings_}.deflation().bytes(shape);
  return detail::quadrature_bytes(shape, settings_.probes, shape.scalar_bytes) + std::max(basis, deflated);
}

OPTSCOPE_INLINE double lanczos_quadrature::operations(const operator_shape& shape) const {
  const auto products = static_cast<double>(settings_.steps * settings_.probes);
  const std::size_t width = shape.width != 0 ? shape.width : std::min(shape.rows, shape.cols);
  return products * 16 * static_cast<double>(shape.rows) * static_cast<double>(width);
}

OPTSCOPE_INLINE std::size_t lanczos_quadrature::state_bytes(const operator_shape& shape) const {
  return (settings_.probes + settings_.deflate) * (shape.rows + shape.cols) * shape.scalar_bytes +
         16 * settings_.probes * settings_.steps;
}

OPTSCOPE_INLINE void lanczos_quadrature::check(const operator_shape& shape) const {
  detail::require_size(name, shape);
  if (settings_.steps == 0 || settings_.probes == 0) {
    throw bad_input{"", std::string{name}, "at least one step and one probe",
                    std::to_string(settings_.steps) + " steps and " + std::to_string(settings_.probes) + " probes"};
  }
  detail::require_memory(name, shape, bytes(shape), settings_, "fewer probes would need less");
}

template <class T>
spectrum lanczos_quadrature::analyse(detail::any_operator<T>& op, quadrature_state<T>* state) const {
  check(op.shape());
  const detail::quadrature_run method{settings_};
  detail::analysis<> run{name, op.shape(), 0, bytes(op.shape())};
  openblas::use_best_kernels();
  thread_pool pool{settings_.threads};
  quadrature_state<T> own;
  quadrature_state<T>& at = state != nullptr ? *state : own;
  bool whole = false;
  if (op.cols() > op.rows()) {
    detail::transposed_operator<T> turned{op};
    whole = method.iterate(turned, 0, pool, at);
  } else {
    const operator_shape& shape = op.shape();
    whole = method.iterate(op, shape.width * shape.tokens == shape.cols ? shape.width : 0, pool, at);
  }
  const int info = method.density_of(at, run.result);
  if (info != 0) return run.fail("dbdsqr", info);
  return whole ? run.finish() : run.stop("quadrature");
}

#ifdef OPTSCOPE_COMPILED
template spectrum lanczos_quadrature::analyse(detail::any_operator<float>&, quadrature_state<float>*) const;
template spectrum lanczos_quadrature::analyse(detail::any_operator<double>&, quadrature_state<double>*) const;
#endif

}  // namespace optscope
