#!/usr/bin/env bash
# What has to be found out on a card, as Markdown, within 15 minutes.
#   check.sh build DIR     where there is a compiler: the program, its libraries but for CUDA's, and what it reads, into DIR
#   check.sh run DIR       where there is a card, and python3 with torch, transformers, numpy for the peers; no network
#   check.sh small DIR     the first half of that: all but the model of 6.7B; 8 minutes at most
#   check.sh large DIR     the second half; 6 minutes at most
# A step that fails, or takes longer than it may, is reported and the next one begins.
set -uo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

build() {
  set -e
  local top=$here/../.. cuda=${CUDA_HOME:-/usr/local/cuda}
  mkdir -p "$1/lib"
  "${CXX:-g++}" -std=c++20 -O2 -march=x86-64 -fno-new-ttp-matching "$here/check.cpp" -I"$top/include" -isystem "$cuda/include" \
    -L"$cuda/lib64" -lcudart -lcublasLt -lnvrtc -Wl,--as-needed -lopenblas -llapack -lsimdjson -lpcre2-8 -pthread \
    -static-libstdc++ -static-libgcc -o "$1/check"
  cp "$here/check.sh" "$here/peer.py" "$here/../random_opt.py" "$1/"
  cp -r "$top/examples/demo-model" "$1/"
  # CUDA's libraries are the card's machine's; the system's are every machine's.
  ldd "$1/check" | awk '$3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libstdc\+\+|libgcc_s|libdl|libpthread|librt|ld-linux[^/]*|libcudart|libcublasLt|libnvrtc)\.' |
    xargs -r -I{} cp -L {} "$1/lib/"
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
  local libraries=(env "LD_LIBRARY_PATH=$dir/lib:$(cuda_libraries)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")  # not python's
  export HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error
  chmod +x "$dir/check"
  mkdir -p "$models"
  if [ "$2" != large ]; then
    step "Card" 60 "${libraries[@]}" "$dir/check" card
    step "Parity of all sites with the CPU, demo model" 60 "${libraries[@]}" "$dir/check" parity "$dir/demo-model"
    step "Errors of the modes" 40 "${libraries[@]}" "$dir/check" modes
    step "Memory errors" 60 "${libraries[@]}" compute-sanitizer --leak-check no --error-exitcode 3 "$dir/check" tiny "$dir/demo-model"
    step "A model of 125M with random weights" 30 python3 "$dir/random_opt.py" opt-125m "$models/125m"
    step "125M" 50 "${libraries[@]}" "$dir/check" times "$models/125m"
    step "125M with PyTorch" 80 python3 "$dir/peer.py" "$models/125m"
    step "Bits over row counts" 120 "${libraries[@]}" "$dir/check" bits
  fi
  if [ "$2" != small ]; then
    step "A model of 6.7B with random weights" 100 python3 "$dir/random_opt.py" opt-6.7b "$models/6.7b"
    step "6.7B" 100 "${libraries[@]}" "$dir/check" times "$models/6.7b" 2
    step "6.7B with PyTorch" 150 python3 "$dir/peer.py" "$models/6.7b" 2
  fi
  rm -rf "$models"
}

case "${1:-} ${2:-}" in
  "build "?*) build "$2" ;;
  "run "?* | "small "?* | "large "?*) run "$2" "$1" ;;
  *) sed -n '2,7s/^# \?//p' "$0" >&2; exit 2 ;;
esac
