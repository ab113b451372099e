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
    """

    samples: Samples
    first_index: int
    monotonic_s: float

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.first_index + len(self.samples)

    def counted_from(self, index: int) -> Block:
        """The same samples, for who has heard the stream from this index on."""
        return replace(self, first_index=self.first_index - index)


@dataclass(frozen=True)
class Gap:
    """Samples that were lost, and why.

    Attributes
    ----------
    first_index
        Index of the first lost sample.
    length
        Number of lost samples, at least 1.
    reason
        What lost them, in plain words.
    """

    first_index: int
    length: int
    reason: str

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
