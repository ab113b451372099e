"""What samples stand for: from fractions of full scale to a unit of physics."""

from __future__ import annotations

from dataclasses import dataclass

_DIGITS = 4
"""No sensor on a pipe is known better."""


@dataclass(frozen=True)
class Scale:
    """What a sensor measures, and how much of it full scale is.

    Attributes
    ----------
    unit
        ``Pa``, ``m/s²``, ``m/s`` or ``V``.
    full_scale
        What a sample of 1 stands for, in that unit, above 0.
    """

    unit: str
    full_scale: float

    def __str__(self) -> str:
        return f"{self.full_scale:g} {self.unit}"


def level_of(level_db: float | None, scale: Scale | None) -> float | None:
    """Root mean square in the unit of a scale, to four digits, of a level in dB relative to full scale.

    None where there is no level, or no scale.
    """
    if level_db is None or scale is None:
        return None
    return float(f"{scale.full_scale * 10.0 ** (level_db / 20.0):.{_DIGITS}g}")


def unit_of(scale: Scale | None) -> str | None:
    """The unit of a scale; None where there is none."""
    return None if scale is None else scale.unit
