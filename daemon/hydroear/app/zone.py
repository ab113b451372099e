"""The time of the day where a unit stands."""

from __future__ import annotations

from datetime import UTC, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from hydroear.config import schema
from hydroear.score.night import NightHours


def local_zone() -> tzinfo:
    """The time zone that the machine is set to, with its summer time; UTC where it is set to none."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def night_hours(settings: schema.Night) -> NightHours:
    """The night of a configuration, by the machine's time zone."""
    return NightHours(time.fromisoformat(settings.from_), time.fromisoformat(settings.to), local_zone())
