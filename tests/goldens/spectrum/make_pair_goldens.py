#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected numbers in tests/spectrum/test_symmetric_pair.cpp and of `erase` in tests/probe/test_editor.cpp, computed
with scipy and with the package concept-erasure."""
import numpy as np
import scipy.linalg
import torch
from concept_erasure import LeaceFitter

np.set_printoptions(precision=10)
a = np.array([[2, 1, 0.5, 0], [1, 3, 0, -1], [0.5, 0, 1, 0.25], [0, -1, 0.25, 4]])
b = np.array([[3, 0.5, 0, 1], [0.5, 2, 0.25, 0], [0, 0.25, 1, -0.5], [1, 0, -0.5, 2]])
values, vectors = scipy.linalg.eigh(a, b)
print("pair", values[::-1], vectors[:, ::-1].T)

torch.set_printoptions(precision=10)
i, j = torch.meshgrid(torch.arange(30), torch.arange(6), indexing="ij")
x = ((i * 37 + j * 11 + i * j * 5) % 23 - 11).double() / 8
z = torch.arange(30) % 3
x += (z[:, None] == j) * 2.0
fitter = LeaceFitter(6, 3, dtype=torch.float64)
fitter.update(x, torch.nn.functional.one_hot(z, 3))
eraser = fitter.eraser
print("left", eraser.proj_left.T[:2], "right", eraser.proj_right[:2], "bias", eraser.bias)
row = torch.tensor([10.0, 11, 12, 13, 14, 15], dtype=torch.float64)
print("erased", eraser(row))
