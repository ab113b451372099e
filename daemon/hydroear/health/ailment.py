"""What is wrong with the samples of a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hydroear.audio.vitals import Vitals

CLIPPED_SHARE = 0.2
"""From this share of samples at full scale on, what is left of a window is mostly distortion."""
OFFSET = 0.25
"""From this mean on, full scale 1, the converter or the supply is broken; a working one stays far below."""
SLIGHT_OFFSET = 0.02
FAINT_DB = 20.0
"""So far below the quietest of the commissioning a pipe is not heard any more: a cable is off, or the sensor fell off.

A choice. A water main at night is some dB quieter than by day, and the commissioning heard nights.
"""


class Cause(StrEnum):
    """What an ailment is."""

    FLAT = "flat"
    OFFSET = "offset"
    CLIPPED = "clipped"
    FAINT = "faint"
    LOST = "lost"


@dataclass(frozen=True)
class Ailment:
    """Something that is wrong.

    Attributes
    ----------
    cause
        What.
    deafening
        Whether a window with it must not be scored.
    text
        What was measured and what to do, in plain words.
    """

    cause: Cause
    deafening: bool
    text: str


def examine(vitals: Vitals, level_db: float | None, *, quietest_db: float | None) -> Ailment | None:
    """The worst ailment of a window, or none.

    Parameters
    ----------
    vitals
        Of its raw samples.
    level_db
        Level of the window above the high-pass; None for digital silence.
    quietest_db
        Level of the quietest windows when the site was learned; None where that was not.
    """
    if vitals.flat or level_db is None:
        return Ailment(Cause.FLAT, True, "the audio stands still: digital silence, a dead cable or a stuck converter")
    if abs(vitals.offset) >= OFFSET:
        return Ailment(
            Cause.OFFSET,
            True,
            f"the samples lie {vitals.offset:+.2f} of full scale off zero: check the supply and the converter",
        )
    if vitals.clipped_share >= CLIPPED_SHARE:
        return Ailment(
            Cause.CLIPPED, True, f"{100 * vitals.clipped_share:.0f} % of the samples are clipped: lower the gain"
        )
    if quietest_db is not None and level_db < quietest_db - FAINT_DB:
        return Ailment(
            Cause.FAINT,
            True,
            f"{quietest_db - level_db:.0f} dB fainter than the quietest of the commissioning: check the mounting and "
            "the cable",
        )
    if vitals.clipped_share > 0.0:
        return Ailment(Cause.CLIPPED, False, "some samples are clipped: lower the gain if this recurs")
    if abs(vitals.offset) >= SLIGHT_OFFSET:
        return Ailment(Cause.OFFSET, False, f"the samples lie {vitals.offset:+.2f} of full scale off zero")
    return None
