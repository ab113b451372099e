"""The bundle that ships with the package: trained on simulated pipes, for the demo, the tests and a first look.

It has heard no real pipe. A unit in the field wants a bundle trained on real ones.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hydroear_train.corpus import read_manifest
from hydroear_train.fit import Outcome, fit
from hydroear_train.recipe import Recipe
from hydroear_train.simulate import nights
from hydroear_train.simulate.corpus import Recording, write_recordings

_SITES = 96
_SECONDS = 40.0
_SEED = 1
_RECIPE = Recipe()


def make_demo_bundle(out: Path, *, quiet: bool = False) -> Outcome:
    """Simulate a corpus of normal pipes, train on it and put the bundle at `out`."""
    with tempfile.TemporaryDirectory(prefix="hydroear-") as folder:
        corpus, run = Path(folder) / "corpus", Path(folder) / "run"
        write_recordings(
            corpus,
            (
                Recording(f"simulated_{number:02d}", site, _SEED, scene)
                for number, (site, scene) in enumerate(nights(_SITES, _SECONDS, seed=_SEED))
            ),
        )
        outcome = fit(
            read_manifest(corpus / "manifest.csv"), _RECIPE, run, name=out.stem, group_column="site", quiet=quiet
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(outcome.bundle_path, out)
    return outcome
