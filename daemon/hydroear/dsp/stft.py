"""Short-time Fourier transform of a stream: every sample is windowed and transformed once a frame, never again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

Signal = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Spectra:
    """A run of STFT frames.

    Attributes
    ----------
    first_frame
        Index of the first frame; frame f begins at sample ``f * hop``.
    power
        float32, shape (frames, n_fft // 2 + 1): ``|X|**2 / sum(w**2)``, so that white noise of variance v has
        power v in every bin.
    mean_square
        float32, shape (frames,): mean square of each frame under the Hann window.
    """

    first_frame: int
    power: NDArray[np.float32]
    mean_square: NDArray[np.float32]


class StreamingStft:
    """Hann-windowed STFT, frame by frame as samples arrive, without padding at the start.

    Parameters
    ----------
    n_fft
        Length of the (periodic) Hann window and of the FFT.
    hop
        Samples from one frame to the next.
    """

    def __init__(self, n_fft: int, hop: int) -> None:
        self.n_fft, self.hop = n_fft, hop
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
        self._window = (window / np.sqrt(np.sum(window**2))).astype(np.float32)
        self.start(0)

    def start(self, sample_index: int) -> None:
        """Begin anew at a sample; the first frame is the first on the grid that starts there or later."""
        self._next_frame = -(-sample_index // self.hop)
        self._skip = self._next_frame * self.hop - sample_index
        self._buffer: Signal = np.zeros(0, dtype=np.float32)

    def push(self, samples: Signal) -> Spectra:
        """Take the next samples, shape (n,), float32; give the frames that became complete."""
        if self._skip:
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            samples = samples[dropped:]
        self._buffer = np.concatenate([self._buffer, samples]) if len(self._buffer) else samples
        count = max(0, (len(self._buffer) - self.n_fft) // self.hop + 1)
        first = self._next_frame
        if count == 0:
            return Spectra(first, np.zeros((0, self.n_fft // 2 + 1), np.float32), np.zeros(0, np.float32))
        frames = sliding_window_view(self._buffer, self.n_fft)[:: self.hop][:count] * self._window
        spectrum = rfft(frames, axis=1, overwrite_x=True)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        # Parseval over the one-sided spectrum: the bins between DC and Nyquist stand for two.
        mean_square = (2.0 * power.sum(axis=1) - power[:, 0] - power[:, -1]) / self.n_fft
        self._next_frame += count
        self._buffer = self._buffer[count * self.hop :].copy()
        return Spectra(first, power, mean_square)
