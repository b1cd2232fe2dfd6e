#!/usr/bin/env bash
# What has to be found out on a card, as Markdown, within 15 minutes.
#   check.sh build DIR     where there is a compiler: the program, its libraries but for CUDA's, and what it reads, into DIR
#   check.sh run DIR       where there is a card (and python3 with torch, transformers, numpy for the peers; no network)
#   check.sh run DIR quick no models of 6.7B
# A step that fails, or takes longer than it may, is reported and the next one begins.
set -uo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

build() {
  set -e
  local top=$here/../.. work=$1/build
  mkdir -p "$1"
  cmake -S "$top" -B "$work" -DCMAKE_BUILD_TYPE=Release -DOPTSCOPE_BUILD_TESTS=OFF -DOPTSCOPE_BUILD_EXAMPLES=OFF \
    -DOPTSCOPE_BUILD_BENCHMARKS=ON -DOPTSCOPE_CUDA=ON -DCMAKE_EXE_LINKER_FLAGS="-static-libstdc++ -static-libgcc" >&2
  cmake --build "$work" --target benchmark_cuda_check -j "$(nproc)" >&2
  cp "$work/benchmarks/cuda/check" "$here/check.sh" "$here/peer.py" "$here/../random_opt.py" "$1/"
  cp -r "$top/examples/demo-model" "$1/"
  mkdir -p "$1/lib"
  # CUDA's libraries are the card's machine's; glibc's are every machine's.
  ldd "$1/check" | awk '$3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libdl|libpthread|librt|ld-linux[^/]*|libcudart|libcublasLt|libnvrtc)\.' |
    xargs -r -I{} cp -L {} "$1/lib/"
  rm -rf "$work"
  du -sh "$1" >&2
}

# Where this machine has CUDA's libraries: a toolkit, or the wheels that PyTorch comes with.
cuda_libraries() {
  local folders=() folder
  for folder in /usr/local/cuda*/lib64 $(python3 -c 'import glob, site, sys
print(*(f for p in sys.path + site.getsitepackages() for f in glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null); do
    [ -d "$folder" ] && folders+=("$folder")
  done
  (IFS=:; echo "${folders[*]}")
}

step() {  # title, seconds it may take, command
  local title=$1 limit=$2 start=$SECONDS status=0
  shift 2
  printf '\n### %s\n\n' "$title"
  timeout --kill-after=5 "$limit" "$@" 2>&1 || status=$?
  [ $status -eq 0 ] || printf '\n**failed with status %d%s**\n' $status "$([ $status -eq 124 ] && echo ': out of time')"
  printf '\n(%d s, %d s in all)\n' $((SECONDS - start)) $SECONDS
}

run() {
  local dir models
  dir=$(cd "$1" && pwd) || exit 1
  models=${TMPDIR:-/tmp}/optscope-check
  export LD_LIBRARY_PATH=$dir/lib:$(cuda_libraries)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
  chmod +x "$dir/check"
  mkdir -p "$models"
  step "Card" 60 "$dir/check" card
  step "Parity of all sites with the CPU, demo model" 120 "$dir/check" parity "$dir/demo-model"
  step "Errors of the modes" 60 "$dir/check" modes
  step "Bits over row counts" 150 "$dir/check" bits
  step "A model of 125M with random weights" 60 python3 "$dir/random_opt.py" opt-125m "$models/125m"
  step "125M" 60 "$dir/check" times "$models/125m"
  step "125M with PyTorch" 90 python3 "$dir/peer.py" "$models/125m"
  step "Memory errors" 90 compute-sanitizer --leak-check no --error-exitcode 3 "$dir/check" tiny "$dir/demo-model"
  if [ "${2:-}" != quick ]; then
    step "A model of 6.7B with random weights" 90 python3 "$dir/random_opt.py" opt-6.7b "$models/6.7b"
    step "6.7B" 90 "$dir/check" times "$models/6.7b" 2
    step "6.7B with PyTorch" 120 python3 "$dir/peer.py" "$models/6.7b" 2
  fi
  rm -rf "$models"
}

case "${1:-} ${2:-}" in
  "build "?*) build "$2" ;;
  "run "?*) run "$2" "${3:-}" ;;
  *) sed -n '2,6s/^# \?//p' "$0" >&2; exit 2 ;;
esac
