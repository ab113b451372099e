"""Thresholds and tail probabilities from normal scores alone.

Every method takes the scores for independent draws. Windows that overlap, and windows of one recording, are worth fewer
than they are many: rates hold for recordings like those that the scores come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydroear.errors import HydroearError, UsageError

Array = NDArray[np.float64]

_TAIL_FRACTION = 0.1
_LEAST_EXCESSES = 10
_LEAST_SCORES = 2 * _LEAST_EXCESSES
_EXPONENTIAL_SHAPE = 1e-9
"""A shape nearer to 0 is taken for 0."""


class Method(StrEnum):
    """How the tail of the normal scores is described.

    - ``quantile``: the scores themselves, interpolated;
    - ``gamma``: a gamma distribution fitted to all of them; for scores that are positive;
    - ``pot``: peaks over a threshold, a generalised Pareto distribution fitted to the highest tenth: goes beyond the
      highest score;
    - ``conformal``: the order statistic that holds the rate for every distribution.
    """

    QUANTILE = "quantile"
    GAMMA = "gamma"
    POT = "pot"
    CONFORMAL = "conformal"


def threshold(scores: Array, *, rate: float, method: Method) -> float:
    """The score that a normal window exceeds at the wanted rate.

    Parameters
    ----------
    scores
        Scores of normal windows that the detector did not learn from, shape (n,).
    rate
        Wanted false-positive rate of a window, over 0 and under 1.
    method
        How the tail is described.

    Returns
    -------
    float
        The threshold: a window with a score over it is abnormal.

    Raises
    ------
    UsageError
        If the rate is out of range.
    HydroearError
        If there are too few scores for the rate or the method, they are all the same, one is not finite, or one is not
        positive where a gamma distribution is asked for.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"a false-positive rate of {rate:g}", where=method, expected="over 0 and under 1")
    return _tail(scores, method).threshold(rate)


def tail_probability(scores: Array, value: ArrayLike, *, method: Method) -> Array:
    """How probable it is that a normal window scores as high or higher.

    Parameters
    ----------
    scores
        Scores of normal windows that the detector did not learn from, shape (n,).
    value
        Scores to judge, any shape.
    method
        How the tail is described.

    Returns
    -------
    ndarray
        float64, shape of `value`, 0 to 1. Only ``gamma`` and ``pot`` tell scores beyond the highest normal one apart.

    Raises
    ------
    HydroearError
        As for :func:`threshold`, or if a score to judge is not a number.
    """
    values = np.asarray(value, dtype=np.float64)
    if np.isnan(values).any():
        raise HydroearError("a score is not a number", where=method, fix="leave this window out")
    return _tail(scores, method).probability(values)


class _Tail(Protocol):
    def threshold(self, rate: float) -> float: ...

    def probability(self, value: Array) -> Array: ...


@dataclass(frozen=True, eq=False)
class _Quantile:
    """Sorted scores at median-unbiased plotting positions.

    R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996, type 8.
    """

    scores: Array

    @property
    def _positions(self) -> Array:
        count = len(self.scores)
        positions: Array = (np.arange(1, count + 1) - 1.0 / 3.0) / (count + 1.0 / 3.0)
        return positions

    def threshold(self, rate: float) -> float:
        lowest = 1.0 - self._positions[-1]
        if rate < lowest:
            raise _too_few(len(self.scores), rate, int(np.ceil((2.0 / rate - 1.0) / 3.0)))
        return float(np.interp(1.0 - rate, self._positions, self.scores))

    def probability(self, value: Array) -> Array:
        below: Array = np.interp(value, self.scores, self._positions, left=0.0)
        return 1.0 - below


@dataclass(frozen=True, eq=False)
class _Gamma:
    """Shape and scale of greatest likelihood."""

    shape: float
    scale: float

    @classmethod
    def of(cls, scores: Array) -> _Gamma:
        from scipy.stats import gamma

        if scores[0] <= 0.0:
            raise HydroearError(
                f"a normal score is {scores[0]:g}",
                where=Method.GAMMA,
                expected="positive scores",
                fix=f"choose {Method.POT} or {Method.CONFORMAL}",
            )
        shape, _, scale = gamma.fit(scores, floc=0.0)
        return cls(float(shape), float(scale))

    def threshold(self, rate: float) -> float:
        from scipy.special import gammainccinv

        return float(self.scale * gammainccinv(self.shape, rate))

    def probability(self, value: Array) -> Array:
        from scipy.special import gammaincc

        probability: Array = gammaincc(self.shape, np.maximum(value, 0.0) / self.scale)
        return probability


