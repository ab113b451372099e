"""Who speaks and when: stamps for messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hydroear.health.clock import clock_quality
from hydroear.mqtt.payloads import Stamp


def stamper(unit: str | None, bundle: str | None) -> Callable[[int], Stamp]:
    """A function that stamps the message of a number with the time now; no unit or bundle where none can be told."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot_id = "unknown"

    def stamp(seq: int) -> Stamp:
        now = datetime.now(UTC)
        return Stamp(unit=unit, time=now, clock=clock_quality(), boot_id=boot_id, seq=seq, bundle=bundle)

    return stamp
