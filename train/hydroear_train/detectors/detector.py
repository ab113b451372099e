"""What every back-end is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Scores = NDArray[np.float64]


class Detector(Protocol):
    """Learns what is normal and says how far a vector is from it."""

    def fit(self, normal: Array, groups: Sequence[str] | None = None) -> Self:
        """Learn from normal vectors, shape (n, d); `groups` names the recording of each."""
        ...

    def score(self, vectors: Array) -> Scores:
        """Anomaly score of vectors, shape (n, d): float64, shape (n,), higher is more anomalous."""
        ...
