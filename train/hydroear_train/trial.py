"""Trials: a recipe trained on one side of a split and heard on the other, as a unit at the site would hear."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import open_recording
from hydroear.dsp import FrontEnd, FrontEndSpec, Window
from hydroear.errors import AudioError
from hydroear.model import Bundle, choose_runtime, pack_bundle, read_bundle
from hydroear.score import Parts, Score, Scorer, SiteCalibration, calibrate
from hydroear_train.cache import Arrays, Cache, code_sha256, digest, library_versions
from hydroear_train.corpus import Entry
from hydroear_train.recipe import Recipe
from hydroear_train.splits import Split

SITE, PARTS = "site", tuple(field.name for field in fields(Parts))
"""The fused site score, and what it is fused from."""
DECADES = "decades"
"""What a unit makes of the site score: minus log10 of the probability of a normal window to score as high."""


class Trials:
    """Bundles that a recipe gives for splits, and what units with them hear; both are kept.

    Parameters
    ----------
    name
        What the bundles are called.
    recipe
        How to train; its seed is replaced.
    hashes
        SHA-256 of each recording.
    cache
        Where bundles are kept, and what they say.
    group_column
        Column that names the site of a recording.
    """

    def __init__(self, name: str, recipe: Recipe, hashes: dict[Path, str], cache: Cache, *, group_column: str) -> None:
        self.name, self._recipe, self._hashes, self._cache = name, recipe, hashes, cache
        self._group_column, self._runtime = group_column, choose_runtime()

    def bundle_key(self, split: Split, seed: int) -> object:
        """What a bundle depends on, as JSON values: splits with the same training recordings share it."""
        sounds = [[self._hashes[e.path], e.columns.get(self._group_column, "")] for e in split.training]
        recipe = digest(self._seeded(seed).to_dict())
        return [self.name, recipe, sounds, code_sha256("hydroear_train.fit"), library_versions()]

    def key(self, split: Split, seed: int) -> object:
        """What :meth:`heard` depends on, as JSON values."""
        sounds = [[self._hashes[entry.path] for entry in side] for side in (split.normals, split.tests)]
        return [self.bundle_key(split, seed), sounds, str(self._runtime), code_sha256(__name__)]

    def bundle(self, split: Split, seed: int) -> Bundle:
        """The bundle trained for a split."""
        key = self.bundle_key(split, seed)

        def make() -> bytes:
            from hydroear_train.fit import train_bundle

            begin_s = time.perf_counter()
            trained = train_bundle(
                split.training, self._seeded(seed), name=self.name, group_column=self._group_column, quiet=True
            )
            self._fit_s(key, time.perf_counter() - begin_s)
            return pack_bundle(trained.bundle)

        return read_bundle(self._cache.path("bundles", ".hydroear", key, make))

    def fit_s(self, split: Split, seed: int) -> float:
        """How long its training took; NaN where that was not kept."""
        return self._fit_s(self.bundle_key(split, seed), float("nan"))

    def is_heard(self, split: Split, seed: int) -> bool:
        """Whether :meth:`heard` only has to look it up."""
        return self._cache.find("heard", ".npz", self.key(split, seed)) is not None

    def heard(self, split: Split, seed: int) -> Arrays:
        """What a unit hears that is calibrated on the normals of a split.

        Returns
        -------
        dict of ndarray
            Of the normals: ``normal``, float32, shape (m, whitened), their embeddings, and ``normal_recording``, shape
            (m,), the number of the recording of each window. Of the tests: ``test``, float32, shape (n, whitened),
            ``recording`` and ``start_s``, shape (n,), which recording each window lies in and where it begins, and
            float64, shape (n,), the scores :data:`SITE` and :data:`PARTS`, in deviations from the site's own, and
            :data:`DECADES`. And ``latency_ms``, the median time that a score took.

        Raises
        ------
        HydroearError
            If a recording or the recipe cannot be used.
        """
        return self._cache.arrays("heard", self.key(split, seed), lambda: self._hear(split, seed))

    def _seeded(self, seed: int) -> Recipe:
        return self._recipe.model_copy(update={"seed": seed})

    def _fit_s(self, key: object, new: float) -> float:
        return float(self._cache.path("fit_s", ".txt", key, lambda: repr(new).encode()).read_text())

    def _hear(self, split: Split, seed: int) -> Arrays:
        scorer = Scorer(self.bundle(split, seed), self._runtime)
        normals, tests = ([windows(e, scorer.bundle.front_end) for e in side] for side in (split.normals, split.tests))
        site = calibrate(normals, scorer)
        latencies_s: list[float] = []

        def score(window: Window) -> Score:
            begin_s = time.perf_counter()
            result = scorer.score(window.features, site.band_mean)
            latencies_s.append(time.perf_counter() - begin_s)
            return result

        learned, heard = ([[score(window) for window in recording] for recording in side] for side in (normals, tests))
        site_scores = [_site_scores(site, s) for scores in heard for s in scores]
        return {
            "normal": np.stack([s.embedding for scores in learned for s in scores]),
            "normal_recording": _recordings(learned),
            "test": np.stack([s.embedding for scores in heard for s in scores]),
            "recording": _recordings(heard),
            "start_s": np.array([window.start_s for recording in tests for window in recording]),
            **{name: np.array([scores[name] for scores in site_scores]) for name in (SITE, *PARTS, DECADES)},
            "latency_ms": np.array(1e3 * np.median(latencies_s)),
        }


def _site_scores(site: SiteCalibration, score: Score) -> dict[str, float]:
    """The fused score and its parts, in deviations from this site's own, and its tail probability.

    The tail probability that a unit states rises with the fused one, but ends at 12 decades, beyond which windows
    could no longer be put in order.
    """
    parts = site.parts(score)
    return {
        SITE: site.fused.standardised(parts.fused),
        **asdict(parts),
        DECADES: site.fused.decades(parts.fused),
    }


def windows(entry: Entry, spec: FrontEndSpec) -> list[Window]:
    """The windows of a recording (first channel), as a unit hears them.

    Returns
    -------
    list of Window
        At least one.

    Raises
    ------
    AudioError
        If it cannot be read, is shorter than a window or holds one of digital silence.
    """
    with open_recording(entry.path) as recording:
        samples, rate_hz = recording.read(recording.frames)[:, 0], recording.rate_hz
    try:
        found = FrontEnd(spec, input_rate_hz=rate_hz).push(samples)
    except AudioError as error:
        raise AudioError(error.what, where=entry.path, expected=error.expected, fix=error.fix) from error
    if not found:
        raise AudioError(
            f"{len(samples) / rate_hz:.2f} s are too short",
            where=entry.path,
            expected=f"at least {spec.window_s:.2f} s",
            fix="leave it out of the manifest",
        )
    if silent := [window for window in found if window.level_db is None]:
        raise AudioError(
            f"digital silence at {silent[0].start_s:g} s", where=entry.path, fix="leave it out of the manifest"
        )
    return found


def _recordings(parts: Sequence[Sequence[Any]]) -> NDArray[np.intp]:
    """The number of the part that each item lies in."""
    return np.repeat(np.arange(len(parts)), [len(part) for part in parts])
