"""How unusual it is for a pipe to sound as it does for as long as it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.score.distribution import Distribution

CONDITION_S = 60.0
"""For how long a pipe's operating condition is taken to last. A choice; every stretch of audio has its own."""

MIN_WINDOWS = 4
"""A percentile of fewer windows than this is no percentile."""
MIN_STRETCHES = 6
"""From fewer stretches than this nothing is said of how they scatter."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The fused scores that a site was learned from, in order.

    Attributes
    ----------
    fused
        float32, shape (n,).
    step_s
        Seconds from one to the next.
    """

    fused: NDArray[np.float32]
    step_s: float

    def stretches(self, horizon_s: float, percentile: float, *, windows: Distribution) -> Distribution:
        """Distribution of a percentile of the scores over stretches of a length.

        A window is loud by chance, a whole stretch is not. What scatters from stretch to stretch is the pipe's
        operating condition, by less than windows do, and by how much is learned here. It is expected to be as much as
        windows scatter; every stretch counts as one condition against that, as in :meth:`Distribution.of`, so that it
        takes a day to know better. Where too little was heard to tell, stretches are taken to scatter as windows do.

        Parameters
        ----------
        horizon_s
            Length of a stretch.
        percentile
            Which percentile, 0 to 100.
        windows
            Distribution of single windows.
        """
        count = round(horizon_s / self.step_s)
        stretches = len(self.fused) // count if count >= MIN_WINDOWS else 0
        if stretches < MIN_STRETCHES:
            return windows
        blocks = self.fused[: stretches * count].reshape(stretches, count).astype(np.float64)
        values = np.percentile(blocks, percentile, axis=1)
        return Distribution.of(values, conditions=stretches, expected_deviation=windows.deviation)
