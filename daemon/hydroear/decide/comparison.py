"""Two models that hear the same pipe: the one at work, and its shadow, which waits to take over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """What a model says of one window.

    Attributes
    ----------
    value
        Its score, before that is held against what is normal.
    decades
        How rare that is.
    score_ms
        Time that the models took.
    """

    value: float
    decades: float
    score_ms: float


@dataclass(frozen=True)
class Scores:
    """What a model said of all windows.

    Attributes
    ----------
    p50_decades, p95_decades, p99_decades
        Percentiles of the rarity of single windows.
    low_decades
        Rarity of the low percentile of all, which is what would be held against the raise level.
    median_ms
        Time of a window.
    """

    p50_decades: float
    p95_decades: float
    p99_decades: float
    low_decades: float
    median_ms: float


@dataclass(frozen=True)
class Compared:
    """How a shadow compares with the model at work.

    Attributes
    ----------
    windows
        Windows that the model at work scored.
    missed
        Those of them that the shadow did not.
    agreement
        Share of the others of which both say the same: over the raise level, or not; None without any.
    active, candidate
        What the model at work and its shadow said of those; None without any.
    """

    windows: int
    missed: int
    agreement: float | None
    active: Scores | None
    candidate: Scores | None


class Comparison:
    """Compares a shadow with the model at work, window by window, on one sensor.

    Which of the two is right nobody can know here: the shadow may well hear a leak that the model at work is deaf to.
    But a model that would alarm at once where all was quiet, and one that says the same whatever it hears, is more
    likely wrong than right, and must not take over by itself.

    Parameters
    ----------
    raise_decades, clear_decades
        Levels of the decision.
    low_percentile
        Percentile of the scores of a while that is held against them.
    active_rarity, shadow_rarity
        From that percentile of :attr:`Look.value` to decades, for each model.
    """

    def __init__(
        self,
        *,
        raise_decades: float,
        clear_decades: float,
        low_percentile: float,
        active_rarity: Callable[[float], float],
        shadow_rarity: Callable[[float], float],
    ) -> None:
        self._raise_decades, self._clear_decades = raise_decades, clear_decades
        self._low_percentile = low_percentile
        self._active_rarity, self._shadow_rarity = active_rarity, shadow_rarity
        self._pairs: list[tuple[Look, Look]] = []
        self._missed = 0

    @property
    def windows(self) -> int:
        """Windows that the model at work scored."""
        return len(self._pairs) + self._missed

    def push(self, active: Look, shadow: Look | None) -> None:
        """Take what both say of a window; None for a shadow that has not scored it."""
        if shadow is None:
            self._missed += 1
        else:
            self._pairs.append((active, shadow))

    def result(self) -> Compared:
        """How they compare so far."""
        if not self._pairs:
            return Compared(self.windows, self._missed, None, None, None)
        alike = [
            (active.decades >= self._raise_decades) == (shadow.decades >= self._raise_decades)
            for active, shadow in self._pairs
        ]
        active, shadow = zip(*self._pairs, strict=True)
        return Compared(
            windows=self.windows,
            missed=self._missed,
            agreement=float(np.mean(alike)),
            active=self._scores(active, self._active_rarity),
            candidate=self._scores(shadow, self._shadow_rarity),
        )

    def objection(self) -> str:
        """Why the shadow must not take over, in plain words; empty if nothing speaks against it."""
        result = self.result()
        if 2 * result.missed > result.windows:
            return f"did not score {result.missed} of {result.windows} windows that the model at work scored"
        if result.active is None or result.candidate is None:
            return ""
        active, shadow = zip(*self._pairs, strict=True)
        if _stands_still(shadow) and not _stands_still(active):
            return f"is deaf: it gives at least half of {len(self._pairs)} windows one and the same score"
        low, normal = result.candidate.low_decades, result.active.low_decades
        if low >= self._raise_decades and normal < self._clear_decades:
            return (
                f"would alarm where the model at work hears nothing: {low:.1f} decades over {len(self._pairs)} "
                f"windows, {normal:.1f} by the model at work; the raise level is {self._raise_decades:.1f}"
            )
        return ""

    def _scores(self, looks: tuple[Look, ...], rarity: Callable[[float], float]) -> Scores:
        p50, p95, p99 = np.percentile([look.decades for look in looks], [50.0, 95.0, 99.0])
        return Scores(
            p50_decades=float(p50),
            p95_decades=float(p95),
            p99_decades=float(p99),
            low_decades=rarity(float(np.percentile(_values(looks), self._low_percentile))),
            median_ms=float(np.median([look.score_ms for look in looks])),
        )


def _values(looks: tuple[Look, ...]) -> NDArray[np.float64]:
    return np.array([look.value for look in looks])


def _stands_still(looks: tuple[Look, ...]) -> bool:
    """Whether the middle half of the scores is one: no two windows of real sound give a model that hears the same."""
    lower, upper = np.percentile(_values(looks), [25.0, 75.0])
    return bool(upper == lower)
