"""Stretches of audio in which nothing moves: digital silence, a dead wire, a stuck converter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_S = 0.1
"""Shortest run of equal samples that no living sensor gives."""


class Flatline:
    """Remembers where a stream stood still.

    Parameters
    ----------
    rate_hz
        Sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._min_run = max(2, round(MIN_S * rate_hz))
        self._value: float | None = None
        self._run_start = 0
        self._end = 0
        self._flat: list[tuple[int, int]] = []

    def push(self, samples: NDArray[np.float32], first_index: int) -> None:
        """Take the next samples, shape (n,); the first has the given index in the stream."""
        if not len(samples):
            return
        if self._value is None or first_index != self._end or samples[0] != self._value:
            self._close_run()
            self._run_start = first_index
        changes = first_index + 1 + np.flatnonzero(samples[1:] != samples[:-1])
        self._end = first_index + len(samples)
        self._value = float(samples[-1])
        if len(changes):
            edges = np.concatenate([[self._run_start], changes])
            long = np.flatnonzero(np.diff(edges) >= self._min_run)
            self._flat += [(int(edges[i]), int(edges[i + 1])) for i in long]
            self._run_start = int(changes[-1])

    def overlaps(self, first: int, end: int) -> bool:
        """Whether any flat stretch lies between two indices; what lies before the first is forgotten."""
        self._flat = [run for run in self._flat if run[1] > first]
        running = (self._run_start, self._end) if self._end - self._run_start >= self._min_run else None
        return any(start < end and stop > first for start, stop in [*self._flat, *([running] if running else [])])

    def _close_run(self) -> None:
        if self._value is not None and self._end - self._run_start >= self._min_run:
            self._flat.append((self._run_start, self._end))
