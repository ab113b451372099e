"""Durations as people write them."""

from __future__ import annotations

import re

from hydroear.errors import UsageError

_UNIT_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``15m``, ``24h``, ``1.5h`` or ``7d``.

    Raises
    ------
    UsageError
        If it is none, or not longer than nothing.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|min|m|h|d)", text.strip(), re.ASCII)
    seconds = float(match[1]) * _UNIT_S[match[2]] if match else 0.0
    if seconds <= 0.0:
        raise UsageError(
            f"bad duration {text!r}", expected="a number over 0 with a unit: s, m, h or d", fix="write 24h for a day"
        )
    return seconds
