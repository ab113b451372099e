"""Log-mel of many windows at once, exactly as the unit's front end makes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

from hydroear.dsp import FrontEndSpec
from hydroear.dsp.frontend import LogMel
from hydroear.dsp.stft import PowerSpectrum
from hydroear_train.corpus import Clip

Array = NDArray[np.float32]


class SpectrumBatch:
    """Windows of audio to log-mel.

    Parameters
    ----------
    spec
        The front end; its high-pass has been applied to the audio already.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec = spec
        self._window = PowerSpectrum(spec.n_fft).window
        self._log_mel = LogMel(spec)

    def log_mel(self, windows: Array) -> Array:
        """Audio, shape (n, window_samples), to log-mel in dB with its level, shape (n, window_frames, n_mels)."""
        power = self._power(windows)
        log_mel: Array = self._log_mel(power.reshape(-1, power.shape[-1])).reshape(len(windows), *self.spec.shape)
        return log_mel

    def features(self, windows: Array) -> Array:
        """Audio to features as :class:`hydroear.dsp.Window` holds them, shape (n, window_frames, n_mels)."""
        return self.levelled(self.log_mel(windows))

    def levelled(self, log_mel: Array) -> Array:
        """Log-mel without its level, where the front end removes it."""
        if not self.spec.remove_level:
            return log_mel
        levelled: Array = log_mel - log_mel.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
        return levelled

    def mel_power(self, windows: Array) -> Array:
        """Mean mel power over the frames of each window, shape (n, n_mels)."""
        mel: Array = 10.0 ** (self._log_mel(self._power(windows).mean(axis=1)) / 10.0)
        return mel

    def transform(self, windows: Array) -> NDArray[np.complex64]:
        """Audio to spectra, shape (n, window_frames, n_fft // 2 + 1)."""
        frames = sliding_window_view(windows, self.spec.n_fft, axis=1)[:, :: self.spec.hop]
        spectra: NDArray[np.complex64] = rfft(frames * self._window, axis=2, workers=1)
        return spectra

    def _power(self, windows: Array) -> Array:
        spectra = self.transform(windows)
        power: Array = np.square(spectra.real) + np.square(spectra.imag)
        return power


def window_grid(samples: Array, spec: FrontEndSpec) -> Array:
    """The stretches of audio, shape (n, window_samples), that a unit's windows would be made of."""
    step = spec.window_hop_frames * spec.hop
    return sliding_window_view(samples, spec.window_samples)[::step]


def band_means(clips: Sequence[Clip], spec: FrontEndSpec) -> dict[str, Array]:
    """What each band is over the windows of each site, shape (n_mels,) in dB: the median, as on the unit."""
    spectra = SpectrumBatch(spec)
    sums: dict[str, list[Array]] = {}
    for clip in clips:
        windows = window_grid(clip.samples, spec)
        sums.setdefault(clip.group, []).append(spectra.features(windows).mean(axis=1))
    return {group: np.median(np.concatenate(means), axis=0) for group, means in sums.items()}
