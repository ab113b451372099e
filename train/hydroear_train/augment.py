"""Training windows: normal ones as another pipe or hour would have them, and the same with a synthetic leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear_train.corpus import Clip
from hydroear_train.curves import resonances, smooth_curves
from hydroear_train.leaks import LeakGenerators
from hydroear_train.spectra import SpectrumBatch

Array = NDArray[np.float32]

_TILT_TERMS = 6


@dataclass(frozen=True)
class Variation:
    """How normal windows are varied.

    Attributes
    ----------
    tilt_db
        Standard deviation of a random smooth curve over the bands.
    resonance_db
        Standard deviation of the heights of narrow peaks and dips.
    texture
        Range of the factor on the deviation of every frame from the window's mean: steadiness is no evidence.
    """

    tilt_db: float
    resonance_db: float
    texture: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of normal audio.

    Attributes
    ----------
    samples
        float32, shape (n, window_samples).
    groups
        The site of each.
    recordings
        The path of the recording that each is of.
    """

    samples: Array
    groups: list[str]
    recordings: list[str]

    def take(self, indices: NDArray[np.intp]) -> Windows:
        """Some of them."""
        return Windows(self.samples[indices], [self.groups[i] for i in indices], [self.recordings[i] for i in indices])


class Augmentation:
    """Makes what the extractor takes out of windows of normal audio.

    Parameters
    ----------
    spec
        The front end.
    variation
        How normal windows are varied.
    leaks
        Puts leaks into them.
    means
        What each band is at each site, shape (n_mels,).
    """

    def __init__(
        self, spec: FrontEndSpec, variation: Variation, leaks: LeakGenerators, means: Mapping[str, Array]
    ) -> None:
        self._variation, self._leaks, self._means = variation, leaks, means
        self._spectra = SpectrumBatch(spec)

    def normals(self, windows: Windows) -> Array:
        """Windows as they are, shape (n, window_frames, n_mels), without level."""
        return self._spectra.features(windows.samples)

    def pairs(self, windows: Windows, rng: np.random.Generator) -> tuple[Array, Array, NDArray[np.int64]]:
        """Varied windows, and the same with a leak.

        Returns
        -------
        normal, leak
            float32, shape (n, window_frames, n_mels) each, without level.
        kinds
            Index of the generator of each leak.
        """
        log_mel = self._spectra.log_mel(windows.samples)
        n, _, bands = log_mel.shape
        mean = log_mel.mean(axis=1, keepdims=True)
        textures = rng.uniform(*self._variation.texture, size=(n, 1, 1)).astype(np.float32)
        curves = smooth_curves(n, bands, self._variation.tilt_db, rng, terms=_TILT_TERMS)
        curves += resonances(n, bands, self._variation.resonance_db, rng)
        textured = mean + (log_mel - mean) * textures
        leak, kinds = self._leaks(textured, rng)
        curves = curves[:, None, :].astype(np.float32)
        return self._spectra.levelled(textured + curves), self._spectra.levelled(leak + curves), kinds

    def centred(self, windows: Array, groups: Sequence[str]) -> Array:
        """Windows without what is normal at their site, as the extractor takes them: (n, window_frames, n_mels, 1)."""
        return (windows - np.stack([self._means[group] for group in groups])[:, None, :])[..., None]


class WindowSampler:
    """Draws windows from clips in memory: any clip, any start.

    Parameters
    ----------
    clips
        Normal audio.
    spec
        The front end.
    rng
        Source of randomness; the same one gives the same windows.
    """

    def __init__(self, clips: Sequence[Clip], spec: FrontEndSpec, rng: np.random.Generator) -> None:
        self._clips, self._length, self._rng = list(clips), spec.window_samples, rng

    def draw(self, count: int) -> Windows:
        """Draw windows."""
        chosen = [self._clips[i] for i in self._rng.integers(len(self._clips), size=count)]
        starts = [int(self._rng.integers(len(clip.samples) - self._length + 1)) for clip in chosen]
        samples = [clip.samples[start : start + self._length] for clip, start in zip(chosen, starts, strict=True)]
        return Windows(np.stack(samples), [clip.group for clip in chosen], [str(clip.entry.path) for clip in chosen])
