"""Detectors that compare a vector with the nearest normal ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear_train.detectors.detector import Array, StandardisedDetector

_BANK = 256
_LOCAL = 16
_LOF = 20


class NearestNeighbour(StandardisedDetector):
    """Distance to the nearest vector of a bank.

    The bank is the normal vectors, or the centres of 256 clusters of them (k-means) where they are more.

    Parameters
    ----------
    local
        Whether a distance is divided by how far apart the bank's vectors lie around the one it leads to (mean distance
        to the sixteen nearest), and the smallest of these ratios taken. Conditions that were recorded often lie
        densely, rare ones sparsely; the ratio means the same for both (K. Wilkinghoff et al., "Keeping the balance:
        anomaly score calculation for domain generalization", Proc. IEEE ICASSP, 2025, and "Local density-based anomaly
        score normalization for domain generalization", IEEE Trans. Audio, Speech, Language Process., 2025).
    """

    def __init__(self, seed: int, *, local: bool) -> None:
        self._seed, self._local = seed, local

    def _learn(self, normal: Array) -> None:
        from sklearn.cluster import KMeans
        from sklearn.metrics import pairwise_distances

        # A row that stands there twice has a neighbour at distance 0.
        self._bank = np.unique(normal, axis=0).astype(np.float64)
        if len(self._bank) > _BANK:
            self._bank = KMeans(_BANK, n_init=1, random_state=self._seed).fit(self._bank).cluster_centers_
        self._scale = np.ones(len(self._bank))
        if self._local:
            distances = np.sort(pairwise_distances(self._bank), axis=1)
            self._scale = distances[:, 1 : _LOCAL + 1].mean(axis=1)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        from sklearn.metrics import pairwise_distances

        distances: NDArray[np.float64] = pairwise_distances(vectors.astype(np.float64), self._bank)
        nearest: NDArray[np.float64] = np.min(distances / self._scale, axis=1)
        return nearest


class LocalOutlierFactor(StandardisedDetector):
    """How much sparser the normal vectors lie around a vector than around its neighbours.

    M. M. Breunig et al., "LOF: identifying density-based local outliers", Proc. ACM SIGMOD, 2000; with 20 neighbours.
    """

    def _learn(self, normal: Array) -> None:
        from sklearn.neighbors import LocalOutlierFactor as Factor

        bank = np.unique(normal, axis=0)
        self._factor: Any = Factor(n_neighbors=min(_LOF, len(bank) - 1), novelty=True).fit(bank)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        factors: NDArray[Any] = self._factor.score_samples(vectors)
        return -factors
