// SPDX-License-Identifier: MIT
#pragma once
// The density of a spectrum that is too large to compute: stochastic Lanczos quadrature by Golub-Kahan recurrences.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <optscope/spectrum/token_null_space.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

struct quadrature_settings : analysis_settings {
  std::size_t steps = 100;  ///< decide what is resolved: nothing below about 0.35 / steps of the largest
  std::size_t probes = 4;   ///< decide the sampling error, which is small
  std::size_t deflate = 0;  ///< so many of the largest values are computed one by one and left out of the quadrature
  std::uint64_t seed = 1;
};

/// Everything that a quadrature is between two steps; plain data. To go on another day write all of it to a file
/// (safetensors or .npy: numbers, vectors and tensors of T) and give it back; the bits are those of one run. Its size
/// is (probes + deflate) (rows + cols) scalars: 47 MB for 589,824 values, 10 probes, float.
template <class T>
struct quadrature_state {
  std::size_t rows = 0, cols = 0;     ///< of the operator, turned so that cols <= rows
  std::size_t probes = 0, steps = 0;  ///< steps done
  std::uint64_t seed = 0;
  std::size_t null_width = 0;              ///< the sums over so many neighbours are known to be lost, 0: not known
  std::vector<double> single;              ///< values left out, descending
  tensor<T, 2> single_left, single_right;  ///< (value, rows), (value, cols)
  std::vector<std::vector<double>> alpha;  ///< (probe, step): diagonal of the bidiagonal matrix
  std::vector<std::vector<double>> beta;   ///< (probe, step): above it; the last one leads to the next step
  std::vector<std::uint8_t> done;          ///< [probe]: its Krylov space is exhausted, the quadrature exact
  tensor<T, 2> left, right;                ///< (probe, rows): u of the last step, (probe, cols): v of the next
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
/// Operators with tokens() and width() are asked whether they lose each token's sum, as blocks with a LayerNorm before
/// them do: those exact zeros are then left out and counted as `zeros`. Cost: a product on each side for each probe and
/// step. Memory: 2 probes (rows + cols) scalars, and what `largest` takes if values are deflated.
class lanczos_quadrature {
 public:
  explicit lanczos_quadrature(quadrature_settings settings = {}) : settings_{std::move(settings)} {}

  template <linear_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    const std::size_t sides = op.rows() + op.cols(), scalar = sizeof(typename Op::scalar);
    const std::size_t basis = settings_.deflate == 0 ? 0 : deflation().bytes(op);
    return detail::quadrature_bytes(op.rows(), op.cols(), settings_.probes, scalar) +
           std::max(basis, settings_.deflate * sides * scalar);
  }

  /// Throws `bad_input`, before any work, for a size or memory that cannot do, naming the analyser that would.
  template <linear_operator Op>
  void check(const Op& op) const {
    detail::require_size("lanczos_quadrature", op.rows(), op.cols());
    if (settings_.steps == 0 || settings_.probes == 0) {
      throw bad_input{"", "lanczos_quadrature", "at least one step and one probe", "none"};
    }
    detail::require_memory("lanczos_quadrature", op.rows(), op.cols(), bytes(op), settings_, "fewer probes would do");
  }

  /// With a `state` from a former call goes on from its steps, if it is not there yet; leaves there where it ended.
  template <linear_operator Op>
  [[nodiscard]] spectrum operator()(Op& op, quadrature_state<typename Op::scalar>* state = nullptr) const {
    using scalar = typename Op::scalar;
    check(op);
    detail::analysis<> run{"lanczos_quadrature", op.rows(), op.cols(), 0, bytes(op)};
    openblas::use_best_kernels();
    thread_pool pool{settings_.threads};
    quadrature_state<scalar> own;
    quadrature_state<scalar>& at = state != nullptr ? *state : own;
    bool whole;
    if (op.cols() > op.rows()) {
      detail::transposed_operator<Op> turned{op};
      whole = iterate(turned, 0, pool, at);
    } else {
      whole = iterate(op, detail::token_width(op), pool, at);
    }
    const int info = density_of(at, run.result);
    if (info != 0) return run.fail("dbdsqr", info);
    return whole ? run.finish() : run.stop("quadrature");
  }

 private:
  [[nodiscard]] largest deflation() const {
    largest_settings top;
    static_cast<analysis_settings&>(top) = settings_;
    top.progress = {};
    top.count = settings_.deflate;
    top.seed = settings_.seed + 1;
    top.tolerance = 1e-3;  // what is left in the vectors acts on the quadrature by its square
    return largest{top};
  }

