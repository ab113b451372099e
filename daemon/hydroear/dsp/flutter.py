"""How much the bands of a sound vary from frame to frame, against noise that is steady."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp.mel import mel_bank
from hydroear.dsp.spec import FrontEndSpec
from hydroear.dsp.window import Window

_DB_PER_NEPER = 10.0 / np.log(10.0)
_NEIGHBOUR, _NEXT_BUT_ONE = 4.0 / 9.0, 1.0 / 36.0
"""Correlation of the power of two bins of white noise under a Hann window: the squares of 2/3 and 1/6."""

_RECURRENCES = 16


def steady_deviation_db(spec: FrontEndSpec) -> NDArray[np.float32]:
    """Standard deviation of each band's level over frames of steady Gaussian noise, shape (n_mels,), in dB.

    The energy of a band is a weighted sum of the powers of its bins, which are exponentially distributed; it has a
    chi-square distribution of as many degrees of freedom as match its mean and variance (B. L. Welch, "The
    significance of the difference between two means when the population variances are unequal", Biometrika 29, 1938,
    pp. 350-362), and the logarithm of one of n degrees has the variance trigamma(n / 2).
    """
    weights = _weights(spec)
    freedom = 2.0 * np.square(weights.sum(axis=1)) / np.diag(_covariance(weights))
    return np.asarray(_DB_PER_NEPER * np.sqrt(_trigamma(0.5 * freedom)), np.float32)


def steady_correlation(spec: FrontEndSpec) -> NDArray[np.float32]:
    """Correlation of the energies of bands in frames of steady white noise, shape (n_mels, n_mels).

    Neighbours share bins, and those of the window's main lobe; all others know nothing of each other.
    """
    covariance = _covariance(_weights(spec))
    deviation = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(deviation, deviation), np.float32)


def _weights(spec: FrontEndSpec) -> NDArray[np.float64]:
    return mel_bank(
        rate_hz=spec.rate_hz, n_fft=spec.n_fft, n_mels=spec.n_mels, low_hz=spec.low_hz, high_hz=spec.high_hz
    ).astype(np.float64)


def _covariance(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the energies of bands, for bins of mean power 1."""
    blurred = weights.copy()
    for lag, correlation in ((1, _NEIGHBOUR), (2, _NEXT_BUT_ONE)):
        blurred[:, lag:] += correlation * weights[:, :-lag]
        blurred[:, :-lag] += correlation * weights[:, lag:]
    return np.asarray(weights @ blurred.T)


def _trigamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Second derivative of the logarithm of the gamma function, for x > 0, right to 1e-10.

    Recurrence and asymptotic series: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 1964, 6.4.6
    and 6.4.12. SciPy has it, and takes a fifth of a unit's memory.
    """
    total = np.zeros_like(x)
    for _ in range(_RECURRENCES):
        total += 1.0 / x**2
        x = x + 1.0
    return np.asarray(
        total + 1.0 / x + 1.0 / (2.0 * x**2) + 1.0 / (6.0 * x**3) - 1.0 / (30.0 * x**5) + 1.0 / (42.0 * x**7)
    )


class Fluctuation(NamedTuple):
    """How what has been added to a normal sound varies from frame to frame.

    Attributes
    ----------
    flutter
        Deviation of its bands, as a multiple of that of steady noise. A line of a pump or of hum gives less than 1, a
        jet of water about 1, drops and bursts mostly more.
    unison
        Deviation of the mean of its bands, as a multiple of what bands make that vary as these do, but each for itself.
        Steady noise gives 1, however narrow its resonances; drops and bursts raise all bands at once and give more.
    """

    flutter: float
    unison: float


class Flutter:
    """Measures what has been added to a normal sound.

    Parameters
    ----------
    spec
        The front end.
    normal_db
        float32, shape (n_mels,): normal mean of each band of the features.
    """

    def __init__(self, spec: FrontEndSpec, normal_db: NDArray[np.float32]) -> None:
        self._steady_db, self._normal_db = steady_deviation_db(spec), normal_db
        self._correlation = steady_correlation(spec)

    def __call__(self, window: Window) -> Fluctuation | None:
        """Of a window; None if no band of it rises, or nothing in it varies.

        Bands count by how far they rise over normal, compared with the median of all: what is asked for is the sound
        that is new.
        """
        rise_db = window.band_db - self._normal_db
        weights = np.maximum(rise_db - np.median(rise_db), 0.0)
        total = float(weights.sum())
        deviation_db = window.features.std(axis=0)
        spread_db = weights * deviation_db
        alone = float(spread_db @ self._correlation @ spread_db)
        if total == 0.0 or alone == 0.0:
            return None
        return Fluctuation(
            flutter=float(weights @ (deviation_db / self._steady_db)) / total,
            unison=float((window.features @ weights).std() / np.sqrt(alone)),
        )
