"""The normal distribution of a score, and how far out in its tail a new one lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

MAX_DECADES = 12.0
"""Where tail probabilities are cut off: nobody has measured a rarer one."""


_MAD_OF_GAUSSIAN = 0.6744897501960817
"""Median absolute deviation of a Gaussian over its standard deviation."""


@dataclass(frozen=True)
class Distribution:
    """A Gaussian known from few, dependent values.

    Attributes
    ----------
    mean, deviation
        Of the Gaussian.
    independent
        How many independent values they are worth, at least 2: windows that overlap count once.
    """

    mean: float
    deviation: float
    independent: float

    @classmethod
    def of(cls, values: ArrayLike, *, independent: float) -> Distribution:
        """Describe values, shape (n,), by median and median absolute deviation.

        Somebody draws water while a site is learned; that must not widen what passes for normal.
        """
        values = np.asarray(values, dtype=np.float64)
        median = float(np.median(values))
        deviation = float(np.median(np.abs(values - median))) / _MAD_OF_GAUSSIAN
        return cls(median, deviation + 1e-6, max(2.0, float(independent)))

    def standardised(self, value: float) -> float:
        """How many deviations the value lies above the mean."""
        return (value - self.mean) / self.deviation

    def decades(self, value: float) -> float:
        """Minus log10 of the probability that a normal value is this high or higher, 0 to :data:`MAX_DECADES`.

        The predictive distribution of the next value of a Gaussian whose mean and variance were estimated from n values
        is Student's t with n - 1 degrees of freedom, scaled by ``s * sqrt(1 + 1/n)`` (A. Gelman et al., "Bayesian Data
        Analysis", 3rd ed., 2013, section 3.2): a short calibration makes every score less certain.
        """
        n = self.independent
        t = self.standardised(value) / np.sqrt(1.0 + 1.0 / n)
        probability = max(float(stdtr(n - 1.0, -t)), 10.0**-MAX_DECADES)
        return float(-np.log10(probability))
