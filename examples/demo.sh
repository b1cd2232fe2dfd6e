#!/usr/bin/env bash
# The similarity study on the demo model, then only the part of it that writes code: installs what is needed, builds, runs,
# and prints eight lines of verse with the code that follows, and where the study's report is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bash cmake/install-packages.sh g++ cmake ninja-build libxtensor-dev libxtensor-blas-dev libopenblas-dev libsimdjson-dev \
  libpcre2-dev libcli11-dev gnuplot-nox fonts-dejavu-core
cmake --preset release -DOPTSCOPE_BUILD_TESTS=OFF >&2
cmake --build build --target study isolate generate >&2
build/examples/study --model examples/demo-model --texts examples/texts --out build/demo >/dev/null
build/examples/isolate --model examples/demo-model --texts examples/texts --texts examples/more-texts --keep code \
  --alone --no-curves --out build/demo/only-code >/dev/null
verse=$(sed -n '/^A simple thing/,/^The law says noon/p' examples/more-texts/verse/02-the-clockmaker-of-lesse.txt)
printf '%s\n\n  [The part of the model that writes code continues:]\n\n' "$verse"
build/examples/generate --model examples/demo-model --edits build/demo/only-code/edits.json --prompt "$verse" --new 128 \
  --temperature 0.8 --top-p 0.9 --seed 6
echo "$PWD/build/demo/report.html"
