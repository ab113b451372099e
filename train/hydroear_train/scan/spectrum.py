"""The long-term spectrum: mains hum, what lies below the front end's first band, and the level above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Samples
from hydroear.dsp import FrontEndSpec
from hydroear.dsp.stft import Framer, PowerSpectrum

MAINS_HZ = (50, 60)
HARMONICS = 5
"""Harmonics of each; the first that both have would be 300 Hz, the sixth of 50 Hz."""
THIRD_OCTAVES_HZ = 10.0 ** (np.arange(13, 23) / 10.0)
"""Mid-frequencies of the third-octave bands from 20 to 160 Hz (base ten, IEC 61260-1), all below 200 Hz."""
FIRST_BAND_HZ = round(FrontEndSpec().low_hz)
"""Where the default front end begins to hear, 200 Hz."""


class Spectrum:
    """Measures the long-term spectrum of a stream.

    It is the mean of periodograms of one second, Hann windows that overlap by half (P. D. Welch, "The use of
    fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15(2), 1967): its
    bins are 1 Hz wide.

    Parameters
    ----------
    rate_hz
        Sample rate, at least 1000.
    """

    def __init__(self, rate_hz: int) -> None:
        self._framer = Framer(rate_hz, rate_hz // 2)
        self._periodogram = PowerSpectrum(rate_hz)
        self._power = np.zeros(rate_hz // 2 + 1)
        self._frames = 0

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n,)."""
        frames = self._framer.push(samples)
        self._power += self._periodogram(frames).sum(axis=0, dtype=np.float64)
        self._frames += len(frames)

    def hum_db(self, mains_hz: int) -> NDArray[np.float64]:
        """How far the lines of the mains stand above the sound around them.

        Returns
        -------
        array
            float64, shape (HARMONICS,), dB: the mean power of the bin at the harmonic and the two beside it, which
            hold the main lobe and the drift of the mains, over the median of the bins 4 to 12 Hz away on both sides.
            About 0 in noise; negative where machines beside the mains are louder; NaN before a second was heard.
        """
        if not self._frames:
            return np.full(HARMONICS, np.nan)
        power = self._floored()
        ratios = []
        for line_hz in mains_hz * np.arange(1, HARMONICS + 1):
            around = np.concatenate([power[line_hz - 12 : line_hz - 3], power[line_hz + 4 : line_hz + 13]])
            ratios.append(power[line_hz - 1 : line_hz + 2].mean() / np.median(around))
        return np.asarray(10.0 * np.log10(ratios))

    def third_octaves_db(self) -> NDArray[np.float64]:
        """Levels of the bands of :data:`THIRD_OCTAVES_HZ` relative to their mean, dB; NaN before a second was heard."""
        if not self._frames:
            return np.full(len(THIRD_OCTAVES_HZ), np.nan)
        power = self._floored()
        half_band = 10.0**0.05
        edges = np.rint(np.stack([THIRD_OCTAVES_HZ / half_band, THIRD_OCTAVES_HZ * half_band], 1)).astype(int)
        levels_db = 10.0 * np.log10([power[low : max(high, low + 1)].sum() for low, high in edges])
        return np.asarray(levels_db - levels_db.mean())

    def heard_db(self) -> float:
        """RMS level from :data:`FIRST_BAND_HZ` up, dB relative to full scale; NaN before a second was heard."""
        if not self._frames:
            return float("nan")
        mean_squares = self._floored() * self._periodogram.to_mean_square / self._frames
        return float(10.0 * np.log10(mean_squares[FIRST_BAND_HZ:].sum()))

    def _floored(self) -> NDArray[np.float64]:
        """The spectrum, 120 dB deep at most: a pure tone leaves nothing beside it, silence nothing at all."""
        floor = 1e-12 * self._power.max() or 1e-12
        return self._power + floor
