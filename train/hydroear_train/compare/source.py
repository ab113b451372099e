"""What every source of vectors is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hydroear_train.compare.vectors import Vectors
from hydroear_train.splits import Split


@dataclass(frozen=True)
class Cost:
    """What a source costs on a unit: bytes of both int8 models, and milliseconds that they take for a window."""

    int8_bytes: int
    latency_ms: float


class Source(Protocol):
    """Turns the windows of recordings into vectors.

    Attributes
    ----------
    name
        What the table calls it.
    seeded
        Whether another seed gives other vectors.
    """

    name: str
    seeded: bool

    def key(self, split: Split, seed: int) -> object:
        """What the vectors depend on, as JSON values."""
        ...

    def vectors(self, split: Split, seed: int) -> Vectors:
        """Vectors of a split."""
        ...

    def cost(self, split: Split, seed: int) -> Cost | None:
        """What it costs on a unit; None for what no unit runs."""
        ...
