"""The audio of a training run, and where its windows come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hydroear.dsp import FrontEndSpec
from hydroear.errors import AudioError, UsageError
from hydroear_train.augment import Array, Augmentation, Variation, WindowSampler
from hydroear_train.corpus import LEAK, NORMAL, Clip, Entry, load_clips, simulated_clips
from hydroear_train.leaks import LeakGenerators
from hydroear_train.recipe import Recipe
from hydroear_train.simulate import random_leak_noise
from hydroear_train.spectra import band_means

if TYPE_CHECKING:
    from hydroear_train.shards import Shards
    from hydroear_train.strategy import Workers

Stream = Callable[..., Any]
"""Takes a ``seed``; gives a stream of windows as those of :mod:`hydroear_train.stream`."""

_SAMPLED_STRETCHES = 256


@dataclass(frozen=True)
class Rows:
    """Rows of a manifest to train on.

    Attributes
    ----------
    normal, leaks
        Normal recordings, and recordings of leaks if they are to be learned from.
    group_column
        Column that names the site of a recording.
    """

    normal: list[Entry]
    leaks: list[Entry]
    group_column: str

    @classmethod
    def choose(cls, entries: Sequence[Entry], *, group_column: str, supervised: bool) -> Rows:
        """Choose rows by their label.

        Raises
        ------
        UsageError
            If a class is missing.
        """
        normal = [entry for entry in entries if entry.label == NORMAL]
        leaks = [entry for entry in entries if supervised and entry.label == LEAK]
        if not normal:
            raise UsageError("no row is labelled normal", where="manifest", expected="recordings of normal pipes")
        if supervised and not leaks:
            raise UsageError(
                "one class is missing: no row is labelled leak",
                where="manifest",
                expected="recordings of leaks, for the recipe says pretext.supervised",
                fix="add some, or learn from synthetic leaks alone",
            )
        return cls(normal, leaks, group_column)

    @property
    def all(self) -> list[Entry]:
        """Normal recordings and leaks."""
        return [*self.normal, *self.leaks]


@dataclass(frozen=True)
class Material:
    """Normal audio, taken apart; made by :meth:`load`, or by :meth:`stream` where it is larger than memory.

    Attributes
    ----------
    rows
        What it is of.
    training, held_out
        The first and the last part of every recording; a sample of them if they are streamed.
    simulated
        Simulated normal pipes.
    normal_streams
        Windows of the training part and of simulated pipes, if there are any.
    leak_stream
        Windows of real leaks, if they are learned from.
    means
        What each band is at each site.
    augmentation
        Makes training windows.
    sampler, validation
        Draw windows from the training part and from the held-out part.
    rng
        Source of randomness of everything drawn here.
    """

    rows: Rows
    training: list[Clip]
    held_out: list[Clip]
    simulated: list[Clip]
    normal_streams: list[Stream]
    leak_stream: Stream | None
    means: dict[str, Array]
    augmentation: Augmentation
    sampler: WindowSampler
    validation: WindowSampler
    rng: np.random.Generator

    @classmethod
    def load(cls, rows: Rows, recipe: Recipe, *, quiet: bool) -> Material:
        """Read recordings into memory and take them apart as a recipe says.

        Raises
        ------
        AudioError
            If a recording cannot be used, or is too short to be taken apart.
        UsageError
            If there are leaks at a site without normal recordings.
        """
        spec = recipe.spec
        clips = load_clips(rows.all, spec, group_column=rows.group_column, quiet=quiet)
        normal, leaks = clips[: len(rows.normal)], clips[len(rows.normal) :]
        training, held_out = split(normal, spec, recipe.validation_fraction)

        from hydroear_train.stream import stream_clips

        return cls._prepare(
            rows,
            recipe,
            training=training,
            held_out=held_out,
            means=band_means(training, spec),
            stream=partial(stream_clips, training, spec.window_samples),
            leak_stream=partial(stream_clips, leaks, spec.window_samples) if leaks else None,
            quiet=quiet,
        )

    @classmethod
    def stream(
        cls, rows: Rows, recipe: Recipe, cache: Path, workers: Workers, *, data_sha256: str, quiet: bool
    ) -> Material:
        """Put recordings into shards, one at a time and taken apart as a recipe says, and stream from there.

        Parameters
        ----------
        rows
            What to read.
        recipe
            How to train.
        cache
            Folder of the shards. Those of the same recordings that are there already are used again.
        workers
            This worker among the others: the first writes, the others take what it has written if they see the folder.
        data_sha256
            What tells the rows from others.
        quiet
            Whether to show no progress.

        Raises
        ------
        AudioError
            If a recording cannot be used, or is too short to be taken apart.
        UsageError
            If there are leaks at a site without normal recordings.
        HydroearError
            If the shards cannot be written or read.
        """
        from hydroear_train.shards import read_clips, write_shards
        from hydroear_train.stream import stream_shards

        spec, fraction = recipe.spec, recipe.validation_fraction

        def read(entries: list[Entry]) -> Iterator[Clip]:
            return read_clips(entries, spec, group_column=rows.group_column, quiet=quiet)

        def shards(part: str, clips: Iterator[Clip]) -> Shards:
            data = f"{part} {fraction} {rows.group_column} {data_sha256}"
            return workers.chief_first(lambda: write_shards(clips, spec, cache, data=data))

        training = shards("training", (split([clip], spec, fraction)[0][0] for clip in read(rows.normal)))
        held_out = shards("held out", (split([clip], spec, fraction)[1][0] for clip in read(rows.normal)))
        leaks = shards("leaks", read(rows.leaks)) if rows.leaks else None
        return cls._prepare(
            rows,
            recipe,
            training=training.clips(_SAMPLED_STRETCHES, seed=recipe.seed),
            held_out=held_out.clips(_SAMPLED_STRETCHES, seed=recipe.seed),
            means=training.means,
            stream=partial(stream_shards, training),
            leak_stream=partial(stream_shards, leaks) if leaks else None,
            quiet=quiet,
        )

    @classmethod
    def _prepare(
        cls,
        rows: Rows,
        recipe: Recipe,
        *,
        training: list[Clip],
        held_out: list[Clip],
        means: dict[str, Array],
        stream: Stream,
        leak_stream: Stream | None,
        quiet: bool,
    ) -> Material:
        spec, normals = recipe.spec, recipe.normals
        for entry in rows.leaks:
            if (site := entry.columns.get(rows.group_column, "")) not in means:
                raise UsageError(
                    f"a leak at {rows.group_column} {site!r}, but no normal recording",
                    where=entry.path,
                    expected="normal recordings at every site with leaks",
                    fix="leave it out of the manifest",
                )
        rng, held_out_rng = np.random.default_rng(recipe.seed), np.random.default_rng([recipe.seed, 1])
        simulated = simulated_clips(normals.simulated_sites, normals.simulated_s, spec, seed=recipe.seed, quiet=quiet)
        normal_streams = [stream]
        if simulated:
            from hydroear_train.stream import stream_clips

            normal_streams.append(partial(stream_clips, simulated, spec.window_samples))
        means = means | band_means(simulated, spec)
        variation = Variation(normals.tilt_db, normals.resonance_db, normals.texture)
        leaks = LeakGenerators(spec, recipe.leaks.weights, recipe.leaks.snr_db, rng)
        return cls(
            rows=rows,
            training=training,
            held_out=held_out,
            simulated=simulated,
            normal_streams=normal_streams,
            leak_stream=leak_stream,
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
