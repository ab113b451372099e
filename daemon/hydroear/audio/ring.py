"""The latest audio of a stream, kept so that what led to an event can still be heard."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hydroear.audio.block import Block, Gap, Samples


@dataclass(frozen=True, eq=False)
class Stretch:
    """A run of audio in which some samples may be lost.

    Attributes
    ----------
    rate_hz
        Sample rate.
    first_index
        Index of the first sample in the stream.
    samples
        float32, shape (n,), full scale ±1; zero where audio was lost.
    heard
        bool, shape (n,): False where audio was lost.
    """

    rate_hz: int
    first_index: int
    samples: Samples
    heard: NDArray[np.bool_]

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.first_index + len(self.samples)

    @property
    def length_s(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate_hz

    @property
    def lost_share(self) -> float:
        """Share of its samples that were lost, 0 to 1; 0 where there are none."""
        return 1.0 - float(self.heard.mean()) if len(self.heard) else 0.0


class Ring:
    """Holds the last seconds of one channel; what is older is overwritten.

    Parameters
    ----------
    rate_hz
        Sample rate.
    seconds
        How much it holds, above 0.

    Attributes
    ----------
    end_index
        Index in the stream of the sample that comes next.
    """

    def __init__(self, rate_hz: int, seconds: float) -> None:
        self.rate_hz = rate_hz
        self._capacity = max(1, math.ceil(seconds * rate_hz))
        self._samples: Samples = np.zeros(self._capacity, np.float32)
        self._heard = np.zeros(self._capacity, np.bool_)
        self.end_index = 0

    def push(self, piece: Block | Gap) -> None:
        """Take the next piece, a block, of which the first channel is held, or a gap."""
        self._put(max(0, piece.first_index - self.end_index), None)
        if isinstance(piece, Gap):
            self._put(piece.length, None)
        else:
            self._put(len(piece.samples), piece.samples[:, 0])

    def last(self, seconds: float) -> Stretch:
        """The last seconds, or what there is of them."""
        return self.between(self.end_index - round(seconds * self.rate_hz), self.end_index)

    def between(self, first_index: int, end_index: int) -> Stretch:
        """The audio from one index to before another, or what is held of it; a copy."""
        first = max(0, first_index, self.end_index - self._capacity)
        places = self._places(first, max(first, min(end_index, self.end_index)))
        samples, heard = (np.concatenate([held[place] for place in places]) for held in (self._samples, self._heard))
        return Stretch(self.rate_hz, first, samples, heard)

    def _put(self, length: int, samples: Samples | None) -> None:
        self.end_index += length
        kept = min(length, self._capacity)
        places = self._places(self.end_index - kept, self.end_index)
        done = length - kept
        for place in places:
            begin, done = done, done + place.stop - place.start
            self._samples[place] = 0.0 if samples is None else samples[begin:done]
            self._heard[place] = samples is not None

    def _places(self, first_index: int, end_index: int) -> tuple[slice, slice]:
        """Where a stretch of at most the capacity is held: up to the seam of the ring, and from its beginning on."""
        first = first_index % self._capacity
        over = max(0, first + end_index - first_index - self._capacity)
        return slice(first, first + end_index - first_index - over), slice(0, over)
