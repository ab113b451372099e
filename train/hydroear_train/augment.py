"""Training windows: normal clips, the same with a synthetic leak, and tilts by which one pipe differs from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

from hydroear.dsp import FrontEndSpec
from hydroear.dsp.frontend import LogMel
from hydroear.dsp.stft import PowerSpectrum
from hydroear_train.corpus import Clip
from hydroear_train.simulate import random_leak_noise

Array = NDArray[np.float32]

_LIBRARY = 512
_TILT_TERMS = 4


class SpectrumBatch:
    """STFTs of many clips at once, kept complex so that sounds can be added to them.

    Parameters
    ----------
    spec
        The front end; its high-pass has been applied to the clips already.
    """

    def __init__(self, spec: FrontEndSpec) -> None:
        self.spec = spec
        self._window = PowerSpectrum(spec.n_fft).window
        self._log_mel = LogMel(spec)

    def transform(self, clips: Array) -> NDArray[np.complex64]:
        """Clips, shape (n, window_samples), to spectra, shape (n, window_frames, n_fft // 2 + 1)."""
        frames = sliding_window_view(clips, self.spec.n_fft, axis=1)[:, :: self.spec.hop]
        spectra: NDArray[np.complex64] = rfft(frames * self._window, axis=2, workers=1)
        return spectra

    def features(self, spectra: NDArray[np.complex64]) -> Array:
        """Spectra to features as :class:`hydroear.dsp.Window` holds them, shape (n, window_frames, n_mels)."""
        power = np.square(spectra.real) + np.square(spectra.imag)
        features: Array = self._log_mel(power.reshape(-1, power.shape[-1])).reshape(len(spectra), *self.spec.shape)
        if self.spec.remove_level:
            features -= features.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
        return features

    def mel_power(self, spectra: NDArray[np.complex64]) -> Array:
        """Mean mel power over the frames of each clip, shape (n, n_mels)."""
        power = (np.square(spectra.real) + np.square(spectra.imag)).mean(axis=1)
        mel: Array = 10.0 ** (self._log_mel(power) / 10.0)
        return mel


@dataclass(frozen=True)
class Augmentation:
    """How training windows are varied.

    Attributes
    ----------
    leak_snr_db
        Range of the audibility of a synthetic leak, in dB: the ratio of its mel power to the clip's, averaged over the
        bands with the leak's own power as the weight.
    tilt_db
        Standard deviation of the random smooth curve over frequency that is added to a window, in dB.
    """

    leak_snr_db: tuple[float, float]
    tilt_db: float


class WindowSampler:
    """Draws training windows from clips of normal audio.

    Parameters
    ----------
    clips
        Normal audio.
    spec
        The front end.
    augmentation
        How windows are varied.
    rng
        Source of randomness; the same one gives the same windows.
    """

    def __init__(
        self, clips: Sequence[Clip], spec: FrontEndSpec, augmentation: Augmentation, rng: np.random.Generator
    ) -> None:
        self._clips, self._spec, self._augmentation, self._rng = list(clips), spec, augmentation, rng
        self._spectra = SpectrumBatch(spec)
        self._leaks = np.stack([random_leak_noise(spec.window_samples, spec.rate_hz, rng) for _ in range(_LIBRARY)])

    def pairs(self, count: int) -> tuple[Array, Array, list[str]]:
        """Draw windows, and the same windows with a leak in them.

        Returns
        -------
        normal, leak
            float32, shape (count, window_frames, n_mels) each, tilted alike.
        groups
            The site of each.
        """
        raw, groups = self._draw(count)
        normal = self._spectra.transform(raw)
        leak = self._spectra.transform(self._draw_leaks(count))
        normal_power, leak_power = self._spectra.mel_power(normal), self._spectra.mel_power(leak)
        audibility = np.sum(np.square(leak_power) / normal_power, axis=1) / np.sum(leak_power, axis=1)
        wanted_db = self._rng.uniform(*self._augmentation.leak_snr_db, size=count)
        gain = np.sqrt(10.0 ** (wanted_db / 10.0) / audibility).astype(np.float32)
        mixed = normal + gain[:, None, None] * leak
        tilt = random_tilts(count, self._spec.n_mels, self._augmentation.tilt_db, self._rng)[:, None, :]
        return self._spectra.features(normal) + tilt, self._spectra.features(mixed) + tilt, groups

    def normals(self, count: int, *, tilted: bool) -> tuple[Array, list[str]]:
        """Draw windows of normal audio, shape (count, window_frames, n_mels), and the site of each."""
        raw, groups = self._draw(count)
        features = self._spectra.features(self._spectra.transform(raw))
        if tilted:
            features += random_tilts(count, self._spec.n_mels, self._augmentation.tilt_db, self._rng)[:, None, :]
        return features, groups

    def _draw(self, count: int) -> tuple[Array, list[str]]:
        length = self._spec.window_samples
        chosen = [self._clips[i] for i in self._rng.integers(len(self._clips), size=count)]
        starts = [int(self._rng.integers(len(clip.samples) - length + 1)) for clip in chosen]
        raw = np.stack([clip.samples[start : start + length] for clip, start in zip(chosen, starts, strict=True)])
        return raw, [clip.group for clip in chosen]

    def leak_noise(self) -> Array:
        """The noise of a synthetic leak, shape (window_samples,), root mean square 1."""
        noise: Array = self._draw_leaks(1)[0]
        return noise

    def _draw_leaks(self, count: int) -> Array:
        picks = self._rng.integers(len(self._leaks), size=count)
        shifts = self._rng.integers(self._spec.window_samples, size=count)
        return np.stack([np.roll(self._leaks[pick], shift) for pick, shift in zip(picks, shifts, strict=True)])


def random_tilts(count: int, bands: int, deviation_db: float, rng: np.random.Generator) -> Array:
    """Random smooth curves over the bands, shape (count, bands), mean 0 and the given standard deviation in dB.

    A few cosines over the band, the slower ones stronger: what another sensor, coupling or pipe does to a spectrum.
    """
    order = np.arange(1, _TILT_TERMS + 1)
    cosines = np.cos(np.pi * order[:, None] * (np.arange(bands) + 0.5) / bands)
    weights = rng.standard_normal((count, _TILT_TERMS)) / order
    curves = weights @ cosines
    tilts: Array = (deviation_db * curves / np.sqrt(0.5 * np.sum(1.0 / order**2))).astype(np.float32)
    return tilts


def band_means(clips: Sequence[Clip], spec: FrontEndSpec) -> dict[str, Array]:
    """What each band is over the windows of each site, shape (n_mels,) in dB: the median, as on the unit."""
    spectra = SpectrumBatch(spec)
    sums: dict[str, list[Array]] = {}
    for clip in clips:
        windows = window_grid(clip.samples, spec)
        sums.setdefault(clip.group, []).append(spectra.features(spectra.transform(windows)).mean(axis=1))
    return {group: np.median(np.concatenate(means), axis=0) for group, means in sums.items()}


def window_grid(samples: Array, spec: FrontEndSpec) -> Array:
    """The stretches of audio, shape (n, window_samples), that a unit's windows would be made of."""
    step = spec.window_hop_frames * spec.hop
    return sliding_window_view(samples, spec.window_samples)[::step]
