#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PHATE of 5,000 points x 768: ours against the reference implementation, on the same numbers with the same settings.

    pip install phate
    python benchmarks/phate_peer.py [--points 5000] [--width 768] [--steps 20] [--ours build/benchmarks/phate]

prints seconds, the ratio, peak memory, and the trustworthiness of both maps by scikit-learn. Settings of both: 5 neighbours, decay
40, 100 principal components, 2,000 landmarks, metric scaling by SMACOF to two dimensions. The points are 20 branches with noise.
"""
import argparse
import pathlib
import re
import resource
import subprocess
import tempfile
import time
import warnings

import numpy as np

parser = argparse.ArgumentParser()
for name, value in (("points", 5000), ("width", 768), ("steps", 20)):
    parser.add_argument(f"--{name}", type=int, default=value)
parser.add_argument("--ours", default="build/benchmarks/phate")
options = parser.parse_args()

random = np.random.default_rng(1)
branches = 20
ends = np.cumsum(random.standard_normal((branches, options.width)), axis=0) / 2
of = np.arange(options.points) * branches // options.points
share = random.random((options.points, 1))
points = (ends[of - (of > 0)] * (1 - share) + ends[of] * share +
          0.15 * random.standard_normal((options.points, options.width))).astype(np.float32)

with tempfile.TemporaryDirectory() as folder:
    path, result = pathlib.Path(folder) / "points.npy", pathlib.Path(folder) / "map.npy"
    np.save(path, points)
    text = subprocess.run([options.ours, path, str(options.steps), result], check=True, capture_output=True, text=True).stdout
    print(text, end="", flush=True)
    ours, found = float(re.search(r"iterations, ([0-9.]+) s", text).group(1)), np.load(result)

import phate  # after ours has run, so that its threads do not wait beside it
from sklearn.manifold import trustworthiness

warnings.simplefilter("ignore")
start = time.perf_counter()
expected = phate.PHATE(knn=5, decay=40, n_landmark=2000, t=options.steps, n_pca=100, mds_solver="smacof", n_jobs=-1, verbose=0,
                       random_state=1).fit_transform(points)
seconds = time.perf_counter() - start
print(f"phate {phate.__version__}: {seconds:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB; ours is "
      f"{seconds / ours:.1f} times as fast")
print(f"trustworthiness by scikit-learn: ours {trustworthiness(points, found):.4f}, the reference "
      f"{trustworthiness(points, expected):.4f}")
