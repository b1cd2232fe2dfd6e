// SPDX-License-Identifier: MIT
// Linear CKA of all pairs of many sets of vectors.
//   cka SETS.npy [MATRIX.npy]
// SETS: float32 (set, vector, width). The same in numpy, on the same numbers in one run: cka_peer.py
#include <benchmark.hpp>
#include <cstdio>
#include <optscope/interop/npy.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/similarity.hpp>

using namespace optscope;
namespace bench = benchmark_tools;

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: cka SETS.npy [MATRIX.npy]\n"), 2;
  bench::print_machine();
  const tensor<float, 3> all = read_npy<float, 3>(argv[1]);
  std::vector<tensor_view<const float, 2>> sets;
  for (std::size_t s = 0; s < all.rows(); ++s) sets.push_back({all.row(s).data(), {all.extent(1), all.extent(2)}});
  std::vector<double> times;
  tensor<float, 2> matrix;
  for (int round = 0; round < 3; ++round) times.push_back(bench::seconds([&] { matrix = similarity<cka>(sets); }));
  std::printf("cka: %zu sets of %zu x %zu, all pairs, %.3f s\n", all.rows(), all.extent(1), all.extent(2),
              bench::median(times));
  if (argc > 2) write_npy(argv[2], matrix);
}
