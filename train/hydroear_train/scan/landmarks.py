"""Landmarks: the loudest instants of a recording, by which the same sound is found at another gain or shifted."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Samples

LENGTH = 512
"""Samples around an instant: long enough that two noises do not agree by chance."""
MOST = 4
"""Landmarks of a recording."""
SAME = 0.98
"""Absolute correlation from which two landmarks are the same sound: noise 14 dB below it, or 8 bits, is forgiven."""
_ROWS = 256


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The loudest instants of a recording.

    Attributes
    ----------
    positions
        int64, shape (k,): index of the sample, k at most :data:`MOST`.
    shapes
        float32, shape (k, LENGTH): the differenced sound around each, of unit norm.
    """

    positions: NDArray[np.int64]
    shapes: NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """Two recordings of one sound.

    Attributes
    ----------
    first, second
        Their indices, first < second.
    shift
        Samples by which the sound lies later in the second.
    """

    first: int
    second: int
    shift: int


class LandmarkTracker:
    """Finds the landmarks of a stream: the largest step from sample to sample in each block, of those the largest.

    An instant is found wherever the recording begins and whatever its gain, because the content chooses it. Steps
    rather than samples, because the swing of mains hum looks the same everywhere.
    """

    def __init__(self) -> None:
        self._last: Samples = np.zeros(0, np.float32)
        self._steps: Samples = np.zeros(0, np.float32)
        self._first = 0
        self._found: list[tuple[float, int, Samples]] = []

    def push(self, samples: Samples) -> None:
        """Take the next samples, shape (n,)."""
        steps = np.concatenate([self._steps, np.diff(samples, prepend=self._last)])
        self._last = samples[-1:]
        half = LENGTH // 2
        if len(steps) > LENGTH:
            centre = half + int(np.argmax(np.abs(steps[half:-half])))
            around = steps[centre - half : centre + half]
            if around.any():
                shape = (around / np.linalg.norm(around)).astype(np.float32)
                # The earlier of two equal ones wins; the position is never equal, so shapes are never compared.
                heapq.heappush(self._found, (float(np.abs(steps[centre])), -(self._first + centre), shape))
                if len(self._found) > MOST:
                    heapq.heappop(self._found)
            self._first += len(steps) - LENGTH
            steps = steps[-LENGTH:]
        self._steps = steps

    @property
    def landmarks(self) -> Landmarks:
        """What was found so far."""
        shapes = [shape for _, _, shape in self._found]
        return Landmarks(
            np.array([-position for _, position, _ in self._found], np.int64),
            np.array(shapes, np.float32).reshape(-1, LENGTH),
        )


def find_matches(recordings: Sequence[Landmarks]) -> list[Match]:
    """Recordings that hold the same sound.

    Two landmarks, or the only one of a recording that has no more, must agree at one shift: a click that a recorder
    makes whenever it is switched on is not enough. Overlapping cuts are found when they share their loudest instants.

    Parameters
    ----------
    recordings
        All of one sample rate.

    Returns
    -------
    list of Match
        In order, each pair once.
    """
    if not recordings:
        return []
    counts = np.array([len(found.positions) for found in recordings])
    owner = np.repeat(np.arange(len(recordings)), counts)
    position = np.concatenate([found.positions for found in recordings])
    shapes = np.concatenate([found.shapes for found in recordings])
    votes: dict[Match, int] = {}
    for begin in range(0, len(shapes), _ROWS):
        rows, columns = np.nonzero(np.abs(shapes[begin : begin + _ROWS] @ shapes.T) >= SAME)
        for row, column in zip(rows + begin, columns, strict=True):
            if owner[row] < owner[column]:
                match = Match(int(owner[row]), int(owner[column]), int(position[column] - position[row]))
                votes[match] = votes.get(match, 0) + 1
    enough = {match for match, count in votes.items() if count >= min(2, counts[match.first], counts[match.second])}
    # Where several shifts agree, as in a periodic sound, the one with most votes speaks for the pair.
    best: dict[tuple[int, int], Match] = {}
    for match in sorted(enough, key=lambda match: (votes[match], -abs(match.shift))):
        best[match.first, match.second] = match
    return sorted(best.values(), key=lambda match: (match.first, match.second))
