"""The units as a table of plain text, and the words that every view of them shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from hydroear.room.ledger import SensorView, Severity, UnitView

COLUMNS = (("severity", 12), ("unit", 20), ("sensor", 16), ("state", 12), ("score", 5), ("level", 6))


def rows(units: Sequence[UnitView]) -> list[tuple[UnitView, SensorView | None]]:
    """One row a sensor, the worst first; a unit of which no sensor is known has one of its own."""
    found = [(unit, sensor) for unit in units for sensor in unit.sensors or (None,)]
    return sorted(found, key=lambda row: (severity_of(*row).rank, row[0].unit, row[1].sensor if row[1] else ""))


def severity_of(unit: UnitView, sensor: SensorView | None) -> Severity:
    """How soon somebody has to look at a row; what is wrong with a unit is so for each of its sensors."""
    if sensor is None:
        return unit.severity
    if unit.troubles and sensor.severity.rank > Severity.UNWELL.rank:
        return Severity.UNWELL
    return sensor.severity


def troubles_of(unit: UnitView, sensor: SensorView | None) -> list[str]:
    """What is wrong with a row, once each, the worst first."""
    return list(dict.fromkeys([*(sensor.troubles if sensor else ()), *unit.troubles]))


def cells(unit: UnitView, sensor: SensorView | None) -> tuple[str, ...]:
    """A row's texts, one a column, and what there is to say of it behind them."""
    severity = severity_of(unit, sensor)
    if sensor is None:
        return severity, unit.unit, "-", "-", "-", "-", remark(unit, None)
    score = "-" if sensor.score_decades is None else f"{sensor.score_decades:.1f}"
    level = "-" if sensor.level_db is None else f"{sensor.level_db:.0f} dB"
    return severity, unit.unit, sensor.sensor, sensor.state or "-", score, level, remark(unit, sensor)


def remark(unit: UnitView, sensor: SensorView | None) -> str:
    """What there is to say of a row, the most important first."""
    words = troubles_of(unit, sensor)
    if sensor is not None and sensor.muted_s is not None:
        words.insert(0, "muted: it calls no leak")
    if sensor is not None and sensor.event_id is not None:
        event = next((event for event in unit.events if event.event_id == sensor.event_id), None)
        if event is not None and event.opened_time is not None:
            words.insert(0, f"since {event.opened_time:%m-%d %H:%M}")
    return "; ".join(words)


def table(units: Sequence[UnitView]) -> str:
    """The units as lines of text under a heading."""
    lines = ["  ".join(f"{name:<{width}}" for name, width in COLUMNS).rstrip()]
    for unit, sensor in rows(units):
        *texts, words = cells(unit, sensor)
        columns = "  ".join(f"{text:<{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True))
        lines.append(f"{columns}  {words}".rstrip())
    return "\n".join(lines)


def summary(units: Sequence[UnitView]) -> str:
    """How many sensors there are of each severity, in words."""
    counts = Counter(severity_of(unit, sensor) for unit, sensor in rows(units))
    told = ", ".join(f"{counts[severity]} {severity}" for severity in Severity if counts[severity])
    return f"{len(units)} unit{'' if len(units) == 1 else 's'}{': ' if told else ''}{told}"


def clock(time: datetime) -> str:
    """A time for people."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
