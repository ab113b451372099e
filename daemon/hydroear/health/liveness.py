"""Liveness: whether a sensor hears, as a pure state machine over what became of its audio."""

from __future__ import annotations

from enum import StrEnum

from hydroear.health.ailment import Ailment

FAILED_AFTER_S = 60.0
"""So long without a window that could be scored, a sensor has failed."""
HEALTHY_AFTER_S = 30.0
"""So long without an ailment, it is healthy again."""


class Condition(StrEnum):
    """How a sensor is doing.

    ``degraded`` hears, but something is wrong with what it hears; ``recovering`` hears nothing yet or no more; in
    ``failed`` that has lasted.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    RECOVERING = "recovering"
    FAILED = "failed"


class Liveness:
    """The condition of one sensor.

    Attributes
    ----------
    ailment
        What is or was last wrong, in plain words; empty while it is healthy.
    """

    def __init__(self) -> None:
        self.ailment = "no audio yet"
        self._deaf = True
        self._now_s = self._heard_s = 0.0
        self._ailing_s: float | None = None

    @property
    def condition(self) -> Condition:
        """The condition now."""
        if self._deaf:
            long = self._now_s - self._heard_s >= FAILED_AFTER_S
            return Condition.FAILED if long else Condition.RECOVERING
        return Condition.HEALTHY if self._ailing_s is None else Condition.DEGRADED

    def hear(self, end_s: float, ailment: Ailment | None) -> Condition:
        """Take note of a window that ends at `end_s` in the stream, and of what is wrong with it."""
        self._now_s = end_s
        if ailment is not None:
            self._ailing_s, self.ailment = end_s, ailment.text
        self._deaf = ailment is not None and ailment.deafening
        if not self._deaf:
            self._heard_s = end_s
            if self._ailing_s is None or end_s - self._ailing_s >= HEALTHY_AFTER_S:
                self._ailing_s, self.ailment = None, ""
        return self.condition

    def lose(self, end_s: float, reason: str) -> Condition:
        """Take note of lost audio up to `end_s`."""
        self._now_s = self._ailing_s = end_s
        self._deaf, self.ailment = True, reason
        return self.condition
