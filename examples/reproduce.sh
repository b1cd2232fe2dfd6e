#!/usr/bin/env bash
# Every figure of the similarity study on one page, with its claim, a test and a verdict for a model of your own:
#   examples/reproduce.sh --model DIR [--texts PATH]... [--length N] [--out DIR]
# Installs what is needed, builds, runs study and tight_pass, and prints where report.html is. --texts takes folders of
# categories (examples/texts, if it is not given), --length is of the study's texts (512). Ctrl-C stops; the same command
# reads what tight_pass has found.
set -euo pipefail
usage() {
  echo "usage: reproduce.sh --model DIR [--texts PATH]... [--length N] [--out DIR]" >&2
  exit 2
}
top=$(dirname "$(dirname "$(readlink -f "$0")")")
model= out=reproduced length=512 texts=()
while (($#)); do
  (($# > 1)) || usage
  case $1 in
    --model) model=$2 ;;
    --texts) texts+=(--texts "$2") ;;
    --length) length=$2 ;;
    --out) out=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[[ $model && $length =~ ^[0-9]+$ ]] && ((length >= 40)) || usage
((${#texts[@]})) || texts=(--texts "$top/examples/texts")
bash "$top/cmake/install-packages.sh" g++ cmake ninja-build libxtensor-dev libxtensor-blas-dev libopenblas-dev libsimdjson-dev \
  libpcre2-dev libcli11-dev gnuplot-nox fonts-dejavu-core
(cd "$top" && cmake --preset release -DOPTSCOPE_BUILD_TESTS=OFF && cmake --build build --target study tight_pass reproduce) >&2
run() { "$top/build/examples/$1" --model "$model" "${texts[@]}" "${@:2}" >/dev/null; }
run study --heads --length "$length" --positions "$((length - 37)):$length:4" --out "$out/study"
run tight_pass --length 3 --text all --directions 0 --out "$out/spectra-3"
run tight_pass --length 34 --layers ::2 --directions 0 --minutes 0.75 --out "$out/spectra-34"
"$top/build/examples/reproduce" --study "$out/study" --few "$out/spectra-3" --many "$out/spectra-34" --out "$out"
