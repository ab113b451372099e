"""Who speaks and when: stamps for messages."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from hydroear.config import schema
from hydroear.mqtt.payloads import Clock, Stamp
from hydroear.score.night import NightHours

_TIMEX_BYTES = 512
_TIME_ERROR = 5


def clock_quality() -> Clock:
    """Whether the kernel holds the clock to be synchronised (adjtimex(2): its state is TIME_ERROR where it is not)."""
    try:
        # A zeroed struct timex asks for nothing and changes nothing; the buffer is larger than the struct on any ABI.
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return "unknown"
    if state < 0:
        return "unknown"
    return "unsynchronised" if state == _TIME_ERROR else "synchronised"


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


def stamper(unit: str) -> Callable[[int], Stamp]:
    """A function that stamps the message of a number with the time now."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot_id = "unknown"

    def stamp(seq: int) -> Stamp:
        return Stamp(unit=unit, time=datetime.now(UTC), clock=clock_quality(), boot_id=boot_id, seq=seq)

    return stamp
