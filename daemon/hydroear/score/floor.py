"""The noise floor of a site: what each band does not fall below, however much goes on above it.

What is there all the time is what a leak is. Taps, lorries and footsteps come and go: the level that a band of the
spectrum falls to between them, over ten minutes, repeats to tenths of a decibel, where single windows scatter by
several. Leak noise loggers keep one such level a night; here it is kept for every band.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import Window
from hydroear.score.distribution import Distribution

MINUTE_S = 60.0
"""What a floor is measured over first. A choice."""

STRETCH_MINUTES = 10
"""Minutes that make a stretch, of which a site is learned. A choice: the usual horizon of a decision."""

LOW_PERCENTILE = 20.0
"""Percentile of a minute's windows, and of a stretch's minutes, that is taken for the floor. A choice."""

MIN_MINUTES = 5
"""A percentile of fewer minutes than this is no floor."""

MIN_STRETCHES = 18
"""From fewer stretches than this, three hours, no floor is learned. A choice: how a floor changes takes time to see."""

SMALLEST_DB = 0.2
"""Standard deviation that every band has on its own, at least. A choice: how well a floor can be measured."""

GAIN_DB = 1.5
"""Standard deviation of what raises all bands alike, at least. A choice: the flow, or a sensor pressed on harder."""

EXPECTED_RISE_DEVIATION = 1.5
"""What the rise of a healthy site is expected to scatter by. A choice."""

_KEPT = 0.75
_TRIMMING_STEPS = 5
_FOLDS = 6
_SWEEPS = 60
_SETTLED_DB = 1e-3


class FloorMeter:
    """Measures the floor of each minute of windows.

    Parameters
    ----------
    hop_s
        Seconds from one window to the next.
    """

    def __init__(self, hop_s: float) -> None:
        self._enough = 0.5 * MINUTE_S / hop_s
        self._minute = 0
        self._bands_db: list[NDArray[np.float32]] = []

    def hear(self, window: Window) -> NDArray[np.float32] | None:
        """Take the next window.

        Returns
        -------
        ndarray or None
            float32, shape (n_mels,): the floor of the minute that is over with this window, in dB; None where none is,
            or where less than half of it was heard.
        """
        minute, floor_db = int(window.end_s / MINUTE_S), None
        if minute != self._minute:
            if len(self._bands_db) >= self._enough:
                floor_db = np.percentile(self._bands_db, LOW_PERCENTILE, axis=0).astype(np.float32)
            self._minute, self._bands_db = minute, []
        self._bands_db.append(window.band_db + np.float32(window.removed_db))
        return floor_db


def stretch_floor(minutes_db: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Floor of a stretch from those of its minutes, shape (n_mels,), in dB."""
    floor_db: NDArray[np.float32] = np.percentile(minutes_db, LOW_PERCENTILE, axis=0).astype(np.float32)
    return floor_db


class StretchMeter:
    """Measures the floor of each stretch of windows, of which a site is learned.

    Parameters
    ----------
    hop_s
        Seconds from one window to the next.
    """

    def __init__(self, hop_s: float) -> None:
        self._meter = FloorMeter(hop_s)
        self._minutes_db: list[NDArray[np.float32]] = []

    def hear(self, window: Window) -> NDArray[np.float32] | None:
        """Take the next window; give the floor of the stretch that is over with it, shape (n_mels,), in dB, or None."""
        minute_db = self._meter.hear(window)
        if minute_db is not None:
            self._minutes_db.append(minute_db)
        if len(self._minutes_db) < STRETCH_MINUTES:
            return None
        minutes_db, self._minutes_db = self._minutes_db, []
        return stretch_floor(minutes_db)


