"""Extractors: a recipe trained on the normals of each split, heard as a unit hears, on the int8 models."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from hydroear.audio import open_recording
from hydroear.dsp import FrontEnd, FrontEndSpec, Window
from hydroear.model import Bundle, choose_runtime, read_bundle
from hydroear.score import Score, Scorer, SiteCalibration, calibrate
from hydroear_train.compare.cache import Arrays, Cache, code_sha256, digest, library_versions
from hydroear_train.compare.source import Cost
from hydroear_train.compare.splits import Split
from hydroear_train.compare.vectors import Vectors, stack
from hydroear_train.corpus import Entry
from hydroear_train.recipe import Recipe

PRODUCT_AE, PRODUCT_SITE = "product-ae", "product-site"
PRODUCT_BACKENDS = (PRODUCT_AE, PRODUCT_SITE)
"""The bundle's own autoencoder, and what a calibrated unit makes of it together with the site head."""


class Extractor:
    """A recipe.

    Parameters
    ----------
    name
        What the table calls it.
    recipe
        How to train; its seed is replaced.
    hashes
        SHA-256 of each recording.
    cache
        Where bundles are kept, and what they say.
    group_column
        Column that names the site of a recording.
    """

    seeded = True

    def __init__(self, name: str, recipe: Recipe, hashes: dict[Path, str], cache: Cache, *, group_column: str) -> None:
        self.name, self._recipe, self._hashes, self._cache = name, recipe, hashes, cache
        self._group_column, self._runtime = group_column, choose_runtime()

    def key(self, split: Split, seed: int) -> object:
        """What the vectors depend on."""
        sounds = [[self._hashes[entry.path] for entry in side] for side in (split.normals, split.tests)]
        return [self._bundle_key(split, seed), sounds, str(self._runtime), code_sha256(__name__)]

    def vectors(self, split: Split, seed: int) -> Vectors:
        """Whitened embeddings of a split."""
        heard = self._heard(split, seed)
        return Vectors(
            normal=heard["normal"],
            normal_recording=heard["normal_recording"],
            test=heard["test"],
            test_recording=heard["test_recording"],
            start_s=heard["start_s"],
            own_scores={name: heard[name] for name in PRODUCT_BACKENDS},
        )

    def cost(self, split: Split, seed: int) -> Cost:
        """What it costs on a unit."""
        bundle = self._bundle(split, seed)
        return Cost(len(bundle.extractor) + len(bundle.autoencoder), float(self._heard(split, seed)["latency_ms"]))

    def _bundle_key(self, split: Split, seed: int) -> object:
        sounds = [[self._hashes[e.path], e.columns.get(self._group_column, "")] for e in split.training]
        return [digest(self._seeded(seed).to_dict()), sounds, code_sha256("hydroear_train.fit"), library_versions()]

    def _seeded(self, seed: int) -> Recipe:
        return self._recipe.model_copy(update={"seed": seed})

    def _bundle(self, split: Split, seed: int) -> Bundle:
        def make() -> bytes:
            return _train(split.training, self._seeded(seed), name=self.name, group_column=self._group_column)

        return read_bundle(self._cache.path("bundles", ".hydroear", self._bundle_key(split, seed), make))

    def _heard(self, split: Split, seed: int) -> Arrays:
        return self._cache.arrays("heard", self.key(split, seed), lambda: self._hear(split, seed))

    def _hear(self, split: Split, seed: int) -> Arrays:
        scorer = Scorer(self._bundle(split, seed), self._runtime)
        normals, tests = ([_windows(e, scorer.bundle.front_end) for e in side] for side in (split.normals, split.tests))
        site = calibrate(normals, scorer)
        latencies_s: list[float] = []

        def score(window: Window) -> Score:
            begin = time.perf_counter()
            result = scorer.score(window.features, site.band_mean)
            latencies_s.append(time.perf_counter() - begin)
            return result

        learned = [[score(window) for window in windows] for windows in normals]
        heard = [[score(window) for window in windows] for windows in tests]
        normal, normal_recording = stack([np.stack([s.embedding for s in scores]) for scores in learned])
        test, test_recording = stack([np.stack([s.embedding for s in scores]) for scores in heard])
        errors, fused = np.array([_site_scores(site, s) for scores in heard for s in scores]).T
        return {
            "normal": normal,
            "normal_recording": normal_recording,
            "test": test,
            "test_recording": test_recording,
            "start_s": np.array([window.start_s for windows in tests for window in windows]),
            PRODUCT_AE: errors,
            PRODUCT_SITE: fused,
            "latency_ms": np.array(1e3 * np.median(latencies_s)),
        }


def _site_scores(site: SiteCalibration, score: Score) -> tuple[float, float]:
    """The autoencoder's error and the fused score, in deviations from this site's own.

    The tail probability that a unit states rises with the second one, but ends at 12 decades, beyond which windows
    could no longer be put in order.
    """
    error = site.error.standardised(float(np.log(score.error + 1e-12)))
    distance = site.distance.standardised(float(np.log(site.head.distance(score.embedding) + 1e-12)))
    return error, site.fused.standardised(0.5 * (error + distance))


def _windows(entry: Entry, spec: FrontEndSpec) -> list[Window]:
    with open_recording(entry.path) as recording:
        samples = recording.read(recording.frames)[:, 0]
        return FrontEnd(spec, input_rate_hz=recording.rate_hz).push(samples)


def _train(normal: tuple[Entry, ...], recipe: Recipe, *, name: str, group_column: str) -> bytes:
    """The file of a bundle trained on normal recordings."""
    from hydroear_train.fit import fit

    with tempfile.TemporaryDirectory(prefix="hydroear-") as folder:
        outcome = fit(normal, recipe, Path(folder), name=name, group_column=group_column, quiet=True)
        return outcome.bundle_path.read_bytes()
