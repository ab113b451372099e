"""Polyphase resampling of a stream."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

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
    taps: NDArray[np.float64] = firwin(
        2 * _ZERO_CROSSINGS * widest + 1, _PASSBAND / widest, window=("kaiser", _KAISER_BETA)
    )
    return taps * up


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
        self._taps = anti_alias_filter(self.up, self.down)
        self._half = len(self._taps) // 2
        # Input samples the filter reaches to either side of an output sample.
        self._reach = -(-self._half // self.up)
        self.start(0)

    def start(self, input_index: int) -> int:
        """Begin anew at an input sample, as at the start of a stream or after lost samples.

        Returns
        -------
        int
            Index of the first output sample that will be given, on the grid of the whole stream.
        """
        skip = -input_index % self.down
        self._skip = skip
        first_input = input_index + skip
        self._buffer: Signal = np.zeros(0, dtype=np.float32)
        self._buffer_index = first_input
        self._next_output = first_input // self.down * self.up
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
        # Output m needs input samples up to (m * down + half) / up.
        end_input = self._buffer_index + len(self._buffer)
        end_output = ((end_input - 1) * self.up - self._half) // self.down + 1
        count = end_output - self._next_output
        if count <= 0:
            return np.zeros(0, dtype=np.float32)
        # Filter only every `down`-th sample: shift the taps so that the wanted ones fall on that grid.
        shift = (-self._half) % self.down
        taps = np.concatenate([np.zeros(shift), self._taps])
        filtered = upfirdn(taps, self._buffer, self.up, self.down)
        first = self._next_output - self._buffer_index // self.down * self.up + (self._half + shift) // self.down
        output: Signal = filtered[first : first + count].astype(np.float32)
        self._next_output = end_output
        needed = (self._next_output * self.down) // self.up - self._reach - 1
        keep_from = max(0, (needed - self._buffer_index) // self.down) * self.down
        self._buffer = self._buffer[keep_from:]
        self._buffer_index += keep_from
        return output
