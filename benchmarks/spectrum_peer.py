#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spectrum of an attention block's Jacobian: our analysers against torch.linalg.svdvals in float64, on the same matrix, in one run.

    python benchmarks/spectrum_peer.py --model DIR [--tokens 8] [--ours build/benchmarks/spectrum]

prints seconds, ratios, and the largest difference to torch's values relative to the largest value. Needs torch and numpy.
"""
import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import time

import numpy as np
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--tokens", default="8")
parser.add_argument("--ours", default="build/benchmarks/spectrum")
options = parser.parse_args()

environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_"))}
with tempfile.TemporaryDirectory() as folder:
    matrix = pathlib.Path(folder) / "matrix.npy"
    found = {}
    for kind in ("exact", "gram"):
        values = pathlib.Path(folder) / f"{kind}.npy"
        command = [options.ours, options.model, "attn", options.tokens, kind, values]
        if kind == "exact":
            command.append(matrix)
        text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        print(text, end="")
        found[kind] = float(re.search(r"values, ([0-9.]+) s", text).group(1)), np.load(values)
    jacobian = torch.from_numpy(np.load(matrix))
start = time.perf_counter()
expected = torch.linalg.svdvals(jacobian).numpy()
seconds = time.perf_counter() - start
print(f"torch.linalg.svdvals, {len(expected)} values in float64 on {torch.get_num_threads()} threads: {seconds:.1f} s")
for kind, (ours, values) in found.items():
    difference = np.abs(values - expected).max() / expected[0]
    print(f"{kind}: {ours:.1f} s, {seconds / ours:.1f} times as fast as torch, largest difference {difference:.1e}")
