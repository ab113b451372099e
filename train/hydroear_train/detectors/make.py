"""Detectors by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hydroear.errors import UsageError
from hydroear_train.detectors.boundary import IsolationForest, OneClassSvm
from hydroear_train.detectors.detector import Detector
from hydroear_train.detectors.fusion import Fusion
from hydroear_train.detectors.gaussian import Mahalanobis, Mixture, PrincipalResidual
from hydroear_train.detectors.neighbours import LocalOutlierFactor, NearestNeighbour
from hydroear_train.detectors.networks import DenseAutoencoder, VariationalAutoencoder

_FUSED = ("mahalanobis", "knn", "pca")
"""One of each kind: ellipsoid, distance, subspace."""


def make_detector(name: str, *, seed: int) -> Detector:
    """A detector that has learned nothing yet.

    Parameters
    ----------
    name
        One of :data:`DETECTORS`.
    seed
        The same one gives the same scores on the same machine.

    Raises
    ------
    UsageError
        If there is no such detector.
    """
    if name not in _MAKERS:
        raise UsageError(f"{name!r} is no detector", expected=f"one of: {', '.join(DETECTORS)}")
    return _MAKERS[name](seed)


_MAKERS: dict[str, Callable[[int], Detector]] = {
    "ae": DenseAutoencoder,
    "vae": VariationalAutoencoder,
    "mahalanobis": lambda _: Mahalanobis(),
    "knn": partial(NearestNeighbour, local=False),
    "knn-local": partial(NearestNeighbour, local=True),
    "gmm": Mixture,
    "ocsvm": lambda _: OneClassSvm(),
    "iforest": IsolationForest,
    "lof": lambda _: LocalOutlierFactor(),
    "pca": lambda _: PrincipalResidual(),
    "fusion": lambda seed: Fusion([partial(make_detector, name, seed=seed) for name in _FUSED]),
}

DETECTORS: tuple[str, ...] = tuple(_MAKERS)
"""Names of the detectors."""
