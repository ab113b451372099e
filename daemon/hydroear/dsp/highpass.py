"""High-pass filtering of a stream.

Filters are designed and run without ``scipy.signal``: importing that package would double a unit's memory and start-up.
"""

from __future__ import annotations

from math import pi, sin, tan

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dtbsv

Signal = NDArray[np.float32]
_Signal64 = NDArray[np.float64]


class HighPass:
    """Fourth-order Butterworth high-pass with state.

    Parameters
    ----------
    corner_hz
        -3 dB frequency; 0 passes everything.
    rate_hz
        Sample rate, more than twice the corner.

    Notes
    -----
    The prototype's pole pairs, ``s**2 + 2 sin(pi/8) s + 1`` and ``s**2 + 2 sin(3 pi/8) s + 1``, are taken to the
    z-plane by the bilinear transform, pre-warped to the corner (A. V. Oppenheim and R. W. Schafer, "Discrete-Time
    Signal Processing", chapter 7).
    """

    def __init__(self, corner_hz: float, rate_hz: int) -> None:
        dampings = (2.0 * sin(pi / 8.0), 2.0 * sin(3.0 * pi / 8.0)) if corner_hz > 0 else ()
        self._sections = [_Section(tan(pi * corner_hz / rate_hz), damping) for damping in dampings]
        self.start()

    def start(self) -> None:
        """Begin anew: the next sample is taken as the constant that went before it, so that an offset makes no step."""
        for section in self._sections:
            section.start()

    def push(self, samples: Signal) -> Signal:
        """Filter the next samples, shape (n,), float32 in and out."""
        if not self._sections or not len(samples):
            return samples
        filtered = samples.astype(np.float64)
        for section in self._sections:
            filtered = section.push(filtered)
        return filtered.astype(np.float32)


class _Section:
    """``b0 (1 - z**-1)**2 / (1 + a1 z**-1 + a2 z**-2)`` with state."""

    def __init__(self, corner: float, damping: float) -> None:
        norm = 1.0 + damping * corner + corner**2
        self._numerator = np.array([1.0, -2.0, 1.0]) / norm
        self._a1 = 2.0 * (corner**2 - 1.0) / norm
        self._a2 = (1.0 - damping * corner + corner**2) / norm
        self._diagonals = self._make_diagonals(0)
        self.start()

    def start(self) -> None:
        self._inputs: _Signal64 | None = None
        self._outputs = np.zeros(2)

    def push(self, samples: _Signal64) -> _Signal64:
        before = np.repeat(samples[0], 2) if self._inputs is None else self._inputs
        inputs = np.concatenate([before, samples])
        self._inputs = inputs[-2:].copy()
        # A recursion is a lower triangular system of three diagonals, which BLAS solves from the top down. The outputs
        # before are two unknowns more, which are known: so nothing depends on where blocks begin.
        driven = np.concatenate([self._outputs, np.convolve(inputs, self._numerator, "valid")])
        if self._diagonals.shape[1] < len(driven):
            self._diagonals = self._make_diagonals(len(driven))
        diagonals = self._diagonals[:, : len(driven)]
        outputs: _Signal64 = dtbsv(2, diagonals, driven, lower=1, diag=1, overwrite_x=True)
        self._outputs = outputs[-2:].copy()
        return outputs[2:]

    def _make_diagonals(self, n: int) -> _Signal64:
        diagonals = np.tile([1.0, self._a1, self._a2], (n, 1)).T
        diagonals[1, :1] = 0.0  # the second of the outputs before owes nothing to the first
        return diagonals
