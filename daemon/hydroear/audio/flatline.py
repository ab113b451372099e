"""Stretches of audio in which nothing moves: digital silence, a dead wire, a stuck converter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_S = 0.1
"""Shortest run of equal samples that no living sensor gives."""

_NOTHING = np.array([np.nan], np.float32)
"""Stands before the first sample: no sample is equal to it."""


class Flatline:
    """Remembers where a stream stood still.

    Parameters
    ----------
    rate_hz
        Sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._min_run = max(2, round(MIN_S * rate_hz))
        self._last = _NOTHING
        self._run_start = 0
        self._end = 0
        self._flat: list[tuple[int, int]] = []

    def push(self, samples: NDArray[np.float32], first_index: int) -> None:
        """Take the next samples, shape (n,); the first has the given index in the stream."""
        if not len(samples):
            return
        before = self._last if first_index == self._end else _NOTHING
        stands = samples == np.concatenate([before, samples[:-1]])
        if not stands[0]:
            self._close_run()
            self._run_start = first_index
        self._last = samples[-1:].copy()
        self._end = first_index + len(samples)
        # Of a living sensor few samples are equal to the one before: too few for a stretch, wherever they are.
        if first_index - self._run_start + np.count_nonzero(stands) < self._min_run - 1:
            since = int(np.argmin(stands[::-1]))
            if since or not stands[-1]:
                self._run_start = self._end - 1 - since
            return
        changes = first_index + np.flatnonzero(~stands)
        if len(changes):
            edges = np.concatenate([[self._run_start], changes])
            long = np.flatnonzero(np.diff(edges) >= self._min_run)
            self._flat += [(int(edges[i]), int(edges[i + 1])) for i in long]
            self._run_start = int(changes[-1])

    def overlaps(self, first: int, end: int, *, known_end: int | None = None) -> bool:
        """Whether any flat stretch lies between two indices; what lies before the first is forgotten.

        Parameters
        ----------
        first, end
            The indices.
        known_end
            Index from which on samples are left out of account, so that the answer does not depend on how many were
            pushed already; None for none.
        """
        return self.first_in(first, end, known_end=known_end) is not None

    def first_in(self, first: int, end: int, *, known_end: int | None = None) -> int | None:
        """Where the first flat stretch that :meth:`overlaps` finds begins; None where it finds none."""
        self._flat = [run for run in self._flat if run[1] > first]
        known_end = self._end if known_end is None else known_end
        for start, stop in [*self._flat, (self._run_start, self._end)]:
            if start < end and stop > first and min(stop, known_end) - start >= self._min_run:
                return start
        return None

    def _close_run(self) -> None:
        if self._end - self._run_start >= self._min_run:
            self._flat.append((self._run_start, self._end))