@dataclass(frozen=True, eq=False)
class _PeaksOverThreshold:
    """A generalised Pareto distribution beyond the 90 % quantile, the quantiles below it.

    S. Coles, "An Introduction to Statistical Modeling of Extreme Values", Springer, 2001, chapter 4. Shape and scale by
    probability-weighted moments, which are the better estimate for up to some hundreds of excesses (J. R. M. Hosking
    and J. R. Wallis, "Parameter and quantile estimation for the generalized Pareto distribution", Technometrics 29,
    1987).
    """

    body: _Quantile
    fraction: float
    start: float
    shape: float
    scale: float

    @classmethod
    def of(cls, scores: Array) -> _PeaksOverThreshold:
        if len(scores) < _LEAST_SCORES:
            raise HydroearError(
                f"{len(scores)} normal scores are too few",
                where=Method.POT,
                expected=f"at least {_LEAST_SCORES}",
                fix="add recordings",
            )
        body = _Quantile(scores)
        fraction = max(_TAIL_FRACTION, _LEAST_EXCESSES / len(scores))
        start = body.threshold(fraction)
        excesses = scores[scores > start] - start
        if not len(excesses):
            raise HydroearError(
                f"the highest {100 * fraction:.0f} % of the normal scores are all {start:g}",
                where=Method.POT,
                expected="scores that differ",
                fix=f"choose {Method.CONFORMAL}",
            )
        mean = float(excesses.mean())
        weights = 1.0 - (np.arange(1, len(excesses) + 1) - 0.35) / len(excesses)
        weighted = float(np.mean(weights * excesses))
        shape = 2.0 - mean / (mean - 2.0 * weighted)
        return cls(body, fraction, start, shape, 2.0 * mean * weighted / (mean - 2.0 * weighted))

    def threshold(self, rate: float) -> float:
        if rate >= self.fraction:
            return self.body.threshold(rate)
        if abs(self.shape) < _EXPONENTIAL_SHAPE:
            return float(self.start + self.scale * np.log(self.fraction / rate))
        return float(self.start + self.scale / self.shape * ((self.fraction / rate) ** self.shape - 1.0))

    def probability(self, value: Array) -> Array:
        excess = np.maximum(value - self.start, 0.0) / self.scale
        if abs(self.shape) < _EXPONENTIAL_SHAPE:
            beyond = np.exp(-excess)
        else:
            # Where the shape is negative the distribution ends: nothing lies beyond.
            beyond = np.maximum(1.0 + self.shape * excess, 0.0) ** (-1.0 / self.shape)
        probability: Array = np.where(value < self.start, self.body.probability(value), self.fraction * beyond)
        return probability


@dataclass(frozen=True, eq=False)
class _Conformal:
    """Ranks among the normal scores.

    If a normal window and those that the scores come from are exchangeable, it exceeds the threshold with at most the
    wanted probability, and its tail probability is under p with probability p at most, whatever the distribution
    (V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", Springer, 2005; J. Lei et al.,
    "Distribution-free predictive inference for regression", J. American Statistical Association 113, 2018).
    """

    scores: Array

    def threshold(self, rate: float) -> float:
        count = len(self.scores)
        # Rounding must not cost a rank where (n + 1) * rate is a whole number.
        exceeded = int(np.floor((count + 1) * rate * (1.0 + 1e-12)))
        if exceeded < 1:
            raise _too_few(count, rate, int(np.ceil(1.0 / rate)) - 1)
        return float(self.scores[count - exceeded])

    def probability(self, value: Array) -> Array:
        count = len(self.scores)
        below = np.searchsorted(self.scores, value, side="left")
        probability: Array = (1.0 + count - below) / (count + 1.0)
        return probability


_TAILS: dict[Method, Callable[[Array], _Tail]] = {
    Method.QUANTILE: _Quantile,
    Method.GAMMA: _Gamma.of,
    Method.POT: _PeaksOverThreshold.of,
    Method.CONFORMAL: _Conformal,
}


def _tail(scores: Array, method: Method) -> _Tail:
    scores = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if len(scores) < 2 or not np.isfinite(scores).all():
        raise HydroearError(
            f"{len(scores)} normal scores, {np.count_nonzero(~np.isfinite(scores))} of them not finite",
            where=method,
            expected="at least 2 finite scores",
        )
    if scores[0] == scores[-1]:
        raise HydroearError(f"all normal scores are {scores[0]:g}", where=method, expected="scores that differ")
    return _TAILS[method](scores)


def _too_few(count: int, rate: float, needed: int) -> HydroearError:
    return HydroearError(
        f"{count} normal scores say nothing of a rate of {rate:g}",
        where="threshold",
        expected=f"at least {needed}",
        fix=f"add recordings, accept a higher rate, or choose {Method.POT}",
    )
