"""What the raw samples of a stretch of a stream are like, before anything is filtered out of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.audio.block import CLIP_LEVEL
from hydroear.audio.flatline import Flatline

PIECE_S = 0.1
"""Length of the pieces in which samples are counted."""


@dataclass(frozen=True)
class Vitals:
    """Raw samples of a stretch, full scale 1.

    Attributes
    ----------
    flat
        Whether they stood still somewhere in it.
    clipped_share
        Share of samples at full scale, 0 to 1.
    offset
        Their mean, -1 to 1.
    """

    flat: bool
    clipped_share: float
    offset: float


@dataclass(frozen=True)
class _Piece:
    end: int
    clipped: int
    total: float


class VitalSigns:
    """Remembers what the latest samples of a stream were like.

    They are counted in pieces of :data:`PIECE_S` from where the stream, or what comes after lost samples, begins: what
    they were like does not depend on how they were cut into blocks.

    Parameters
    ----------
    rate_hz
        Sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._flatline = Flatline(rate_hz)
        self._piece = max(1, round(PIECE_S * rate_hz))
        self._pieces: deque[_Piece] = deque()
        self._rest = np.zeros(0, np.float32)
        self._end = 0

    def push(self, samples: NDArray[np.float32], first_index: int) -> None:
        """Take the next samples, shape (n,); the first has the given index in the stream."""
        if not len(samples):
            return
        self._flatline.push(samples, first_index)
        if first_index != self._end:
            self._rest = self._rest[:0]
        self._end = first_index + len(samples)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // self._piece * self._piece
        self._rest = samples[whole:].copy()
        pieces = samples[:whole].reshape(-1, self._piece)
        clipped = np.count_nonzero(np.abs(pieces) >= CLIP_LEVEL, axis=1)
        totals = pieces.sum(axis=1, dtype=np.float64)
        ends = range(self._end - len(samples) + self._piece, self._end + 1, self._piece)
        self._pieces += map(_Piece, ends, clipped.tolist(), totals.tolist())

    def of(self, first: int, end: int) -> Vitals:
        """Between two indices, of the pieces that end there; what lies before the first is forgotten.

        Samples from the second on that were pushed already do not count.
        """
        while self._pieces and self._pieces[0].end <= first:
            self._pieces.popleft()
        pieces = [piece for piece in self._pieces if piece.end <= end]
        count = max(1, len(pieces) * self._piece)
        return Vitals(
            flat=self._flatline.overlaps(first, end, known_end=end),
            clipped_share=sum(piece.clipped for piece in pieces) / count,
            offset=sum(piece.total for piece in pieces) / count,
        )
