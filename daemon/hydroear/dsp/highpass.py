"""High-pass filtering of a stream.

Filters are designed and run with NumPy alone: SciPy would take a quarter more memory on a unit, and time at the
start.
"""

from __future__ import annotations

from math import pi, sin, tan

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
_Signal64 = NDArray[np.float64]

_ROW = 32
"""Samples that are filtered at once: of longer rows the products of matrices cost more, of shorter ones the states."""


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
    Signal Processing", chapter 7). The state is that of the integrators, each by the trapezoidal rule (V. Zavalishin,
    "The Art of VA Filter Design", 2012, chapter 4): in direct forms rounding grows as the corner falls.

    A row of samples is filtered at once: what it adds to the outputs and to the state after it is linear in the samples
    and in the state before it. The states between the rows follow from each other by doubling the distance over which
    they are carried (W. D. Hillis and G. L. Steele, "Data parallel algorithms", Comm. ACM 29(12), 1986).
    """

    def __init__(self, corner_hz: float, rate_hz: int) -> None:
        self._model = _StateSpace.highpass(corner_hz, rate_hz) if corner_hz > 0 else None
        self.start()

    def start(self) -> None:
        """Begin anew: the next sample is taken as the constant that went before it, so that an offset makes no step."""
        self._state: _Signal64 | None = None

    def push(self, samples: Signal) -> Signal:
        """Filter the next samples, shape (n,), float32 in and out."""
        model = self._model
        if model is None or not len(samples):
            return samples
        state = samples[0] * model.settled if self._state is None else self._state
        whole = len(samples) // _ROW * _ROW
        heard, filtered = samples.astype(np.float64), np.empty(len(samples), np.float32)
        filtered[:whole], state = model.rows(heard[:whole].reshape(-1, _ROW), state)
        if whole < len(samples):
            filtered[whole:], state = model.rest(heard[whole:], state)
        self._state = state.copy()
        return filtered


class _StateSpace:
    """``state' = state @ a + x b``, ``y = state @ c + d x``, for many samples x at a time.

    Parameters
    ----------
    a, b, c, d
        Shapes (n, n), (n,), (n,) and ().
    settled
        Shape (n,), the state after samples of 1 for ever.
    """

    def __init__(self, a: _Signal64, b: _Signal64, c: _Signal64, d: float, *, settled: _Signal64) -> None:
        order = len(b)
        self._step, self.settled = a, settled
        # What each number of the state before a row, and each sample of the row, is worth in the outputs and after it.
        state, outputs = np.zeros((order + _ROW, order)), np.zeros((order + _ROW, _ROW))
        state[:order] = np.eye(order)
        for column in range(_ROW):
            outputs[:, column] = state @ c
            outputs[order + column, column] += d
            state = state @ a
            state[order + column] += b
        over_row, self._samples_to_state = np.split(state, [order])
        self._state_to_outputs, self._samples_to_outputs = np.split(outputs, [order])
        self._over_rows: list[tuple[int, _Signal64]] = []
        while over_row.any() and len(self._over_rows) < 63:  # far enough, nothing is left of a state
            self._over_rows.append((2 ** len(self._over_rows), over_row))
            over_row = over_row @ over_row

    @classmethod
    def highpass(cls, corner_hz: float, rate_hz: int) -> _StateSpace:
        """Two sections in a row, each with the two integrators of its prototype as its state."""
        g = tan(pi * corner_hz / rate_hz)
        a, b, c, d = np.zeros((4, 4)), np.zeros(4), np.zeros(4), 1.0
        for section, damping in ((slice(0, 2), 2.0 * sin(pi / 8.0)), (slice(2, 4), 2.0 * sin(3.0 * pi / 8.0))):
            gain = 1.0 / (1.0 + g * (g + damping))
            heard = 2.0 * g * gain * np.array([1.0, g])
            # The second one hears what the first one gives: state @ c + d x.
            a[:, section] = np.outer(c, heard)
            a[section, section] = [[2.0 * gain - 1.0, 2.0 * g * gain], [-2.0 * g * gain, 1.0 - 2.0 * g**2 * gain]]
            b[section] = d * heard
            c *= gain
            c[section] = -gain * (damping + g), -gain
            d *= gain
        return cls(a, b, c, d, settled=np.array([0.0, 1.0, 0.0, 0.0]))

    def rows(self, rows: _Signal64, state: _Signal64) -> tuple[_Signal64, _Signal64]:
        """Outputs of whole rows, shape (m, row) to (m * row,), and the state after them."""
        states = np.concatenate([[state], rows @ self._samples_to_state])
        for distance, carried in self._over_rows:
            if distance >= len(states):
                break
            states[distance:] += states[:-distance] @ carried
        outputs: _Signal64 = rows @ self._samples_to_outputs
        outputs += states[:-1] @ self._state_to_outputs
        return outputs.ravel(), states[-1]

    def rest(self, samples: _Signal64, state: _Signal64) -> tuple[_Signal64, _Signal64]:
        """Outputs of less than a row, and the state after it."""
        n = len(samples)
        outputs: _Signal64 = samples @ self._samples_to_outputs[:n, :n]
        outputs += state @ self._state_to_outputs[:, :n]
        after: _Signal64 = state @ np.linalg.matrix_power(self._step, n)
        after += samples @ self._samples_to_state[_ROW - n :]
        return outputs, after
