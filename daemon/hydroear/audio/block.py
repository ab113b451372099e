"""Blocks of samples, gaps where samples were lost, and their level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CLIP_LEVEL = 0.999
"""Absolute sample value, full scale 1, from which a sample counts as clipped."""


@dataclass(frozen=True, eq=False)
class Block:
    """A run of samples without loss.

    Attributes
    ----------
    samples
        float32, shape (n, channels), full scale ±1, finite. Of a source, the pipe's channel is the first, and the
        reference's the second if there is one.
    first_index
        Index of the first sample since the source was opened, counting lost samples.
    monotonic_s
        Monotonic time at which the last sample was received, or taken, where that is known, in seconds.
    utc_s
        When it was taken, in seconds since 1970-01-01T00:00:00Z, by the clock of a device that recorded it and told
        its time; None where this machine's clocks know best.
    again
        Whether it is of a recording that was begun to be heard before, and is heard once more.
    """

    samples: Samples
    first_index: int
    monotonic_s: float
    utc_s: float | None = None
    again: bool = False

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.first_index + len(self.samples)

    def counted_from(self, index: int) -> Block:
        """The same samples, for who has heard the stream from this index on."""
        return replace(self, first_index=self.first_index - index)


@dataclass(frozen=True)
class Gap:
    """Samples that were lost, or never meant to be taken, and why.

    Attributes
    ----------
    first_index
        Index of the first of them.
    length
        Number of samples, at least 1.
    reason
        What lost them, in plain words.
    planned
        Whether the sensor was not meant to listen then: a logger that records by night. Nothing is lost by that.
    utc_s
        Up to when that was so, in seconds since 1970-01-01T00:00:00Z, where it was planned and that is known.
    """

    first_index: int
    length: int
    reason: str
    planned: bool = False
    utc_s: float | None = None

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.first_index + self.length

    def counted_from(self, index: int) -> Gap:
        """The same loss, for who has heard the stream from this index on."""
        return replace(self, first_index=self.first_index - index)


def channels_of(samples: Samples, channels: Sequence[int]) -> Samples:
    """The channels of the given numbers, counted from 1, in that order; a copy of shape (n, len(channels))."""
    return np.ascontiguousarray(samples[:, [channel - 1 for channel in channels]])


def level_db(samples: Samples) -> float | None:
    """Root-mean-square level in dB relative to full scale (±1).

    Returns
    -------
    float or None
        ``20 log10(rms)``, at most 0 dB for audio within full scale; None for digital silence
        and for no samples at all, which have no level.
    """
    if samples.size == 0:
        return None
    mean_square = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10.0 * float(np.log10(mean_square)) if mean_square > 0.0 else None


def clipped_count(samples: Samples) -> int:
    """Number of samples at or beyond :data:`CLIP_LEVEL`."""
    return int(np.count_nonzero(np.abs(samples) >= CLIP_LEVEL))
