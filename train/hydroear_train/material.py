"""The audio of a training run, and where its windows come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hydroear.dsp import FrontEndSpec
from hydroear.errors import AudioError
from hydroear_train.augment import Array, Augmentation, Variation, WindowSampler
from hydroear_train.corpus import Clip, simulated_clips
from hydroear_train.leaks import LeakGenerators
from hydroear_train.recipe import Recipe
from hydroear_train.simulate import random_leak_noise
from hydroear_train.spectra import band_means


@dataclass(frozen=True)
class Material:
    """Normal audio, taken apart.

    Attributes
    ----------
    training, held_out
        The first and the last part of every recording.
    simulated
        Simulated normal pipes.
    means
        What each band is at each site.
    augmentation
        Makes training windows.
    sampler, validation
        Draw windows from the training part and from the held-out part.
    rng
        Source of randomness of everything drawn here.
    """

    training: list[Clip]
    held_out: list[Clip]
    simulated: list[Clip]
    means: dict[str, Array]
    augmentation: Augmentation
    sampler: WindowSampler
    validation: WindowSampler
    rng: np.random.Generator

    @classmethod
    def prepare(cls, clips: Sequence[Clip], recipe: Recipe, *, quiet: bool) -> Material:
        """Take clips apart as a recipe says.

        Raises
        ------
        AudioError
            If a clip is too short to be taken apart.
        """
        spec, normals = recipe.spec, recipe.normals
        rng, held_out_rng = np.random.default_rng(recipe.seed), np.random.default_rng([recipe.seed, 1])
        training, held_out = split(clips, spec, recipe.validation_fraction)
        simulated = simulated_clips(normals.simulated_sites, normals.simulated_s, spec, seed=recipe.seed, quiet=quiet)
        means = band_means([*training, *simulated], spec)
        variation = Variation(normals.tilt_db, normals.resonance_db, normals.texture)
        leaks = LeakGenerators(spec, recipe.leaks.weights, recipe.leaks.snr_db, rng)
        return cls(
            training=training,
            held_out=held_out,
            simulated=simulated,
            means=means,
            augmentation=Augmentation(spec, variation, leaks, means),
            sampler=WindowSampler(training, spec, rng),
            validation=WindowSampler(held_out, spec, held_out_rng),
            rng=rng,
        )

    def leak_noise(self, spec: FrontEndSpec) -> Array:
        """The sound of a leak, shape (window_samples,), root mean square 1."""
        return random_leak_noise(spec.window_samples, spec.rate_hz, self.rng)


def split(clips: Sequence[Clip], spec: FrontEndSpec, fraction: float) -> tuple[list[Clip], list[Clip]]:
    """The first part of every recording to train on, the last to validate on; neither shorter than a window.

    Raises
    ------
    AudioError
        If a recording is shorter than two windows.
    """
    training, held_out = [], []
    for clip in clips:
        cut = min(int(len(clip.samples) * (1 - fraction)), len(clip.samples) - spec.window_samples)
        if cut < spec.window_samples:
            raise AudioError(
                f"{len(clip.samples) / spec.rate_hz:.1f} s are too short to train and validate on",
                where=clip.entry.path,
                expected=f"at least {2 * spec.window_s:.1f} s",
                fix="leave it out of the manifest",
            )
        training.append(replace(clip, samples=clip.samples[:cut]))
        held_out.append(replace(clip, samples=clip.samples[cut:]))
    return training, held_out
