// SPDX-License-Identifier: MIT
// Closed forms and products of the Jacobians of one layer: seconds, and rates as a share of BLAS's.
//   jacobian MODEL_DIR [TOKENS] [LAYER] [VECTORS]
// jacobian_peer.py compares it with torch.func.
#include <benchmark.hpp>
#include <cmath>
#include <cstdio>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum/layer_jacobian.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

namespace {

/// Seconds for every block of the lower triangle, one at a time; a sum keeps them from being left out.
template <class Op>
double assemble(Op op, double& sum) {
  tensor<double, 2> block{{op.width(), op.width()}};
  return bench::seconds([&] {
    for (std::size_t t = 0; t < op.tokens(); ++t) {
      for (std::size_t u = op.diagonal() ? t : 0; u <= t; ++u) {
        op.block(t, u, block.view());
        sum += block(t % op.width(), u % op.width());
      }
    }
  });
}

/// Seconds for a product and a transposed product with k vectors, and checks them against each other.
template <class Op>
void multiply(const char* name, Op op, std::size_t k, double gflop) {
  using T = typename Op::scalar;
  tensor<T, 2> x{{k, op.cols()}}, y{{k, op.rows()}}, ax{{k, op.rows()}}, aty{{k, op.cols()}};
  for (std::size_t i = 0; i < x.size(); ++i) {
    x.data()[i] = static_cast<T>(std::sin(static_cast<double>(i)));
    y.data()[i] = static_cast<T>(std::cos(static_cast<double>(3 * i)));
  }
  std::vector<double> plain, transposed;
  for (int round = 0; round < 4; ++round) {
    plain.push_back(bench::seconds([&] { op.apply(x.view(), ax.view()); }));
    transposed.push_back(bench::seconds([&] { op.apply_transposed(y.view(), aty.view()); }));
  }
  double one = 0, other = 0, terms = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    one += static_cast<double>(y.data()[i]) * static_cast<double>(ax.data()[i]);
    other += static_cast<double>(aty.data()[i]) * static_cast<double>(x.data()[i]);
    terms += std::abs(static_cast<double>(y.data()[i]) * static_cast<double>(ax.data()[i]));
  }
  std::printf(
      "%-22s %zu vectors: %7.1f ms, transposed %7.1f ms; %.0f GFLOP/s; <y, Ax> - <Aᵀy, x> = %.0e of its terms\n", name,
      k, 1e3 * bench::median(plain), 1e3 * bench::median(transposed), gflop / bench::median(plain),
      std::abs(one - other) / terms);
}

}  // namespace

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: jacobian MODEL_DIR [TOKENS] [LAYER] [VECTORS]\n"), 2;
  const auto number = [&](int i, int otherwise) {
    return static_cast<std::size_t>(argc > i ? std::atoi(argv[i]) : otherwise);
  };
  const std::size_t length = number(2, 34), layer = number(3, 5), vectors = number(4, 10);
  bench::print_machine();
  model<any_opt, double> opt{checkpoint{argv[1]}};
  token_list tokens{2};
  for (std::size_t i = 1; i < length; ++i) {
    tokens.push_back(static_cast<token_id>((i * 7919 + 3) % opt.shape().vocabulary));
  }
  double sum = 0;
  if (length <= 256) {
    double run = 0;
    std::vector<std::shared_ptr<const layer_point<double>>> at;
    run = bench::seconds([&] { at = linearise(opt, tokens, layer); });
    const double attention = assemble(attention_jacobian<double>{at[0], opt.backend()}, sum);
    const double mlp = assemble(mlp_jacobian<double>{at[0], opt.backend()}, sum);
    std::printf("%zu tokens, layer %zu, %zu threads; activations: %.2f s\n", length, layer, opt.backend().pool().size(),
                run);
    std::printf("closed form of attention, every block: %.3f s\nclosed form of the MLP, every block: %.3f s\n",
                attention, mlp);
    std::printf("(sum %g)\n", sum);
  }
  const auto at = linearise<float>(opt, tokens, layer)[0];
  const auto d = static_cast<double>(opt.shape().hidden), f = static_cast<double>(opt.shape().ffn),
             rows = static_cast<double>(length * vectors);
  const double attention = 2 * rows * (4 * d * d + 2 * d * static_cast<double>(length)) / 1e9,
               mlp = 4 * rows * d * f / 1e9;
  std::printf("sgemm: %.0f GFLOP/s\n", bench::sgemm_rate(5120, 768, 768));
  multiply("attention, float", attention_jacobian<float>{at, opt.backend()}, vectors, attention);
  multiply("MLP, float", mlp_jacobian<float>{at, opt.backend()}, vectors, mlp);
  multiply("layer, float", layer_jacobian<float>{at, opt.backend()}, vectors, attention + mlp);
}
