"""The bundle that ships with the package: trained on simulated pipes, for the demo, the tests and a first look.

It has heard no real pipe. A unit in the field wants a bundle trained on real ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydroear_train.corpus import read_manifest
from hydroear_train.fit import Outcome, fit
from hydroear_train.recipe import Recipe
from hydroear_train.simulate import random_site, random_spans, render
from hydroear_train.simulate.corpus import Recording, write_recordings

_SITES = 48
_SECONDS = 60.0
_SEED = 1
_WATER_DRAWN = ("tap", "flush")


def make_demo_bundle(out: Path, *, quiet: bool = False) -> Outcome:
    """Simulate a corpus of normal pipes, train the default recipe on it and put the bundle at `out`."""
    with tempfile.TemporaryDirectory(prefix="hydroear-") as folder:
        corpus, run = Path(folder) / "corpus", Path(folder) / "run"
        write_recordings(corpus, _nights())
        outcome = fit(
            read_manifest(corpus / "manifest.csv"), Recipe(), run, name=out.stem, group_column="site", quiet=quiet
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(outcome.bundle_path, out)
    return outcome


def _nights() -> Iterator[Recording]:
    """Normal pipes in the small hours, when nobody draws water: an open tap and a leak are both a jet, and what is
    normal must not have leaks in it."""
    for number in range(_SITES):
        rng = np.random.default_rng([_SEED, number])
        site = random_site(rng, name=f"simulated-site-{number:02d}")
        spans = [span for span in random_spans(site, _SECONDS, rng) if span.kind not in _WATER_DRAWN]
        seed = int(rng.integers(2**31))
        yield Recording(f"simulated_{number:02d}", site, seed, render(site, spans, _SECONDS, seed=seed))
