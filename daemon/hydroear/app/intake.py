"""A sensor's audio as windows, each with why it must not be scored, if so; nor may a site be learned from it then."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hydroear.audio import Block, Gap
from hydroear.audio.vitals import VitalSigns
from hydroear.decide import Miss
from hydroear.dsp import CommonSound, FrontEnd, FrontEndSpec, ReferencedFrontEnd, Window
from hydroear.errors import AudioError
from hydroear.health import Ailment, examine

AIRBORNE_SHARE = 0.5
"""From this share of its power on, a window is more what is in the air than what is on the pipe.

Chance makes less than 0.02 of it, and delay and echoes only make it smaller, so that it takes a sound that really is in
the air. But a leak is in the air as well where the pipe radiates it: so a window is airborne only if what both channels
hear is also louder in the reference.
"""

AIRBORNE = "airborne"


@dataclass(frozen=True, eq=False)
class Examined:
    """A window, and what it is like.

    Attributes
    ----------
    window
        The window.
    ailment
        What is wrong with its audio; None if nothing is.
    common
        What the reference channel hears of it; None without one.
    """

    window: Window
    ailment: Ailment | None = None
    common: CommonSound | None = None

    @property
    def miss(self) -> Miss | None:
        """Why it must not be scored; None if it may."""
        if self.ailment is not None and self.ailment.deafening:
            return Miss.FLAT
        return Miss.DROWNED if self.common is not None and _airborne(self.common) else None

    @property
    def unfit(self) -> str:
        """The same in one word: the cause of the ailment, or :data:`AIRBORNE`; empty if it may be scored."""
        if self.miss is Miss.DROWNED:
            return AIRBORNE
        return "" if self.miss is None or self.ailment is None else self.ailment.cause.value

    @property
    def reason(self) -> str:
        """The same in plain words."""
        if self.miss is Miss.DROWNED and self.common is not None:
            return f"{100 * self.common.share:.0f} % of what the pipe sounds like is a sound in the air: not scored"
        return "" if self.miss is None or self.ailment is None else self.ailment.text


class Intake:
    """Takes in the audio of one sensor.

    Parameters
    ----------
    spec
        The front end of the bundle.
    rate_hz
        Sample rate of the source.
    where
        What an error calls the source.
    reference
        Whether it has a reference channel, which vetoes airborne sounds.
    quietest_db
        Level of the quietest windows when the site was learned; None where that was not.

    Raises
    ------
    AudioError
        If the rate cannot carry the band of the front end.
    """

    def __init__(
        self, spec: FrontEndSpec, *, rate_hz: int, where: object, reference: bool, quietest_db: float | None = None
    ) -> None:
        try:
            self._front_end = FrontEnd(spec, input_rate_hz=rate_hz)
        except AudioError as error:
            raise AudioError(error.what, where=where, expected=error.expected, fix=error.fix) from error
        self._rate_hz, self._quietest_db = rate_hz, quietest_db
        self._vital_signs = VitalSigns(rate_hz)
        self._referenced = ReferencedFrontEnd(self._front_end) if reference else None
        self._reference_signs = VitalSigns(rate_hz)

    @property
    def windows_lost(self) -> int:
        """Windows that held lost audio and were not given out."""
        return self._front_end.windows_skipped

    def hear(self, block: Block) -> list[Examined]:
        """Take the next samples, shape (n, 1), or (n, 2) with a reference channel; give the windows now complete."""
        samples = block.samples[:, 0]
        self._vital_signs.push(samples, block.first_index)
        if self._referenced is None:
            return [self._examine(window, None) for window in self._front_end.push(samples)]
        self._reference_signs.push(block.samples[:, 1], block.first_index)
        return [self._examine(window, common) for window, common in self._referenced.push(block.samples)]

    def lose(self, gap: Gap) -> None:
        """Take note of samples that are lost, or were not to be taken."""
        (self._referenced or self._front_end).lose(gap.length, counted=not gap.planned)

    def _examine(self, window: Window, common: CommonSound | None) -> Examined:
        first, end = math.floor(window.start_s * self._rate_hz), math.ceil(window.end_s * self._rate_hz)
        ailment = examine(self._vital_signs.of(first, end), window.level_db, quietest_db=self._quietest_db)
        if ailment is None and common is not None:
            ailment = self._examine_reference(first, end)
        return Examined(window, ailment, common)

    def _examine_reference(self, first: int, end: int) -> Ailment | None:
        """What keeps the reference channel from vetoing; the pipe is scored without it."""
        found = examine(self._reference_signs.of(first, end), 0.0, quietest_db=None)
        if found is None or not found.deafening:
            return None
        return replace(found, deafening=False, text=f"the reference channel cannot veto: {found.text}")


def _airborne(common: CommonSound) -> bool:
    return common.share >= AIRBORNE_SHARE and common.louder_db is not None and common.louder_db >= 0.0