  template <class Op, class T>
  bool iterate(Op& op, std::size_t token_width, thread_pool& pool, quadrature_state<T>& at) const {
    const detail::block_vectors<T> vectors{pool};
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
    while (at.steps < settings_.steps && std::count(at.done.begin(), at.done.end(), 0) > 0) {
      const double share = static_cast<double>(at.steps) / static_cast<double>(settings_.steps);
      if (!settings_.go_on("quadrature", share)) return false;
      op.apply(std::as_const(at.right).view(), image.view());
      over_probes([&](std::size_t probe) {
        if (at.steps > 0) {
          detail::subtract_scaled<T>(image.row(probe), static_cast<T>(at.beta[probe].back()),
                                     std::as_const(at.left).row(probe));
        }
      });
      vectors.project_out(std::as_const(at.single_left).view(), image.view());
      over_probes([&](std::size_t probe) { advance<T>(image.row(probe), at.left.row(probe), at.alpha, at, probe); });
      op.apply_transposed(std::as_const(at.left).view(), back.view());
      over_probes([&](std::size_t probe) {
        detail::subtract_scaled<T>(back.row(probe), static_cast<T>(at.alpha[probe].back()),
                                   std::as_const(at.right).row(probe));
        if (at.null_width != 0) detail::remove_means<T>(back.row(probe), at.null_width);
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
    const double size = detail::length<T>(from);
    if (!std::isfinite(size)) {
      throw bad_input{"", "lanczos_quadrature, step " + std::to_string(at.steps),
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

  template <class Op, class T>
  void begin(Op& op, std::size_t token_width, const detail::block_vectors<T>& vectors, quadrature_state<T>& at) const {
    at.rows = op.rows();
    at.cols = op.cols();
    at.seed = settings_.seed;
    if (token_width > 1 && detail::loses_means(op, token_width, at.seed)) at.null_width = token_width;
    const std::size_t null = at.null_width == 0 ? 0 : at.cols / at.null_width;
    const std::size_t deflate = std::min(settings_.deflate, at.cols - null - 1);
    if (deflate > 0) {
      auto top = deflation()(op);
      at.single = std::move(top.values);
      at.single_left = std::move(top.left);
      at.single_right = std::move(top.right);
    }
    at.left = tensor<T, 2>{{settings_.probes, at.rows}};
    at.right = tensor<T, 2>{{settings_.probes, at.cols}};
    for (std::size_t probe = 0; probe < settings_.probes; ++probe) {
      detail::fill_normal<T>(at.seed, 1000 + probe, at.right.row(probe));
      if (at.null_width != 0) detail::remove_means<T>(at.right.row(probe), at.null_width);
    }
    vectors.project_out(std::as_const(at.single_right).view(), at.right.view());
    for (std::size_t probe = 0; probe < settings_.probes; ++probe) {
      detail::multiply<T>(at.right.row(probe), static_cast<T>(1 / detail::length<T>(at.right.row(probe))));
    }
    at.alpha.resize(settings_.probes);
    at.beta.resize(settings_.probes);
    at.done.assign(settings_.probes, 0);
    at.probes = settings_.probes;
  }

  template <class Op, class T>
  void require_state(const Op& op, const quadrature_state<T>& at) const {
    bool fits = at.rows == op.rows() && at.cols == op.cols() && at.probes == settings_.probes &&
                at.seed == settings_.seed && at.alpha.size() == at.probes && at.beta.size() == at.probes &&
                at.done.size() == at.probes && at.left.rows() == at.probes && at.right.rows() == at.probes &&
                at.left.extent(1) == at.rows && at.right.extent(1) == at.cols;
    for (std::size_t probe = 0; fits && probe < at.probes; ++probe) {
      fits = at.done[probe] != 0 || (at.alpha[probe].size() == at.steps && at.beta[probe].size() == at.steps);
    }
    if (fits) return;
    throw bad_input{"", "lanczos_quadrature, saved state",
                    std::to_string(settings_.probes) + " probes of seed " + std::to_string(settings_.seed) + " for " +
                        std::to_string(op.rows()) + " x " + std::to_string(op.cols()),
                    std::to_string(at.probes) + " of seed " + std::to_string(at.seed) + " for " +
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

  quadrature_settings settings_;
};

static_assert(spectrum_analyser<lanczos_quadrature, matrix_operator<float>>,
              "lanczos_quadrature is a spectrum analyser");

}  // namespace optscope
