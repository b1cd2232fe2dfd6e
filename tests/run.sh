#!/usr/bin/env bash
# Builds and passes the tests: g++ optimised, then clang with address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bash cmake/install-packages.sh g++ clang libclang-rt-14-dev clang-format-14 cmake ninja-build libxtensor-dev \
  libxtensor-blas-dev libopenblas-dev libsimdjson-dev libpcre2-dev libcli11-dev doctest-dev gnuplot-nox fonts-dejavu-core \
  chromium
for preset in release clang-debug; do
  cmake --preset "$preset" -DOPTSCOPE_BUILD_TESTS=ON -DOPTSCOPE_BUILD_BENCHMARKS=ON
  cmake --build --preset "$preset"
  ctest --preset "$preset"
done
