// SPDX-License-Identifier: MIT
// Gradients on every backend that has them.
#include <doctest/doctest.h>

#include <algorithm>
#include <backend/plain_backend.hpp>
#include <compare.hpp>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <span>
#include <string>
#include <vector>

using namespace optscope;

namespace {

/// Exactly the members of `gradient_backend_for`.
class plain_gradient_backend : public plain_backend<double> {
 public:
  using plain_backend<double>::plain_backend;
  plain_gradient_backend with_threads(std::size_t threads) const { return plain_gradient_backend{threads}; }
  void linear_backward(tensor_view<const double, 2> x, tensor_view<const double, 2> w, tensor_view<double, 2> y) {
    for (std::size_t i = 0; i < y.rows(); ++i) {
      for (std::size_t j = 0; j < y.cols(); ++j) {
        y(i, j) = 0;
        for (std::size_t k = 0; k < x.cols(); ++k) y(i, j) += x(i, k) * w(k, j);
      }
    }
  }
};
static_assert(gradient_backend_for<plain_gradient_backend, double>);

/// All gradients of the sum of squares of the logits, unit kind by unit kind, from the last layer to the first.
template <class Backend>
std::vector<double> gradients_on(const Backend& backend) {
  model<any_opt, double, Backend> opt{checkpoint{OPTSCOPE_SOURCE_DIR "/tests/goldens/model/head-dim-7"}, backend};
  gradient_pass pass{opt};
  unit_gates<double> open{opt.shape()};
  std::vector<double> found;
  pass(
      {{2, 5, 11, 3}, {2, 40}}, open,
      [](std::size_t, tensor_view<double, 2> logits) {
        for (std::size_t i = 0; i < logits.rows(); ++i) {
          for (double& logit : logits.row(i)) logit *= 2;
        }
      },
      [&](unit_kind, std::size_t, tensor_view<const double, 2>, tensor_view<const double, 2> gradients) {
        for (std::size_t i = 0; i < gradients.rows(); ++i) {
          found.insert(found.end(), gradients.row(i).begin(), gradients.row(i).end());
        }
      });
  return found;
}

}  // namespace

TEST_CASE("gradients are the same on the library's kernels, on the user's BLAS and on plain loops") {
  const std::vector<double> expected = gradients_on(plain_gradient_backend{1});
  CHECK(!expected.empty());
  const auto check = [&](const std::vector<double>& found, const std::string& what) {
    check_close(std::span<const double>{found}, std::span<const double>{expected}, 1e-12, what);
  };
  check(gradients_on(cpu{2}), "cpu");
  check(gradients_on(cblas{2}), "cblas");
}
