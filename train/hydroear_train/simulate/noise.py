"""Building blocks of every simulated sound: shaped noise, slow gains, fades, band levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Samples = NDArray[np.float32]
Real = NDArray[np.float64]
Spectrum = Callable[[Real], Real]
"""Amplitude over frequency: takes frequencies in Hz, shape (n,), gives amplitudes ≥ 0 of the same shape."""

LEAK_BAND_HZ = (50.0, 2000.0)
"""Band in which levels are compared. Leak noise recorded on mains lies mostly here."""

_GRID_HZ = 2.0
"""Spacing at which spectra are evaluated: finer than any resonance the simulator draws."""

_BLOCK = 1 << 14
"""Samples made at once where that does not change them: what a processor's cache holds."""


def shaped_noise(spectrum: Spectrum, n: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """Stationary Gaussian noise with a given amplitude spectrum, scaled to unit RMS.

    The noise is drawn in the frequency domain: independent complex Gaussian bins, weighted, transformed once.

    Parameters
    ----------
    spectrum
        Amplitude over frequency; its scale is irrelevant, its value at 0 Hz is ignored.
    n
        Number of samples, at least 1.

    Returns
    -------
    float32, shape (n,), RMS 1.
    """
    size = fft.next_fast_len(max(n, 64), real=True)
    bins = size // 2 + 1
    grid_hz = np.arange(0.0, rate_hz / 2 + _GRID_HZ, _GRID_HZ)
    frequencies_hz = np.linspace(0.0, rate_hz / 2, bins)
    amplitude = np.interp(frequencies_hz, grid_hz, spectrum(grid_hz)).astype(np.float32)
    amplitude[0] = 0.0
    weighted = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64) * amplitude
    return unit_rms(fft.irfft(weighted, size)[:n])


def unit_rms(x: NDArray[np.floating[Any]]) -> Samples:
    """`x` scaled to RMS 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    return np.asarray(x / rms if rms > 0.0 else x, dtype=np.float32)


def band_rms(x: NDArray[np.floating[Any]], rate_hz: int, band_hz: tuple[float, float] = LEAK_BAND_HZ) -> float:
    """RMS of the part of `x` that lies within a band.

    Parameters
    ----------
    x
        Shape (n,).
    band_hz
        Lower and upper edge in Hz, both included.
    """
    size = fft.next_fast_len(len(x), real=True)
    frequencies_hz = fft.rfftfreq(size, 1.0 / rate_hz)
    inside = (frequencies_hz >= band_hz[0]) & (frequencies_hz <= band_hz[1])
    power = np.square(np.abs(fft.rfft(x, size)[inside]), dtype=np.float64)
    # One-sided spectrum: each bin stands for two; Parseval with the padded size, mean over the true one.
    return float(np.sqrt(2.0 * power.sum() / (size * len(x))))


def slow_gain(n: int, rate_hz: int, rng: np.random.Generator, *, period_s: float, depth_db: float) -> Samples:
    """A gain that wanders about 1: Gaussian in dB, a new value every `period_s`, linear in dB between.

    Parameters
    ----------
    depth_db
        Standard deviation of the values, in dB.

    Returns
    -------
    float32, shape (n,).
    """
    step = period_s * rate_hz
    nodes = rng.normal(0.0, depth_db, int(n / step) + 2)
    places = np.arange(len(nodes))
    gain = np.empty(n, dtype=np.float32)
    for at in _blocks(n):
        gain[at] = 10.0 ** (np.interp(np.arange(at.start, at.stop) / step, places, nodes) / 20.0)
    return gain


def _blocks(n: int) -> Iterator[slice]:
    """Block by block, or the time would go into moving float64 of the whole length to and fro."""
    return (slice(first, min(first + _BLOCK, n)) for first in range(0, n, _BLOCK))


def convolve(x: Samples, response: Samples) -> Samples:
    """`x` through a filter of the given impulse response, cut to the length of `x`."""
    # scipy.signal has this too, and would double the start-up time of the command line.
    size = fft.next_fast_len(len(x) + len(response), real=True)
    filtered = fft.irfft(fft.rfft(x, size) * fft.rfft(response, size), size)
    return np.asarray(filtered[: len(x)], dtype=np.float32)


def fade(x: Samples, rate_hz: int, fade_s: float) -> Samples:
    """`x` with raised-cosine fades at both ends, so that it starts and stops without a click."""
    length = min(int(fade_s * rate_hz), len(x) // 2)
    if length == 0:
        return x
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
    faded = x.copy()
    faded[:length] *= ramp
    faded[-length:] *= ramp[::-1]
    return faded


def harmonics(
    frequency_hz: float, amplitudes: Real, n: int, rate_hz: int, rng: np.random.Generator, *, drift: float
) -> Samples:
    """A tone and its harmonics whose common frequency wanders slowly.

    Parameters
    ----------
    frequency_hz
        Mean frequency of the fundamental.
    amplitudes
        Peak amplitude of each harmonic, fundamental first; those over Nyquist are left out.
    drift
        Standard deviation of the relative frequency error; a new error every 10 s, linear between.

    Returns
    -------
    float32, shape (n,).
    """
    step = 10.0 * rate_hz
    nodes = rng.normal(0.0, drift, int(n / step) + 2)
    places = np.arange(len(nodes))
    phasors = np.asarray(amplitudes) * np.exp(1j * rng.uniform(0.0, 2.0 * np.pi, len(amplitudes)))
    phasors = phasors[np.arange(1, len(phasors) + 1) * frequency_hz < 0.49 * rate_hz]
    total = np.empty(n, dtype=np.float32)
    summed_hz = 0.0
    for at in _blocks(n):
        frequency = frequency_hz * (1.0 + np.interp(np.arange(at.start, at.stop) / step, places, nodes))
        frequency[0] += summed_hz
        frequency = np.cumsum(frequency)
        summed_hz = frequency[-1]
        phase = 2.0 * np.pi * frequency / rate_hz
        turning, block = np.empty(len(phase), np.complex128), np.zeros(len(phase), np.complex128)
        np.cos(phase, out=turning.real)
        np.sin(phase, out=turning.imag)
        # Harmonics are powers of the fundamental: Horner's scheme costs a tenth of a sine for each.
        for phasor in phasors[::-1]:
            block += phasor
            block *= turning
        total[at] = block.imag
    return total


def resonance(frequency_hz: Real, centre_hz: float, q: float) -> Real:
    """Magnitude of a second-order low-pass: 1 far below `centre_hz`, `q` at it, falling 12 dB an octave above."""
    ratio = frequency_hz / centre_hz
    return np.asarray(1.0 / np.sqrt((1.0 - ratio**2) ** 2 + (ratio / q) ** 2))


def highpass(frequency_hz: Real, corner_hz: float) -> Real:
    """Magnitude of a second-order Butterworth high-pass."""
    power = (frequency_hz / corner_hz) ** 4
    return np.asarray(np.sqrt(power / (1.0 + power)))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high` whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
