#!/usr/bin/env bash
# Builds and passes the tests: g++ optimised, with the programs; then clang with address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bash cmake/install-packages.sh g++ clang libclang-rt-14-dev clang-format-16 cmake ninja-build libxtensor-dev \
  libxtensor-blas-dev libopenblas-dev libsimdjson-dev libpcre2-dev libcli11-dev doctest-dev gnuplot-nox fonts-dejavu-core \
  chromium doxygen
build_and_test() {
  cmake --preset "$1"
  cmake --build --preset "$1" --target all "${@:2}"
  ctest --preset "$1"
}
build_and_test tests docs
build_and_test sanitizers
