#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Linear CKA of all pairs of 24 sets of 5,120 x 768: ours against numpy written plainly, in one run, on the same numbers.

    python benchmarks/cka_peer.py [--sets 24] [--vectors 5120] [--width 768] [--ours build/benchmarks/cka]

prints seconds, the ratio, and the largest difference. numpy's loop is Kornblith's formula over features, three products a pair.
"""
import argparse
import pathlib
import re
import subprocess
import tempfile
import time

import numpy as np

parser = argparse.ArgumentParser()
for name, value in (("sets", 24), ("vectors", 5120), ("width", 768)):
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--ours", default="build/benchmarks/cka")
options = parser.parse_args()

random = np.random.default_rng(1)
sets = random.standard_normal((options.sets, options.vectors, options.width), dtype=np.float32)
for s in range(1, options.sets):  # neighbours are alike, as layers are
    sets[s] = 0.8 * sets[s - 1] + 0.6 * sets[s] + 1


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


with tempfile.TemporaryDirectory() as folder:
    path, result = pathlib.Path(folder) / "sets.npy", pathlib.Path(folder) / "matrix.npy"
    np.save(path, sets)
    text = subprocess.run([options.ours, path, result], check=True, capture_output=True, text=True).stdout
    print(text, end="")
    ours, found = float(re.search(r"all pairs, ([0-9.]+) s", text).group(1)), np.load(result)
start = time.perf_counter()
expected = np.eye(options.sets)
for i in range(options.sets):
    for j in range(i):
        expected[i, j] = expected[j, i] = cka(sets[i], sets[j])
seconds = time.perf_counter() - start
print(f"numpy {np.__version__}: {seconds:.1f} s; ours is {seconds / ours:.1f} times as fast, largest difference "
      f"{np.abs(found - expected).max():.1e}")
