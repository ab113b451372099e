"""Control features: what was used before features were learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear_train.cache import Arrays, Cache, code_sha256, library_versions
from hydroear_train.compare.vectors import Vectors, stack
from hydroear_train.corpus import Entry, load_clips
from hydroear_train.features import control_features
from hydroear_train.spectra import window_grid
from hydroear_train.splits import Split


class ControlFeature:
    """One of :data:`hydroear_train.features.FEATURES`, of every window.

    Parameters
    ----------
    name
        Which.
    spec
        The front end.
    hashes
        SHA-256 of each recording.
    cache
        Where the vectors of a recording are kept.
    """

    seeded = False

    def __init__(self, name: str, spec: FrontEndSpec, hashes: dict[Path, str], cache: Cache) -> None:
        self.name, self._spec, self._hashes, self._cache = name, spec, hashes, cache

    def key(self, split: Split, seed: int) -> object:  # noqa: ARG002
        """What the vectors depend on."""
        return [[self._key(entry) for entry in side] for side in (split.normals, split.tests, split.leaks)]

    def vectors(self, split: Split, seed: int) -> Vectors:  # noqa: ARG002
        """Vectors of a split."""
        normals, tests = ([self._of(entry) for entry in side] for side in (split.normals, split.tests))
        start_s = np.concatenate([np.arange(len(vectors)) for vectors in tests]) * self._spec.window_hop_s
        none = np.zeros((0, normals[0].shape[1]), np.float32)
        leak = np.concatenate([none, *(self._of(entry) for entry in split.leaks)])
        return Vectors(*stack(normals), *stack(tests), start_s, leak, {})

    def cost(self, split: Split, seed: int) -> None:
        """No unit runs it."""

    def _key(self, entry: Entry) -> object:
        return [self.name, self._spec.sha256, self._hashes[entry.path], code_sha256(__name__), library_versions()]

    def _of(self, entry: Entry) -> NDArray[np.float32]:
        def make() -> Arrays:
            clip = load_clips([entry], self._spec, group_column="", quiet=True)[0]
            return {"vectors": control_features(self.name, window_grid(clip.samples, self._spec), self._spec)}

        return self._cache.arrays("vectors", self._key(entry), make)["vectors"]
