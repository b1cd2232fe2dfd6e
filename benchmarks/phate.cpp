// SPDX-License-Identifier: MIT
// A PHATE map of many points: seconds, peak memory, stress, trustworthiness.
//   phate POINTS.npy [STEPS] [MAP.npy]
// POINTS: float32 (point, width). The same by the reference implementation, in one run on the same numbers:
// phate_peer.py
#include <sys/resource.h>

#include <benchmark.hpp>
#include <cstdio>
#include <cstdlib>
#include <optscope/interop/npy.hpp>
#include <optscope/reduction/phate.hpp>
#include <optscope/reduction/trustworthiness.hpp>
#include <utility>

using namespace optscope;
namespace bench = benchmark_tools;

int main(int argc, char** argv) {
  bench::without_blas_overrides(argv);
  if (argc < 2) return std::fprintf(stderr, "usage: phate POINTS.npy [STEPS] [MAP.npy]\n"), 2;
  bench::print_machine();
  const tensor<float, 2> points = read_npy<float, 2>(argv[1]);
  const phate_settings settings{.time = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0};
  thread_pool pool;
  phate_map map;
  const double seconds = bench::seconds([&] { map = phate(points.view(), settings, pool); });
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  std::printf("phate: %zu points of %zu, %zu landmarks, %zu steps, %zu iterations, %.3f s, %.2f GB, stress %.4f\n",
              points.rows(), points.cols(), map.landmarks, map.time, map.iterations, seconds,
              static_cast<double>(used.ru_maxrss) / 1e6, map.stress.value);
  trust_level trust;
  const double trust_seconds =
      bench::seconds([&] { trust = trustworthiness(points.view(), std::as_const(map.points).view(), 5, pool); });
  std::printf("trustworthiness: %.4f (by chance %.4f), %.3f s\n", trust.value, trust.by_chance, trust_seconds);
  if (argc > 3) write_npy(argv[3], map.points);
}
