#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected numbers in tests/reduction: PHATE by the reference implementation (phate 2.0.0 with graphtools 2.1.0),
PCA, trustworthiness and scaling by scikit-learn 1.9.1, the rest by numpy. phate is GPL: only its numbers are used."""
import numpy as np
import phate
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import smacof, trustworthiness

# The same formula as in the tests: three arms of 30 points in 8 dimensions.
i, j = np.meshgrid(np.arange(90), np.arange(8), indexing="ij")
x = np.where(j == i % 3, i / 10, 0) + ((i * 37 + j * 11 + i * j * 5) % 23 - 11) / 32
np.set_printoptions(precision=17)

for name, data, k in (("tall", x, 3), ("wide", x[:6], 3)):
    p = PCA(n_components=k).fit(data)
    signs = np.sign(p.components_[np.arange(k), np.abs(p.components_).argmax(1)])
    y = p.transform(data) * signs
    print("pca", name, p.explained_variance_, p.explained_variance_ratio_, y[0], y[-1])
y = PCA(n_components=2).fit_transform(x)
print("trustworthiness", [trustworthiness(x, y, n_neighbors=k) for k in (1, 5, 20)])
print("trustworthiness of few", trustworthiness(x[:11], y[:11], n_neighbors=5))

operator = phate.PHATE(knn=5, decay=40, t=12, n_pca=None, mds_solver="smacof", verbose=0, random_state=1)
y = operator.fit_transform(x)
kernel = operator.graph.K.toarray()
print("kernel", (kernel > 0).sum(), kernel.sum(), (kernel**2).sum(), kernel[0, kernel[0] > 0])
spread = np.linalg.matrix_power(kernel / kernel.sum(1, keepdims=True), 12)
print("same operator", np.abs(spread - np.linalg.matrix_power(operator.diff_op, 12)).max())
print("walk", [spread[a, b] for a, b in ((0, 3), (40, 41), (89, 0))])
potential = operator.diff_potential
distances = squareform(pdist(potential))
print("potential", [distances[a, b] for a, b in ((0, 3), (40, 43), (89, 0), (88, 89))], distances.sum())
values = np.abs(np.linalg.eigvals(kernel / kernel.sum(1, keepdims=True)))
entropy = []
for t in range(1, 101):
    p = values**t / (values**t).sum()
    p = p[p > 0]
    entropy.append(-(p * np.log(p)).sum())
print("entropy", entropy[0], entropy[9], entropy[99])


def left(a, b):
    t = np.arange(a, b + 1)
    return np.abs(np.polyval(np.polyfit(t, entropy[a:b + 1], 1), t) - entropy[a:b + 1]).sum()


print("knee", 1 + min(range(1, 99), key=lambda k: left(0, k) + left(k, 99)))


def stress(y):
    d = pdist(y)
    target = pdist(potential)
    return np.sqrt(((d * (d @ target) / (d @ d) - target)**2).sum() / (target**2).sum())


print("stress of the reference", stress(y))
print("stress of scikit-learn", stress(smacof(distances, n_components=2, init=y, n_init=1, max_iter=3000, eps=1e-9,
                                              metric=True, normalized_stress=False)[0]))
print("stress of 32 random starts", min(stress(smacof(distances, n_components=2, n_init=1, max_iter=3000, eps=1e-9,
                                                     random_state=s, normalized_stress=False)[0]) for s in range(32)))
print("map", y[0], y[40], y[89], "distances in it", [np.linalg.norm(y[a] - y[b]) for a, b in ((0, 89), (10, 50), (87, 88))])

# Discriminants of the arms, whose points the test has as floats.
scalings = LinearDiscriminantAnalysis().fit(x.astype(np.float32).astype(float), np.arange(90) % 3).scalings_.T
print("discriminants", [list(w / np.linalg.norm(w) * np.sign(w[np.abs(w).argmax()])) for w in scalings])
