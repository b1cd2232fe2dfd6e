#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected numbers in tests/similarity and tests/units, computed with numpy, scikit-learn and scipy."""
import itertools

import numpy as np
from scipy.linalg import subspace_angles
from scipy.spatial.distance import pdist
from scipy.stats import f_oneway
from sklearn.covariance import oas
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances, rbf_kernel

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

# Metrics of pairs: rows 17 and 3, 29 and 4; of x, and of six vectors of nine numbers, fewer than dimensions.
i, j = np.meshgrid(np.arange(6), np.arange(9), indexing="ij")
wide = ((i * 29 + j * 17 + i * j * 3) % 19 - 9) / 4
other = ((i * 13 + j * 7 + i * i * j) % 17 - 8)[:, :8] / 4


def whitened(values, mean, covariance, count):
    # A covariance of `count` vectors, shrunk by OAS's formula; scikit-learn's is compared below.
    p, s2 = len(mean), (covariance ** 2).sum()
    mu = np.trace(covariance) / p
    share = min(1, (s2 / p ** 2 + mu ** 2) / ((count + 1) * (s2 - p * mu ** 2) / p ** 2))
    shrunk = (1 - share) * covariance + share * mu * np.eye(p)
    if len(values) == count:
        assert np.allclose(shrunk, oas(values)[0])
    size, vectors = np.linalg.eigh(shrunk)
    return (values - mean) @ vectors / np.sqrt(size)


def of_pairs(values):
    centred = values - values.mean(0)
    sigma = np.median(pdist(values))
    own = whitened(values, values.mean(0), np.cov(values.T, bias=True), len(values))
    return {"centred_cosine": cosine_similarity(centred), "euclidean": euclidean_distances(values),
            "pca_cosine": cosine_similarity(PCA(0.9, svd_solver="full").fit_transform(values)),
            "whitened_cosine": cosine_similarity(own), "rbf": rbf_kernel(values, gamma=0.5 / sigma ** 2)}


for name, matrix in of_pairs(x).items():
    print(name, [matrix[a, b] for a, b in ((17, 3), (29, 4))], [of_pairs(wide)[name][a, b] for a, b in ((4, 1), (5, 2))])
stretched = x * (1 + np.arange(7)) ** 2  # so that the covariance is not shrunk to the identity
running = whitened(stretched[:12], stretched.mean(0), np.cov(stretched.T, bias=True), 30)
print("whitened_cosine of stretched vectors: own, running", of_pairs(stretched)["whitened_cosine"][17, 3],
      [cosine_similarity(running)[a, b] for a, b in ((5, 3), (11, 4))])
position = np.arange(30) % 3
level = x - np.array([x[position == p].mean(0) for p in range(3)])[position] + x.mean(0)
unit = x.mean(0) / np.linalg.norm(x.mean(0))
print("without position, mean direction", [cosine_similarity(level)[17, 3], cosine_similarity(x - np.outer(x @ unit, unit))[17, 3]])

# Metrics of sets: x with its products, and the two wide ones.
products = np.stack([x[:, k] * x[:, k + 2] + np.arange(30) % 3 for k in range(4)], 1)


def hsic1(k, l):  # Nguyen et al. 2021, by the definition: Song et al. 2012, equation 5
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    return (np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def leading(a, share=None, count=None):
    u, s, _ = np.linalg.svd(a - a.mean(0), full_matrices=False)
    if share:
        count = 1 + int(np.argmax(np.cumsum(s ** 2) / (s ** 2).sum() >= share))
    return u[:, :count] * s[:count]


def of_sets(a, b, components):
    ca, cb = a - a.mean(0), b - b.mean(0)
    k, l = ca @ ca.T, cb @ cb.T
    na, nb = ca / np.linalg.norm(ca), cb / np.linalg.norm(cb)
    pa, pb = leading(a, 0.99), leading(b, 0.99)
    least = min(pa.shape[1], pb.shape[1])
    rho = np.linalg.svd(np.linalg.qr(pa)[0].T @ np.linalg.qr(pb)[0], compute_uv=False)
    u, v = CCA(least, scale=False, max_iter=10000, tol=1e-12).fit_transform(pa, pb)
    if len(a) > 10:
        assert np.allclose(rho, [np.corrcoef(u[:, m], v[:, m])[0, 1] for m in range(least)], atol=1e-6)
    return {"cka": (k * l).sum() / np.linalg.norm(k) / np.linalg.norm(l),
            "cka_debiased": hsic1(a @ a.T, b @ b.T) / np.sqrt(hsic1(a @ a.T, a @ a.T) * hsic1(b @ b.T, b @ b.T)),
            "procrustes": 1 - (2 - 2 * np.linalg.svd(na.T @ nb, compute_uv=False).sum()) / 2,
            "svcca": rho.mean(),
            "subspace_angles": subspace_angles(leading(a, count=components), leading(b, count=components)).mean()}


print("of sets", of_sets(x, products, 3), of_sets(wide, other, 2))
