"""Durations as people write them."""

from __future__ import annotations

import re

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90s``, ``10m``, ``1.5h`` or ``2d``.

    Raises
    ------
    ValueError
        If it is not a positive number with one of these units.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0.0:
        raise ValueError(f"bad duration {text!r}; expected a number with s, m, h or d, such as 90s, 10m or 24h")
    return seconds
