"""Slaney's mel scale and filter bank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequency to mel: linear below 1 kHz, logarithmic above (27 mel for a factor of 6.4).

    M. Slaney, "Auditory Toolbox, Version 2", Interval Research Corporation, Technical Report 1998-010, 1998.
    """
    hz = np.asarray(hz, dtype=np.float64)
    above = np.maximum(hz, _CORNER_HZ)
    return np.where(hz < _CORNER_HZ, hz / _LINEAR_HZ_PER_MEL, _CORNER_MEL + np.log(above / _CORNER_HZ) / _LOG_STEP)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    return np.where(mel < _CORNER_MEL, mel * _LINEAR_HZ_PER_MEL, _CORNER_HZ * np.exp(_LOG_STEP * (mel - _CORNER_MEL)))


def mel_bank(*, rate_hz: int, n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of unit area over frequency in Hz.

    Returns
    -------
    ndarray
        float32, shape (n_mels, n_fft // 2 + 1), in 1/Hz.
    """
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / rate_hz)
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), n_mels + 2))
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (high - low)).astype(np.float32)
