"""The minimum-night level as a message."""

from __future__ import annotations

from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.score.night import Night


def night_message(unit: str, sensor: str, night: Night, stamp: payloads.Stamp) -> Message:
    """What is told of a night that is over; the broker keeps the last one."""
    body = payloads.Night(
        sensor=sensor,
        night=night.night.isoformat(),
        start_time=night.start_time,
        end_time=night.end_time,
        clock_trusted=night.clock_trusted,
        coverage=round(night.coverage, 3),
        silent=round(night.silent, 3),
        minimum_db=_rounded(night.minimum_db),
        persistent_db=_rounded(night.persistent_db),
        spread_db=_rounded(night.spread_db),
        histogram_start_db=night.histogram_start_db,
        histogram=night.histogram,
        problem=night.problem,
    )
    return Message(topics.night(unit, sensor), payloads.encode(body, stamp), Kind.STATE, retain=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
