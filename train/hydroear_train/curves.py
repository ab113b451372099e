"""Random curves over the bands: how one normal pipe, sensor or hour differs from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear.dsp.mel import mel_bank

Real = NDArray[np.float64]

_RESONANCE_BANDS = (0.7, 2.5)
_RESONANCE_PROBABILITY = 0.6
_RESONANCES = 3


def smooth_curves(count: int, bands: int, deviation_db: float, rng: np.random.Generator, *, terms: int) -> Real:
    """Random smooth curves, shape (count, bands), mean 0 and the given standard deviation in dB.

    A few cosines over the band, the slower ones stronger: what another sensor, coupling or pipe does to a spectrum.
    """
    order = np.arange(1, terms + 1)
    cosines = np.cos(np.pi * order[:, None] * (np.arange(bands) + 0.5) / bands)
    weights = rng.standard_normal((count, terms)) / order
    curves: Real = deviation_db * (weights @ cosines) / np.sqrt(0.5 * np.sum(1.0 / order**2))
    return curves


def resonances(count: int, bands: int, deviation_db: float, rng: np.random.Generator) -> Real:
    """Up to three narrow peaks or dips a curve, shape (count, bands), heights of the given standard deviation in dB.

    Pumps, valves and fittings ring at other frequencies, and louder or softer, when pressure and flow change. Leak
    noise is broad: a narrow change is no sign of one.
    """
    curves: Real = np.zeros((count, bands))
    for _ in range(_RESONANCES):
        heights = rng.normal(0.0, deviation_db, (count, 1)) * (rng.random((count, 1)) < _RESONANCE_PROBABILITY)
        centres, widths = rng.uniform(0.0, bands, (count, 1)), rng.uniform(*_RESONANCE_BANDS, (count, 1))
        curves += heights * np.exp(-0.5 * np.square((np.arange(bands) - centres) / widths))
    return curves


def band_centres_hz(spec: FrontEndSpec) -> tuple[Real, Real]:
    """Centre of gravity of each mel band in Hz, and what it hears of white noise in dB, shape (n_mels,) each."""
    bank = mel_bank(
        rate_hz=spec.rate_hz, n_fft=spec.n_fft, n_mels=spec.n_mels, low_hz=spec.low_hz, high_hz=spec.high_hz
    ).astype(np.float64)
    weight = bank.sum(axis=1)
    frequencies_hz = np.arange(bank.shape[1]) * spec.rate_hz / spec.n_fft
    return bank @ frequencies_hz / weight, 10.0 * np.log10(weight)
