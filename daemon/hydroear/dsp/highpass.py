"""High-pass filtering of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

Signal = NDArray[np.float32]


class HighPass:
    """Fourth-order Butterworth high-pass with state.

    Parameters
    ----------
    corner_hz
        -3 dB frequency; 0 passes everything.
    rate_hz
        Sample rate.
    """

    def __init__(self, corner_hz: float, rate_hz: int) -> None:
        self._sos = butter(4, corner_hz, "highpass", fs=rate_hz, output="sos") if corner_hz > 0 else None
        self.start()

    def start(self) -> None:
        """Begin anew: the next sample is taken as the constant that went before it, so that an offset makes no step."""
        self._state: NDArray[np.float64] | None = None

    def push(self, samples: Signal) -> Signal:
        """Filter the next samples, shape (n,), float32 in and out."""
        if self._sos is None or not len(samples):
            return samples
        if self._state is None:
            self._state = sosfilt_zi(self._sos) * float(samples[0])
        filtered, self._state = sosfilt(self._sos, samples.astype(np.float64), zi=self._state)
        return np.asarray(filtered, dtype=np.float32)
