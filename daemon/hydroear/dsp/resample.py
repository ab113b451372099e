"""Polyphase resampling of a stream."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Signal = NDArray[np.float32]

_ZERO_CROSSINGS = 48
_KAISER_BETA = 8.0
_PASSBAND = 0.95


def anti_alias_filter(up: int, down: int) -> NDArray[np.float64]:
    """Linear-phase FIR for resampling by up/down, odd length, pass-band gain `up`.

    A Kaiser window of beta 8 (about 80 dB) over 48 zero crossings a side puts the stop-band edge at the lower of the
    two Nyquist frequencies and keeps 90 % of the band (J. F. Kaiser, "Nonrecursive digital filter design using the
    I0-sinh window function", Proc. IEEE ISCAS, 1974).
    """
    widest = max(up, down)
    half = _ZERO_CROSSINGS * widest
    ideal = np.sinc(_PASSBAND / widest * np.arange(-half, half + 1))
    taps: NDArray[np.float64] = ideal * np.kaiser(2 * half + 1, _KAISER_BETA)
    taps *= up / taps.sum()
    return taps


class Resampler:
    """Resamples a stream block by block; the output is the same whatever the block sizes.

    Parameters
    ----------
    input_rate_hz, output_rate_hz
        Sample rates; equal rates pass the samples on untouched.

    Notes
    -----
    Output sample m lies at input time ``m * down / up``: the filter's delay is taken out. The last samples of a stream
    that ends stay inside, about 48 at the lower of the two rates.
    """

    def __init__(self, input_rate_hz: int, output_rate_hz: int) -> None:
        common = gcd(input_rate_hz, output_rate_hz)
        self.up, self.down = output_rate_hz // common, input_rate_hz // common
        self._identity = self.up == self.down
        taps = anti_alias_filter(self.up, self.down)
        self._half = len(taps) // 2
        # Row r filters for the outputs that lie r steps of the upsampled rate after an input sample. In order of time,
        # the last column meets the newest sample.
        length = -(-len(taps) // self.up)
        padded = np.zeros(length * self.up)
        padded[: len(taps)] = taps
        self._phases = np.ascontiguousarray(padded.reshape(length, self.up).T[:, ::-1])
        self.start(0)

    def start(self, input_index: int) -> int:
        """Begin anew at an input sample, as at the start of a stream or after lost samples.

        Returns
        -------
        int
            Index of the first output sample that will be given, on the grid of the whole stream.
        """
        self._skip = -input_index % self.down
        first_input = input_index + self._skip
        self._next_output = first_input // self.down * self.up
        self._buffer_index = self._first_needed()
        self._buffer = np.zeros(first_input - self._buffer_index)
        return self._next_output

    def push(self, samples: Signal) -> Signal:
        """Take the next input samples, shape (n,); give the output samples that are ready, shape (m,), float32."""
        if self._skip:
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            samples = samples[dropped:]
        if self._identity:
            self._next_output += len(samples)
            return samples
        self._buffer = np.concatenate([self._buffer, samples])
        end_input = self._buffer_index + len(self._buffer)
        end_output = -(-(end_input * self.up - self._half) // self.down)
        output = np.empty(max(0, end_output - self._next_output), dtype=np.float32)
        if not len(output):
            return output
        windows = sliding_window_view(self._buffer, self._phases.shape[1])
        # Every `up`-th output meets the same filter, `down` inputs further on.
        for first in range(min(self.up, len(output))):
            phase = ((self._next_output + first) * self.down + self._half) % self.up
            begin = self._first_needed(first) - self._buffer_index
            filtered = np.einsum("ij,j->i", windows[begin :: self.down], self._phases[phase])
            output[first :: self.up] = filtered
        self._next_output = end_output
        done = self._first_needed() - self._buffer_index
        self._buffer = self._buffer[done:]
        self._buffer_index += done
        return output

    def _first_needed(self, ahead: int = 0) -> int:
        """Index of the oldest input sample that the next output, or the one so many after it, is made of."""
        newest = ((self._next_output + ahead) * self.down + self._half) // self.up
        return newest - self._phases.shape[1] + 1
