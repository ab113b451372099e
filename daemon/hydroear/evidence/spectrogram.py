"""What was heard, as levels over time and frequency for people to look at, and the colours to show them in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Stretch
from hydroear.dsp.mel import hz_to_mel, mel_to_hz
from hydroear.dsp.stft import PowerSpectrum

_FRAME_S = 0.125
_SPAN_DB = (30.0, 80.0)
_BATCH = 32


def cubehelix(shades: int) -> NDArray[np.uint8]:
    """A colour map whose brightness rises evenly, also in print and to the colour-blind; uint8, shape (shades, 3).

    D. A. Green, "A colour scheme for the display of astronomical intensity images", Bulletin of the Astronomical
    Society of India 39, 2011, equation 2, with start 0, half a rotation, hue 1.4 and gamma 1: from blue over red to
    yellow, because his rainbow of one and a half rotations makes noise look like many things.
    """
    light = np.linspace(0.0, 1.0, shades)
    angle = 2.0 * np.pi * 0.5 * light
    amplitude = 1.4 * light * (1.0 - light) / 2.0
    mix = np.array([[-0.14861, 1.78277], [-0.29227, -0.90649], [1.97294, 0.0]])
    rgb = light + amplitude * (mix @ np.stack([np.cos(angle), np.sin(angle)]))
    colours: NDArray[np.uint8] = np.round(255.0 * np.clip(rgb, 0.0, 1.0)).astype(np.uint8).T
    return colours


def levels(sound: Stretch, *, top_hz: float, rows: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Power density in dB relative to full scale, shape (rows, columns), and which columns were heard whole.

    Rows go from the highest frequency down, in even steps in mel. A row shows the highest bin of those that fall into
    it: a thin line must not fade.

    Parameters
    ----------
    sound
        At least one sample.
    top_hz
        Highest frequency to show; at most half the rate.
    rows, columns
        How fine.
    """
    n_fft = 2 ** round(np.log2(_FRAME_S * sound.rate_hz))
    half = n_fft // 2
    samples = np.pad(sound.samples, half, mode="symmetric")
    heard = np.pad(sound.heard, half, mode="symmetric")
    begins = np.linspace(0, len(sound.samples) - 1, columns).astype(np.intp)
    rows_hz = mel_to_hz(np.linspace(0.0, float(hz_to_mel(top_hz)), rows + 1))[:-1]
    bins = np.minimum(np.round(rows_hz * n_fft / sound.rate_hz).astype(np.intp), half)
    end = max(int(bins[-1]) + 1, min(half + 1, round(top_hz * n_fft / sound.rate_hz)))
    spectrum = PowerSpectrum(n_fft)
    level_db = np.empty((rows, columns), np.float32)
    for first in range(0, columns, _BATCH):  # a long clip at a high rate would not fit into a small memory
        batch = slice(first, first + _BATCH)
        power = spectrum(np.stack([samples[begin : begin + n_fft] for begin in begins[batch]]))
        density = np.maximum.reduceat(power[:, :end], bins, axis=1).T * np.float32(2.0 / sound.rate_hz)
        level_db[:, batch] = 10.0 * np.log10(np.maximum(density, 1e-20))
    whole = np.array([heard[begin : begin + n_fft].all() for begin in begins], np.bool_)
    return level_db[::-1], whole


def range_db(level_db: NDArray[np.float32]) -> tuple[float, float]:
    """From the faintest to the strongest sound in it, without the last outliers."""
    if not level_db.size:
        return -120.0, -120.0 + _SPAN_DB[0]
    low, high = (float(db) for db in np.percentile(level_db, [3.0, 99.8]))
    return high - min(max(high - low, _SPAN_DB[0]), _SPAN_DB[1]), high