@dataclass(frozen=True, eq=False)
class SiteFloor:
    """The floor of a site that is well, and how it changes.

    Attributes
    ----------
    mean_db
        float64, shape (n_mels,).
    precision
        float64, shape (n_mels, n_mels): inverse covariance of the floors of stretches, 1/dB².
    rises
        Distribution of :meth:`rise` over stretches that it was not learned from.
    """

    mean_db: NDArray[np.float64]
    precision: NDArray[np.float64]
    rises: Distribution

    @classmethod
    def learn(cls, floors_db: NDArray[np.float32]) -> SiteFloor | None:
        """Learn from the floors of stretches, shape (n, n_mels), in order; None from too few.

        How far floors rise is seen at stretches that are held out, a run of them at a time: what was learned from a
        floor cannot tell how surprising it is.
        """
        if len(floors_db) < MIN_STRETCHES:
            return None
        floors = floors_db.astype(np.float64)
        rises: list[float] = []
        for held_out in np.array_split(np.arange(len(floors)), _FOLDS):
            mean_db, precision = _fit(np.delete(floors, held_out, axis=0))
            rises += [_rise(floor - mean_db, precision) for floor in floors[held_out]]
        distribution = Distribution.of(rises, conditions=len(floors), expected_deviation=EXPECTED_RISE_DEVIATION)
        return cls(*_fit(floors), distribution)

    def rise(self, floor_db: NDArray[np.floating[Any]]) -> float:
        """How far a floor, shape (n_mels,), has risen over what is normal here, in deviations of the site; at least 0.

        The square root of the one-sided likelihood ratio for a Gaussian: bands that were raised by any amount, against
        none (A. Kudo, "A multivariate analogue of the one-sided test", Biometrika 50, 1963, pp. 403-418). A leak adds
        to a pipe's noise; what falls is none.
        """
        return _rise(floor_db - self.mean_db, self.precision)

    def decades(self, floor_db: NDArray[np.floating[Any]]) -> float:
        """Minus log10 of how often the floor of a site that is well rises so far, 0 to 12."""
        return self.rises.decades(self.rise(floor_db))


def _fit(floors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and precision; the farthest quarter is left out, again and again, as by the site head."""
    size = floors.shape[1]
    least = SMALLEST_DB**2 * np.eye(size) + GAIN_DB**2 * np.ones((size, size))
    kept = np.ones(len(floors), bool)
    for _ in range(_TRIMMING_STEPS):
        mean = floors[kept].mean(axis=0)
        deviations = floors - mean
        scatter = deviations[kept].T @ deviations[kept] / kept.sum()
        precision: NDArray[np.float64] = np.linalg.inv(scatter + least)
        distances = np.einsum("ij,jk,ik->i", deviations, precision, deviations)
        kept = distances <= np.quantile(distances, _KEPT)
    return mean, precision


def _rise(deviation_db: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """The best rise of the bands, by coordinate descent, and what it explains.

    A band has risen by no more than it lies over its mean; where most bands lie below theirs, over the middle one. Or
    else bands that have fallen would be taken for all others having risen in a site that has become quieter.
    """
    gradient = precision @ deviation_db
    whole = float(deviation_db @ gradient)
    most = np.maximum(deviation_db - min(0.0, float(np.median(deviation_db))), 0.0)
    rise = np.zeros(len(deviation_db))
    curvature = np.diag(precision)
    for _ in range(_SWEEPS):
        largest = 0.0
        for band in np.flatnonzero(most):
            step = min(max(rise[band] + gradient[band] / curvature[band], 0.0), most[band]) - rise[band]
            rise[band] += step
            gradient -= step * precision[:, band]
            largest = max(largest, abs(step))
        if largest < _SETTLED_DB:
            break
    left = deviation_db - rise
    unexplained = float(left @ precision @ left)
    return float(np.sqrt(max(0.0, whole - unexplained)))


class FloorWatch:
    """The floor of the last horizon, against the site's.

    Parameters
    ----------
    rarity
        From a floor to how rare it is on the site when it is well, in decades.
    horizon_s
        How far it looks back.
    hop_s
        Seconds from one window to the next.

    Attributes
    ----------
    decades
        How rare the floor of the last horizon is on a site that is well; None before half of one was heard.
    """

    def __init__(self, rarity: Callable[[NDArray[np.float32]], float], *, horizon_s: float, hop_s: float) -> None:
        self._rarity, self._horizon_s = rarity, horizon_s
        self._enough = max(MIN_MINUTES, 0.5 * horizon_s / MINUTE_S)
        self._meter = FloorMeter(hop_s)
        self._minutes: deque[tuple[float, NDArray[np.float32]]] = deque()
        self.decades: float | None = None

    def hear(self, window: Window) -> NDArray[np.float32] | None:
        """Take the next window.

        Returns
        -------
        ndarray or None
            The floor of the last horizon where a minute of it is over with this window, shape (n_mels,), in dB.
        """
        minute_db = self._meter.hear(window)
        if minute_db is None:
            return None
        self._minutes.append((window.end_s, minute_db))
        while self._minutes[0][0] <= window.end_s - self._horizon_s:
            self._minutes.popleft()
        if len(self._minutes) < self._enough:
            self.decades = None
            return None
        floor_db = stretch_floor([minute for _, minute in self._minutes])
        self.decades = self._rarity(floor_db)
        return floor_db
