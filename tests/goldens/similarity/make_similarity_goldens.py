#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected numbers in tests/similarity and tests/units, computed with numpy, scikit-learn and scipy."""
import itertools

import numpy as np
from scipy.stats import f_oneway
from sklearn.metrics.pairwise import cosine_similarity

# The same formula as in the tests: 10 texts x 3 vectors of 7 numbers, categories of 4, 3 and 3 texts.
i, j = np.meshgrid(np.arange(30), np.arange(7), indexing="ij")
category = np.repeat([0, 1, 2], [4, 3, 3])
x = ((i * 37 + j * 11 + i * j * 5) % 23 - 11) / 8 + category[i // 3] * (j == 2)
cosine = cosine_similarity(x)
scaled = x @ x.T / (np.linalg.norm(x, axis=1).max() ** 2)
print("cosine", [cosine[a, b] for a, b in ((0, 1), (3, 17), (29, 4))])
print("scaled", [scaled[a, b] for a, b in ((0, 1), (3, 17), (29, 4))])

text = np.arange(30) // 3
means = np.array([[cosine[np.ix_(text == a, text == b)].sum() - (3 if a == b else 0) for b in range(10)]
                  for a in range(10)])
means /= np.where(np.eye(10, dtype=bool), 6, 9)


def statistic(labels):
    same = labels[:, None] == labels[None, :]
    upper = np.triu(np.ones((10, 10), bool), 1)
    return means[same & upper].mean(), means[~same & upper].mean()


within, between = statistic(category)
labelings = set(itertools.permutations(category.tolist()))
count = sum(w - b >= within - between - 1e-12 for w, b in (statistic(np.array(p)) for p in labelings))
print("blocks", np.diag(means).mean(), within, between, count, len(labelings))
averages = np.array([x[text == t].mean(0) for t in range(10)])
print("F", [f_oneway(*[averages[category == c, d] for c in range(3)]).statistic for d in range(7)])
