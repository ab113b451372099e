"""Whether the clock can be trusted, and how far."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from typing import Literal

Clock = Literal["synchronised", "unsynchronised", "unknown"]

_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and room for the rest of it on any ABI."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 512),
    )


def clock_quality() -> Clock:
    """Whether the kernel holds the clock to be synchronised (adjtimex(2): its state is TIME_ERROR where it is not)."""
    return _ask()[0]


def trusted_utc_s() -> float | None:
    """Seconds since 1970-01-01T00:00:00Z; None where the clock is not known to be synchronised."""
    return time.time() if clock_quality() == "synchronised" else None


def clock_error_s() -> float | None:
    """The most that the kernel holds the clock to be off; None while it is not synchronised, or does not tell.

    It is adjtimex(2)'s ``maxerror``: what the time service stated, and 500 ppm of the time since.
    """
    quality, error_us = _ask()
    return 1e-6 * error_us if quality == "synchronised" else None


def _ask() -> tuple[Clock, int]:
    """The state of the clock, and its largest error in microseconds."""
    timex = _Timex()  # zeroed, it asks for nothing and changes nothing
    try:
        state = _libc().adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return "unknown", 0
    if state < 0:
        return "unknown", 0
    return "unsynchronised" if state == _TIME_ERROR else "synchronised", timex.maxerror


@cache
def _libc() -> ctypes.CDLL:
    """Looked up once: a window asks, and there are 90,000 of them in a day."""
    return ctypes.CDLL(None, use_errno=True)
