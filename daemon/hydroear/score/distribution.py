"""The normal distribution of a score, and how far out in its tail a new one lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

MAX_DECADES = 12.0
"""Where tail probabilities are cut off: nobody has measured a rarer one."""

PRIOR_CONDITIONS = 30.0
"""How many operating conditions the expected deviation counts as. A choice: half an hour of audio outweighs it."""

_MAD_OF_GAUSSIAN = 0.6744897501960817
"""Median absolute deviation of a Gaussian over its standard deviation."""


@dataclass(frozen=True)
class Distribution:
    """A Gaussian known from values under a few operating conditions.

    Attributes
    ----------
    mean, deviation
        Of the Gaussian.
    conditions
        How many operating conditions the mean was learned under, at least 1.
    freedom
        Degrees of freedom of the deviation.
    """

    mean: float
    deviation: float
    conditions: float
    freedom: float

    @classmethod
    def of(cls, values: ArrayLike, *, conditions: float, expected_deviation: float) -> Distribution:
        """Describe values, shape (n,), by median and median absolute deviation.

        Somebody draws water while a site is learned; that must not widen what passes for normal. Windows of one hour
        are alike, however many: what scatters is the pipe's operating condition. Few conditions hardly tell a
        deviation, so it is pooled with the expected one, which counts as :data:`PRIOR_CONDITIONS` (a scaled
        inverse-chi-square prior; A. Gelman et al., "Bayesian Data Analysis", 3rd ed., 2013, section 3.3).
        """
        values = np.asarray(values, dtype=np.float64)
        conditions = max(1.0, float(conditions))
        median = float(np.median(values))
        deviation = float(np.median(np.abs(values - median))) / _MAD_OF_GAUSSIAN
        freedom = PRIOR_CONDITIONS + conditions
        pooled = (PRIOR_CONDITIONS * expected_deviation**2 + conditions * deviation**2) / freedom
        return cls(median, float(np.sqrt(pooled)), conditions, freedom)

    def standardised(self, value: float) -> float:
        """How many deviations the value lies above the mean."""
        return (value - self.mean) / self.deviation

    def decades(self, value: float) -> float:
        """Minus log10 of the probability that a normal value is this high or higher, 0 to :data:`MAX_DECADES`.

        The predictive distribution of the next value of a Gaussian whose mean and variance were estimated is Student's
        t, scaled by ``s * sqrt(1 + 1/n)`` (A. Gelman et al., section 3.2): a short calibration makes every score less
        certain.
        """
        t = self.standardised(value) / math.sqrt(1.0 + 1.0 / self.conditions)
        return -math.log10(max(_students_tail(t, self.freedom), 10.0**-MAX_DECADES))


def _students_tail(t: float, freedom: float) -> float:
    """Probability that Student's t is `t` or more.

    From the normal deviate of the same probability, by G. W. Hill, "Algorithm 395: Student's t-distribution", Comm. ACM
    13(10), 1970. Down to a probability of 1e-12 the decades are right to 1e-7 for more degrees of freedom than
    :data:`PRIOR_CONDITIONS`, as every distribution here has. SciPy's is right to the last digit, and takes 20 MB.
    """
    a = freedom - 0.5
    b = 48.0 * a**2
    y = a * math.log1p(t**2 / freedom)
    correction = ((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y**2 + 100.0 + b) + y + 3.0) / b
    deviate = math.copysign((correction + 1.0) * math.sqrt(y), t)
    return 0.5 * math.erfc(deviate / math.sqrt(2.0))
