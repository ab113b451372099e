"""A lesson: a sensor's site, learned while it is heard."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hydroear.app.intake import Examined, Intake
from hydroear.app.moment import moment_of
from hydroear.app.zone import night_hours
from hydroear.audio import Block, Gap
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CalibrationError
from hydroear.health.clock import clock_quality
from hydroear.model import Bundle
from hydroear.score import Scorer, SiteCalibration
from hydroear.score.learner import SiteLearner
from hydroear.score.night import MIN_COVERAGE, NightHours

log = logging.getLogger(__name__)

SAVE_EVERY_S = 600.0
"""How often what was heard is saved. A choice: at 16 MB a time, more often would wear out a memory card."""


@dataclass(frozen=True)
class Goal:
    """How much to hear: a time, or a number of nights in the night's hours alone.

    Attributes
    ----------
    heard_s
        Length of audio; None where nights are counted.
    nights
        Nights of which at least half was heard; None where the time is counted.
    """

    heard_s: float | None = None
    nights: int | None = None

    def share(self, learner: SiteLearner, nights: int) -> float:
        """How much of it is done, 1 or more at the end."""
        if self.nights is not None:
            return nights / self.nights
        assert self.heard_s is not None
        return learner.heard_s / self.heard_s

    def left(self, learner: SiteLearner, nights: int) -> str:
        """What is still to be heard, in words."""
        if self.nights is not None:
            return f"{self.nights - nights} of {self.nights} nights left"
        assert self.heard_s is not None
        minutes = math.ceil((self.heard_s - learner.heard_s) / 60.0)
        return f"{minutes // 60} h {minutes % 60} min left" if minutes >= 60 else f"{minutes} min left"


@dataclass(frozen=True, eq=False)
class Learned:
    """What came of a calibration.

    Attributes
    ----------
    site
        The site.
    left_out
        Windows that a unit would not score and that were not learned from, by why, in a word; they overlap as those do
        that were learned from.
    """

    site: SiteCalibration
    left_out: Mapping[str, int]


def in_words(left_out: Mapping[str, int]) -> str:
    """How many windows were left out, and why."""
    return ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()))


class Lesson:
    """Learns a sensor's site from its audio; goes on where it was after a restart.

    Parameters
    ----------
    config, sensor
        The unit, and which of its sensors.
    goal
        How much to hear.
    bundle
        What the site is learned for.
    model
        By what the configuration finds the calibrations for it.

    Attributes
    ----------
    out
        Where the calibration is written.

    Raises
    ------
    CalibrationError
        If what was heard before cannot be read.
    """

    def __init__(
        self, config: schema.Config, sensor: schema.Sensor, goal: Goal, *, bundle: Bundle, model: str = ""
    ) -> None:
        self._sensor, self._goal, self._spec = sensor, goal, bundle.front_end
        self.out = config.site_path(sensor, model)
        self._path = config.learning_path(sensor, model)
        self._adaptation_path = config.adaptation_path(sensor, model)
        self._hours = night_hours(config.night)
        self._learner = SiteLearner.load(self._path, bundle) if self._path.exists() else SiteLearner(bundle)
        if self._learner.heard_s:
            log.warning(
                "%s: goes on after %.2f h heard before",
                self._path,
                self._learner.heard_s / 3600.0,
                extra=coded(Code.CALIBRATION_BEGUN, sensor=sensor.id),
            )
        self._intake: Intake | None = None
        self._began_at: int | None = None
        self._saved_s = time.monotonic()
        self._unsaved = False
        self._warned: set[str] = set()

    def standing(self) -> tuple[float, str]:
        """How much of it is done, 1 or more at the end, and what is still to be heard, in words."""
        nights = 0 if self._goal.nights is None else count_nights(self._learner, self._hours, datetime.now(UTC))
        return self._goal.share(self._learner, nights), self._goal.left(self._learner, nights)

    @property
    def heard_s(self) -> float:
        """Length of the audio heard."""
        return self._learner.heard_s

    @property
    def left_out(self) -> Mapping[str, int]:
        """Windows that were not learned from, by why, in a word."""
        return self._learner.left_out

    def begin(self, rate_hz: int, name: object) -> None:
        """The sensor is there: its sample rate, and what an error calls it."""
        reference = self._sensor.source.reference_channel is not None
        self._intake = Intake(self._spec, rate_hz=rate_hz, where=name, reference=reference)

    def hear(self, piece: Block | Gap) -> None:
        """Take the next piece of audio; what was learned is saved now and then.

        Raises
        ------
        CalibrationError
            If it cannot be saved.
        """
        assert self._intake is not None
        if self._began_at is None:
            self._began_at = piece.first_index  # a unit that is asked to learn has heard the sensor before
        piece = piece.counted_from(self._began_at)
        heard: list[Examined] = []
        if isinstance(piece, Gap):
            self._intake.lose(piece)
            if not piece.planned:
                self._warn(piece.reason, f"audio lost: {piece.reason}")
            elif self._unsaved:  # a recording is over, and soon forgotten
                self.save()
        else:
            heard = self._intake.hear(piece)
        night = None
        if self._goal.nights is not None:
            moment = moment_of(piece)
            night = self._hours.night_of(moment.time)
            if not moment.recorded and clock_quality() == "unsynchronised":
                self._warn("clock", "the clock is not synchronised: nights may be other hours")
        if self._goal.nights is None or night is not None:
            for examined in heard:
                self._take(examined, None if night is None else night.isoformat())
        if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what was learned so far.

        Raises
        ------
        CalibrationError
            If it cannot be written.
        """
        self._saved_s = time.monotonic()
        self._learner.save(self._path)
        self._unsaved = False

    def finish(
        self, scorer: Scorer, *, accept_anyway: bool, progress: Callable[[float], None] | None = None
    ) -> Learned:
        """Learn the site from what was heard, and write the calibration.

        Raises
        ------
        CalibrationError
            If the site cannot pass for healthy, or nothing can be written; what was heard is kept.
        """
        try:
            site = self._learner.finish(scorer, accept_anyway=accept_anyway, progress=progress)
        except CalibrationError as error:
            fix = "mend that, remove this file and calibrate again; or insist with --accept-anyway"
            raise CalibrationError(error.what, where=self._path, expected=error.expected, fix=fix) from error
        site.save(self.out)
        # What a unit followed since the calibration before says nothing about this one.
        self._adaptation_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        return Learned(site, self._learner.left_out)

    def forget(self) -> None:
        """Throw away what was heard."""
        self._path.unlink(missing_ok=True)

    def broken_off(self, why: str) -> CalibrationError:
        """The error of a lesson that ends before its goal."""
        left_out = self._learner.left_out
        return CalibrationError(
            f"{why} after {self.heard_s:.0f} s of audio"
            + (f" and windows left out: {in_words(left_out)}" if left_out else ""),
            where=self._path,
            expected=f"more: {self.standing()[1]}",
            fix="give the same command to go on",
        )

    def _take(self, examined: Examined, night: str | None) -> None:
        """Learn from a window that a unit would score; take note of another."""
        if examined.unfit:
            self._learner.leave_out(examined.unfit)
            self._warn(examined.unfit, f"left out: {examined.reason}")
            return
        self._learner.hear(examined.window, night=night)
        self._unsaved = True
        if examined.ailment is not None:
            self._warn(f"slightly {examined.ailment.cause}", examined.ailment.text)

    def _warn(self, cause: str, text: str) -> None:
        """Log a problem, the first time."""
        if cause not in self._warned:
            self._warned.add(cause)
            log.warning("%s: %s", self._sensor.id, text, extra=coded(Code.SENSOR_AILING, sensor=self._sensor.id))


def count_nights(learner: SiteLearner, hours: NightHours, now: datetime) -> int:
    """Nights that are over and of which at least half was heard."""
    count = 0
    for name, heard_s in learner.nights.items():
        begin, end = hours.bounds(datetime.fromisoformat(name).date())
        over = not begin <= now < end
        count += over and heard_s >= MIN_COVERAGE * (end - begin).total_seconds()
    return count
