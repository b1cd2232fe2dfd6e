#!/usr/bin/env bash
# The similarity study on the demo model: installs what is needed, builds, runs, and prints where the report is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bash cmake/install-packages.sh g++ cmake ninja-build libxtensor-dev libxtensor-blas-dev libopenblas-dev libsimdjson-dev \
  libpcre2-dev libcli11-dev gnuplot-nox fonts-dejavu-core
cmake --preset release -DOPTSCOPE_BUILD_TESTS=OFF >&2
cmake --build build --target study >&2
build/examples/study --model examples/demo-model --texts examples/texts --out build/demo >/dev/null
echo "$PWD/build/demo/report.html"
