"""Control features: averages over a window of what can be computed without learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import savgol_filter

from hydroear.dsp import FrontEndSpec
from hydroear.dsp.frontend import LogMel
from hydroear.dsp.stft import PowerSpectrum
from hydroear.errors import AudioError, UsageError
from hydroear_train.features.separation import harmonic_percussive

Array = NDArray[np.float32]

LINES = 256
"""The line spectrum has at most so many lines; neighbouring bins are averaged until it does."""

COEFFICIENTS = 20
"""Cepstral coefficients."""

_DELTA_FRAMES = 9
_BATCH = 64
"""Windows whose spectra are in memory at a time."""


def control_features(name: str, windows: Array, spec: FrontEndSpec) -> Array:
    """Describe each window by one vector.

    Parameters
    ----------
    name
        One of :data:`FEATURES`, all of them over low_hz to high_hz and in dB:

        - ``line-spectrum``: power of the lines of the spectrum, averaged over the frames (P. D. Welch, IEEE Trans.
          Audio Electroacoust. 15, 1967), at most :data:`LINES` of them;
        - ``log-mel``: mean and standard deviation over time of each mel band;
        - ``mfcc``: mean and standard deviation over time of :data:`COEFFICIENTS` coefficients of the orthonormal DCT-II
          of the log-mel spectrum, and standard deviation of their slopes over nine frames (S. Davis and P. Mermelstein,
          IEEE Trans. Acoust. 28, 1980; S. Furui, IEEE Trans. Acoust. 34, 1986);
        - ``hpss-h``, ``hpss-p``: as ``log-mel``, of the harmonic or of the percussive part.
    windows
        float32, shape (n, window_samples): audio at the front end's rate, high-passed, full scale ±1.
    spec
        The front end. Where it removes the level, so do these: a window's mean in dB is subtracted, and of the cepstrum
        the coefficient that is the level is left out.

    Returns
    -------
    ndarray
        float32, shape (n, d).

    Raises
    ------
    UsageError
        If there is no such feature, or the windows are not as long as the front end's.
    AudioError
        If a sample is not finite.
    """
    if name not in _FEATURES:
        raise UsageError(f"{name!r} is no control feature", expected=f"one of: {', '.join(FEATURES)}")
    if windows.ndim != 2 or windows.shape[1] != spec.window_samples:
        raise UsageError(
            f"windows of shape {windows.shape}",
            where=name,
            expected=f"(n, {spec.window_samples}), as the front end says",
        )
    if not np.isfinite(windows).all():
        raise AudioError("a sample is not a finite number", where=name, fix="leave the recording out")
    feature = _FEATURES[name](spec)
    power = PowerSpectrum(spec.n_fft)
    # One silent window more gives the number of columns where there are no windows at all.
    padded = windows if len(windows) else np.zeros((1, spec.window_samples), np.float32)
    vectors = []
    for begin in range(0, len(padded), _BATCH):
        frames = sliding_window_view(padded[begin : begin + _BATCH], spec.n_fft, axis=1)[:, :: spec.hop]
        count, per_window, n_fft = frames.shape
        vectors.append(feature(power(frames.reshape(-1, n_fft)).reshape(count, per_window, -1)))
    return np.concatenate(vectors)[: len(windows)]


class _LineSpectrum:
    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._lines = _band(spec)
        self._neighbours = -(-(self._lines.stop - self._lines.start) // LINES)

    def __call__(self, power: Array) -> Array:
        lines = power[:, :, self._lines].mean(axis=1)
        starts = np.arange(0, lines.shape[1], self._neighbours)
        sizes = np.diff(np.append(starts, lines.shape[1]))
        lines = np.add.reduceat(lines, starts, axis=1) / sizes
        decibels = 10.0 * np.log10(np.maximum(lines, 10.0 ** (self._spec.floor_db / 10.0)))
        if self._spec.remove_level:
            decibels -= decibels.mean(axis=1, keepdims=True)
        vectors: Array = decibels.astype(np.float32)
        return vectors


class _LogMelMoments:
    def __init__(self, spec: FrontEndSpec) -> None:
        self._spec = spec
        self._log_mel = LogMel(spec)

    def __call__(self, power: Array) -> Array:
        log_mel = _per_frame(self._log_mel, power)
        if self._spec.remove_level:
            log_mel -= log_mel.mean(axis=(1, 2), keepdims=True)
        return _moments(log_mel)


class _Cepstrum:
    def __init__(self, spec: FrontEndSpec) -> None:
        self._log_mel = LogMel(spec)
        first = 1 if spec.remove_level else 0
        self._kept = slice(first, first + COEFFICIENTS)

    def __call__(self, power: Array) -> Array:
        cepstrum = dct(_per_frame(self._log_mel, power), type=2, norm="ortho", axis=2)[:, :, self._kept]
        slopes = savgol_filter(cepstrum, _DELTA_FRAMES, polyorder=1, deriv=1, axis=1, mode="nearest")
        return np.concatenate([_moments(cepstrum), slopes.std(axis=1).astype(np.float32)], axis=1)


class _Separated:
    def __init__(self, spec: FrontEndSpec, part: int) -> None:
        self._moments = _LogMelMoments(spec)
        self._lines = _band(spec)
        self._part = part

    def __call__(self, power: Array) -> Array:
        # What lies outside the band, such as mains hum, must not reach into it through the median over frequency.
        part = np.zeros_like(power)
        part[:, :, self._lines] = harmonic_percussive(power[:, :, self._lines])[self._part]
        return self._moments(part)


_FEATURES: dict[str, Callable[[FrontEndSpec], Callable[[Array], Array]]] = {
    "line-spectrum": _LineSpectrum,
    "log-mel": _LogMelMoments,
    "mfcc": _Cepstrum,
    "hpss-h": lambda spec: _Separated(spec, 0),
    "hpss-p": lambda spec: _Separated(spec, 1),
}

FEATURES: tuple[str, ...] = tuple(_FEATURES)
"""Names of the control features."""


def _band(spec: FrontEndSpec) -> slice:
    """The bins of the spectrum from low_hz to high_hz."""
    bin_hz = spec.rate_hz / spec.n_fft
    return slice(int(np.ceil(spec.low_hz / bin_hz)), int(np.floor(spec.high_hz / bin_hz)) + 1)


def _per_frame(log_mel: LogMel, power: Array) -> NDArray[np.float64]:
    count, frames, bins = power.shape
    values: NDArray[np.float64] = log_mel(power.reshape(-1, bins)).reshape(count, frames, -1).astype(np.float64)
    return values


def _moments(values: NDArray[Any]) -> Array:
    """Mean and standard deviation over the frames: shape (n, frames, bands) to (n, 2 * bands)."""
    moments: Array = np.concatenate([values.mean(axis=1), values.std(axis=1)], axis=1).astype(np.float32)
    return moments
