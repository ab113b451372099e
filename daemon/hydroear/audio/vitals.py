"""What the raw samples of a stretch of a stream are like, before anything is filtered out of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.audio.block import CLIP_LEVEL
from hydroear.audio.flatline import Flatline


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
    first: int
    end: int
    clipped: int
    total: float


class VitalSigns:
    """Remembers what the latest samples of a stream were like.

    Parameters
    ----------
    rate_hz
        Sample rate.
    """

    def __init__(self, rate_hz: int) -> None:
        self._flatline = Flatline(rate_hz)
        self._pieces: deque[_Piece] = deque()

    def push(self, samples: NDArray[np.float32], first_index: int) -> None:
        """Take the next samples, shape (n,); the first has the given index in the stream."""
        if not len(samples):
            return
        self._flatline.push(samples, first_index)
        clipped = int(np.count_nonzero(np.abs(samples) >= CLIP_LEVEL))
        total = float(samples.sum(dtype=np.float64))
        self._pieces.append(_Piece(first_index, first_index + len(samples), clipped, total))

    def of(self, first: int, end: int) -> Vitals:
        """Between two indices, to the precision of the pieces pushed; what lies before the first is forgotten."""
        while self._pieces and self._pieces[0].end <= first:
            self._pieces.popleft()
        pieces = [piece for piece in self._pieces if piece.first < end]
        count = sum(piece.end - piece.first for piece in pieces)
        return Vitals(
            flat=self._flatline.overlaps(first, end),
            clipped_share=sum(piece.clipped for piece in pieces) / max(1, count),
            offset=sum(piece.total for piece in pieces) / max(1, count),
        )
