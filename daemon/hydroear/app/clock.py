"""Who speaks and when: stamps for messages."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hydroear.mqtt.payloads import Clock, Stamp

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


def stamper(unit: str) -> Callable[[int], Stamp]:
    """A function that stamps the message of a number with the time now."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot_id = "unknown"

    def stamp(seq: int) -> Stamp:
        return Stamp(unit=unit, time=datetime.now(UTC), clock=clock_quality(), boot_id=boot_id, seq=seq)

    return stamp
