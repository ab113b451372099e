"""Vectors of windows, and what a back-end makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear_train.detectors import SUPERVISED, make_detector, supervised_scores


@dataclass(frozen=True, eq=False)
class Vectors:
    """What a source says of a split.

    Attributes
    ----------
    normal
        float32, shape (m, d): of the windows to fit a back-end on.
    normal_recording
        Shape (m,): number of the recording of each.
    test
        float32, shape (n, d): of the windows to score.
    test_recording, start_s
        Shape (n,): number of the recording of each, and where in it the window begins.
    leak
        float32, shape (k, d): of windows with leaks to learn from; None where the source has none.
    own_scores
        float64, shape (n,) each: of the back-ends that the source brings along, by name.
    """

    normal: NDArray[np.float32]
    normal_recording: NDArray[np.intp]
    test: NDArray[np.float32]
    test_recording: NDArray[np.intp]
    start_s: NDArray[np.float64]
    leak: NDArray[np.float32] | None
    own_scores: dict[str, NDArray[np.float64]]

    def scores(self, backend: str, *, seed: int) -> NDArray[np.float64]:
        """Scores of the test windows, shape (n,), by a back-end fitted on the normal ones."""
        if backend in self.own_scores:
            return self.own_scores[backend]
        if backend == SUPERVISED and self.leak is not None:
            return supervised_scores(self.normal, self.leak, self.test)
        recordings = [str(number) for number in self.normal_recording]
        return make_detector(backend, seed=seed).fit(self.normal, recordings).score(self.test)


def stack(recordings: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Vectors of recordings one below the other, and the number of the recording of each."""
    return np.concatenate(recordings), np.repeat(np.arange(len(recordings)), [len(part) for part in recordings])
