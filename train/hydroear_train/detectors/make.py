"""Detectors by name."""

from __future__ import annotations

from hydroear_train.detectors.detector import Detector

DETECTORS = ("ae", "vae", "mahalanobis", "knn", "knn-local", "gmm", "ocsvm", "iforest", "lof", "pca", "fusion")


def make_detector(name: str, *, seed: int) -> Detector:
    """A detector that has learned nothing yet."""
    raise NotImplementedError
