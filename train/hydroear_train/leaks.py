"""Synthetic leaks: what a leak does to the log-mel of a normal window."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear_train.curves import band_centres_hz, smooth_curves
from hydroear_train.simulate import random_leak_noise
from hydroear_train.spectra import SpectrumBatch

Array = NDArray[np.float32]
Real = NDArray[np.float64]

_JETS = 512
_COLOUR_DB, _COLOUR_TERMS = 10.0, 8
_ENHANCEMENT_DB, _ENHANCEMENT_TERMS = 6.0, 4
_SEGMENT_FRAMES = 6


class LeakGenerators:
    """Puts synthetic leaks into normal windows.

    A leak adds power: band b of the window rises by ``10 log10(1 + g L_b / P_b)`` dB, where P is the window's own mean
    power and L that of the leak. All frames rise alike. Mixed in as sound, a leak would also make the window steadier,
    and a network learns that first; but how steady a pipe is depends on the water drawn and on what else stands on it,
    and real leaks are not steadier than the pipes they are on.

    Parameters
    ----------
    spec
        The front end.
    weights
        How often each of :data:`GENERATORS` is drawn, relative to the others.
    snr_db
        Range of the audibility of a leak, in dB: the ratio of its mel power to the window's, averaged over the bands
        with the leak's own power as the weight.
    rng
        Draws the jets that windows are mixed with.
    """

    def __init__(
        self, spec: FrontEndSpec, weights: Mapping[str, float], snr_db: tuple[float, float], rng: np.random.Generator
    ) -> None:
        self._names = tuple(name for name in GENERATORS if weights.get(name, 0.0) > 0.0)
        total = sum(weights[name] for name in self._names)
        self._shares = [weights[name] / total for name in self._names]
        self._snr_db = snr_db
        self._centres_hz, self._widths_db = band_centres_hz(spec)
        noise = np.stack([random_leak_noise(spec.window_samples, spec.rate_hz, rng) for _ in range(_JETS)])
        spectra = SpectrumBatch(spec)
        self._jets_db = 10.0 * np.log10(np.concatenate([spectra.mel_power(part) for part in np.split(noise, 8)]))

    def __call__(self, log_mel: Array, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """Windows with leaks.

        Parameters
        ----------
        log_mel
            float32, shape (n, window_frames, n_mels), in dB: normal windows.
        rng
            Source of randomness.

        Returns
        -------
        leaks
            float32, the same shape.
        kinds
            Index into :data:`GENERATORS` of each, shape (n,).
        """
        drawn = rng.choice(len(self._names), size=len(log_mel), p=self._shares)
        leaks = np.empty_like(log_mel)
        kinds = np.empty(len(log_mel), np.int64)
        for number, name in enumerate(self._names):
            chosen = drawn == number
            kinds[chosen] = tuple(GENERATORS).index(name)
            if chosen.any():
                leaks[chosen] = GENERATORS[name](self, log_mel[chosen], rng)
        return leaks, kinds

    def _jet(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """A turbulent jet, heard through a random pipe and sensor of the simulator."""
        return self._risen(log_mel, self._jets_db[rng.integers(len(self._jets_db), size=len(log_mel))], rng)

    def _band(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """Noise of half an octave to four octaves with edges of 6 to 36 dB an octave."""
        n, octaves = len(log_mel), np.log2(self._centres_hz)
        centre = rng.uniform(octaves[0], octaves[-1], (n, 1))
        beyond = np.maximum(0.0, np.abs(octaves - centre) - rng.uniform(0.25, 2.0, (n, 1)))
        return self._risen(log_mel, self._widths_db - rng.uniform(6.0, 36.0, (n, 1)) * beyond, rng)

    def _colour(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """Noise of a random smooth spectrum."""
        shape_db = self._widths_db + smooth_curves(
            len(log_mel), len(self._widths_db), _COLOUR_DB, rng, terms=_COLOUR_TERMS
        )
        return self._risen(log_mel, shape_db, rng)

    def _enhancement(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """The pipe's own sound, stronger in some bands, and pink noise 10 dB below it."""
        own_db = log_mel.mean(axis=1, dtype=np.float64)
        shape_db = own_db + smooth_curves(len(own_db), own_db.shape[1], _ENHANCEMENT_DB, rng, terms=_ENHANCEMENT_TERMS)
        pink = 10.0 ** ((self._widths_db - 10.0 * np.log10(self._centres_hz)) / 10.0)
        pink = 0.1 * pink / pink.sum() * np.sum(10.0 ** (shape_db / 10.0), axis=1, keepdims=True)
        return self._risen(log_mel, 10.0 * np.log10(10.0 ** (shape_db / 10.0) + pink), rng)

    def _shuffle(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """The window's own segments in another order."""
        segments = np.array_split(np.arange(log_mel.shape[1]), max(2, log_mel.shape[1] // _SEGMENT_FRAMES))
        orders = [np.concatenate([segments[i] for i in rng.permutation(len(segments))]) for _ in log_mel]
        return np.take_along_axis(log_mel, np.stack(orders)[:, :, None], axis=1)

    def _surrogate(self, log_mel: Array, rng: np.random.Generator) -> Array:
        """Noise with the mean and the deviation of every band: the window without its course in time."""
        mean, deviation = log_mel.mean(axis=1, keepdims=True), log_mel.std(axis=1, keepdims=True)
        surrogate: Array = mean + deviation * rng.standard_normal(log_mel.shape, dtype=np.float32)
        return surrogate

    def _risen(self, log_mel: Array, leak_db: Real, rng: np.random.Generator) -> Array:
        power = 10.0 ** (log_mel.mean(axis=1, dtype=np.float64) / 10.0)
        leak = 10.0 ** ((leak_db - leak_db.max(axis=1, keepdims=True)) / 10.0)
        audibility = np.sum(np.square(leak) / power, axis=1, keepdims=True) / np.sum(leak, axis=1, keepdims=True)
        wanted_db = rng.uniform(*self._snr_db, size=(len(log_mel), 1))
        rise_db = 10.0 * np.log10(1.0 + 10.0 ** (wanted_db / 10.0) / audibility * leak / power)
        risen: Array = log_mel + rise_db[:, None, :].astype(np.float32)
        return risen


GENERATORS: dict[str, Callable[[LeakGenerators, Array, np.random.Generator], Array]] = {
    "jet": LeakGenerators._jet,
    "band": LeakGenerators._band,
    "colour": LeakGenerators._colour,
    "enhancement": LeakGenerators._enhancement,
    "shuffle": LeakGenerators._shuffle,
    "surrogate": LeakGenerators._surrogate,
}
"""The first four add power; the last two change nothing but the course in time."""
