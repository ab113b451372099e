"""Short-time Fourier transform of a stream: every frame is windowed and transformed once, never again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]


class Framer:
    """Cuts a stream into overlapping frames as samples arrive, without padding at the start.

    Parameters
    ----------
    n_fft
        Length of a frame.
    hop
        Samples from one frame to the next; frame f begins at sample ``f * hop``.
    """

    def __init__(self, n_fft: int, hop: int) -> None:
        self.n_fft, self.hop = n_fft, hop
        self.start(0)

    def start(self, sample_index: int) -> None:
        """Begin anew at a sample; the first frame is the first on the grid that starts there or later."""
        self._skip = -sample_index % self.hop
        self._buffer: Signal = np.zeros(0, dtype=np.float32)

    def push(self, samples: Signal) -> Signal:
        """Take the next samples, shape (n,), float32; give the frames that became complete, shape (m, n_fft).

        The frames share their memory and are not to be written to.
        """
        if self._skip:
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            samples = samples[dropped:]
        buffer = np.concatenate([self._buffer, samples])
        count = max(0, (len(buffer) - self.n_fft) // self.hop + 1)
        self._buffer = buffer[count * self.hop :].copy()
        step = buffer.itemsize
        return np.ndarray((count, self.n_fft), buffer.dtype, buffer, strides=(self.hop * step, step))


class PowerSpectrum:
    """Power of frames under a Hann window.

    Parameters
    ----------
    n_fft
        Length of the (periodic) window and of the FFT.

    Attributes
    ----------
    window
        float32, shape (n_fft,): the Hann window, its sum of squares 1.
    to_mean_square
        float32, shape (n_fft // 2 + 1,): the power, weighted by it and summed, is the mean square of the windowed
        frame. By Parseval's theorem over the one-sided spectrum, bins between DC and Nyquist stand for two.
    """

    def __init__(self, n_fft: int) -> None:
        window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
        self.window = (window / np.sqrt(np.sum(window**2))).astype(np.float32)
        self.to_mean_square = np.full(n_fft // 2 + 1, 2.0 / n_fft, np.float32)
        self.to_mean_square[[0, -1]] = 1.0 / n_fft

    def __call__(self, frames: Signal) -> NDArray[np.float32]:
        """Frames, shape (m, n_fft), to ``|X|**2 / sum(w**2)``, float32, shape (m, n_fft // 2 + 1).

        White noise of variance v has power v in every bin.
        """
        return power_of(self.spectra(frames))

    def spectra(self, frames: Signal) -> NDArray[np.complex64]:
        """Frames, shape (m, n_fft), to ``X / sqrt(sum(w**2))``, complex64, shape (m, n_fft // 2 + 1)."""
        return np.fft.rfft(frames * self.window, axis=1).astype(np.complex64, copy=False)


def power_of(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Squared magnitude, float32, of the same shape."""
    power: NDArray[np.float32] = np.square(spectra.real)
    power += np.square(spectra.imag)
    return power
