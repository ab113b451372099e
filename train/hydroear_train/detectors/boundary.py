"""Detectors that enclose what is normal."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hydroear_train.detectors.detector import Array, StandardisedDetector

_OUTSIDE = 0.05
_TREES = 200


class OneClassSvm(StandardisedDetector):
    """How far outside the boundary that encloses 95 % of the normal vectors.

    B. Schölkopf et al., "Estimating the support of a high-dimensional distribution", Neural Computation 13, 2001; with
    a Gaussian kernel as wide as the vectors spread.
    """

    def _learn(self, normal: Array) -> None:
        from sklearn.svm import OneClassSVM

        self._machine: Any = OneClassSVM(nu=_OUTSIDE, gamma="scale").fit(normal)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        inside: NDArray[Any] = self._machine.decision_function(vectors)
        return -inside


class IsolationForest(StandardisedDetector):
    """How few random cuts set a vector apart: 0 to 1.

    F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation forest", Proc. IEEE ICDM, 2008.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def _learn(self, normal: Array) -> None:
        from sklearn.ensemble import IsolationForest as Forest

        self._forest: Any = Forest(n_estimators=_TREES, random_state=self._seed).fit(normal)

    def _judge(self, vectors: Array) -> NDArray[Any]:
        depth: NDArray[Any] = self._forest.score_samples(vectors)
        return -depth
