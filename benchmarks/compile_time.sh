#!/usr/bin/env bash
# Compile time and size of the programs that users write first, examples/custom_*.cpp, with headers alone and with the
# compiled library, in g++ and clang++: user seconds at -O2 (median), their ratio to a file that includes only
# <xtensor/xtensor.hpp> and <iostream> in the same run, and the size of the stripped program.
#
#   benchmarks/compile_time.sh build [RUNS]        build: where liboptscope.a is
#   benchmarks/compile_time.sh build 1 --limits    custom_metric in one compiler; fails at 10 times (compiled), 30 times (headers),
#                                                600 kB (compiled) or 900 kB (headers); a test does this. The aims are
#                                                5 times, 10 times, 300 kB
set -euo pipefail
library=$(realpath "${1:?usage: compile_time.sh BUILD_DIR [RUNS] [--limits]}")/liboptscope.a
runs=${2:-3} limits=${3:-}
[ -f "$library" ] || { echo "$library: not found; build the target optscope_compiled" >&2; exit 3; }
cd "$(dirname "$(readlink -f "$0")")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#include <iostream>\n#include <xtensor/xtensor.hpp>\nint main() {}\n' >"$work/baseline.cpp"
compilers=(g++ clang++) programs=(examples/custom_*.cpp)
[ -z "$limits" ] || compilers=("${CXX:-g++}") programs=(examples/custom_metric.cpp)

seconds() {  # of the command, user time, median of $runs
  local TIMEFORMAT=%U times=()
  for ((i = 0; i < runs; ++i)); do
    times+=("$({ time "$@" >/dev/null 2>"$work/errors"; } 2>&1)") || { cat "$work/errors" >&2; exit 1; }
  done
  printf '%s\n' "${times[@]}" | sort -n | sed -n "$((runs / 2 + 1))p"
}
failed=0
limit() {  # what, value, at most
  [ -z "$limits" ] || awk "BEGIN { exit !($2 > $3) }" || return 0
  [ -z "$limits" ] || { echo "$1: expected at most $3, found $2"; failed=1; }
}
printf '%-8s %-16s %-12s %8s %6s %9s\n' compiler program library 'user s' ratio 'size kB'
for compiler in "${compilers[@]}"; do
  flags=(-std=c++20 -O2 -DNDEBUG -Iinclude)
  ! "$compiler" --version | head -1 | grep -q 'g++' || flags+=(-fno-new-ttp-matching)
  baseline=$(seconds "$compiler" "${flags[@]}" -c "$work/baseline.cpp" -o "$work/baseline.o")
  printf '%-8s %-16s %-12s %8s %6s\n' "$compiler" baseline - "$baseline" 1.0
  for source in "${programs[@]}"; do
    name=$(basename "$source" .cpp)
    for way in compiled headers; do
      extra=()
      [ $way = headers ] || extra=(-DOPTSCOPE_COMPILED)
      time=$(seconds "$compiler" "${flags[@]}" "${extra[@]}" -c "$source" -o "$work/$name.o")
      [ $way = headers ] || extra=(-Wl,--gc-sections "$library")
      "$compiler" "$work/$name.o" "${extra[@]}" -o "$work/$name" -lopenblas -llapack -lsimdjson -lpcre2-8 -lpthread
      strip "$work/$name"
      size=$(($(stat -c %s "$work/$name") / 1000))
      ratio=$(awk "BEGIN { printf \"%.1f\", $time / $baseline }")
      printf '%-8s %-16s %-12s %8s %6s %9s\n' "$compiler" "$name" "$way" "$time" "$ratio" "$size"
      limit "$name with $way, times the baseline" "$ratio" "$([ $way = headers ] && echo 30 || echo 10)"
      limit "$name with $way, kB" "$size" "$([ $way = headers ] && echo 900 || echo 600)"
    done
  done
done
exit $failed
