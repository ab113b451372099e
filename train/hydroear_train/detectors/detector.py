"""What every back-end is, and what most of them begin with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import HydroearError, UsageError

Array = NDArray[np.float32]
Scores = NDArray[np.float64]

_SMALLEST_SCALE = 1e-2


class Detector(Protocol):
    """Learns what is normal and says how far a vector is from it."""

    def fit(self, normal: Array, groups: Sequence[str] | None = None) -> Self:
        """Learn from normal vectors.

        Parameters
        ----------
        normal
            float32, shape (n, d), n at least 2.
        groups
            The recording that each comes from, for detectors that hold some of them out.

        Raises
        ------
        HydroearError
            If there are too few vectors, one is not finite, or all are the same.
        """
        ...

    def score(self, vectors: Array) -> Scores:
        """Judge vectors.

        Parameters
        ----------
        vectors
            float32, shape (n, d).

        Returns
        -------
        ndarray
            float64, shape (n,): higher is more anomalous.

        Raises
        ------
        HydroearError
            If a vector is not finite.
        UsageError
            If they have another length than the normal ones.
        """
        ...


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Brings every column to mean 0 and standard deviation 1.

    Attributes
    ----------
    mean, scale
        float64, shape (d,).
    """

    mean: Scores
    scale: Scores

    @classmethod
    def of(cls, normal: Array) -> Standardiser:
        """Learn from vectors, shape (n, d).

        Columns that hardly vary are divided by a hundredth of the typical deviation: rounding errors there must not
        count as much as what varies elsewhere.
        """
        deviation = normal.std(axis=0, dtype=np.float64)
        typical = float(np.median(deviation[deviation > 0.0]))
        return cls(normal.mean(axis=0, dtype=np.float64), np.maximum(deviation, _SMALLEST_SCALE * typical))

    def __call__(self, vectors: Array) -> Array:
        """Standardise vectors, shape (n, d)."""
        standard: Array = ((vectors - self.mean) / self.scale).astype(np.float32)
        return standard


class StandardisedDetector(ABC):
    """A :class:`Detector` on standardised vectors."""

    def fit(self, normal: Array, groups: Sequence[str] | None = None) -> Self:
        """See :meth:`Detector.fit`."""
        check_normal(normal, groups)
        self._standardise = Standardiser.of(normal)
        self._learn(self._standardise(normal))
        return self

    def score(self, vectors: Array) -> Scores:
        """See :meth:`Detector.score`."""
        columns = len(self._standardise.mean)
        if vectors.ndim != 2 or vectors.shape[1] != columns:
            raise UsageError(f"vectors of shape {vectors.shape}", where="detector", expected=f"(n, {columns})")
        check_finite(vectors)
        if not len(vectors):
            return np.zeros(0)
        return np.asarray(self._judge(self._standardise(vectors)), dtype=np.float64)

    @abstractmethod
    def _learn(self, normal: Array) -> None:
        """Learn from standardised vectors, shape (n, d)."""

    @abstractmethod
    def _judge(self, vectors: Array) -> NDArray[Any]:
        """Score standardised vectors, shape (n, d), at least one of them."""


def check_normal(normal: Array, groups: Sequence[str] | None) -> None:
    """Raise the errors of :meth:`Detector.fit`."""
    if normal.ndim != 2 or (groups is not None and len(groups) != len(normal)):
        named = "" if groups is None else f" of {len(groups)} recordings"
        raise UsageError(
            f"vectors of shape {normal.shape}{named}", where="detector", expected="(n, d), one name for each"
        )
    if len(normal) < 2:
        raise HydroearError(
            f"{len(normal)} normal vectors are too few", where="detector", expected="at least 2", fix="add recordings"
        )
    check_finite(normal)
    if not np.ptp(normal, axis=0).any():
        raise HydroearError(
            f"all {len(normal)} normal vectors are the same",
            where="detector",
            expected="vectors that differ",
            fix="look at the audio: is it silent?",
        )


def check_finite(vectors: Array) -> None:
    """Raise the error of :meth:`Detector.score` for values that are not finite."""
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise HydroearError(
            f"vector {wrong[0]} holds a value that is not finite ({len(wrong)} of {len(vectors)} do)",
            where="detector",
            fix="leave these windows out",
        )
