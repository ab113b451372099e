"""Calibration: a site learned from recordings of it, or live from the sensor of a unit."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from hydroear.app.display import Progress
from hydroear.app.intake import Examined, Intake
from hydroear.app.owner import check_user
from hydroear.app.zone import night_hours
from hydroear.audio import Block, Gap, open_recording
from hydroear.audio.flatline import Flatline
from hydroear.capture import RecordingSource, Source, open_source
from hydroear.config import schema
from hydroear.dsp import FrontEndSpec, Window
from hydroear.errors import CalibrationError, OutboxOwnedError, UsageError
from hydroear.health.clock import clock_quality
from hydroear.model import choose_runtime, read_bundle
from hydroear.model.slots import bundle_to_run, candidate_to_run, trusted_keys
from hydroear.outbox import own_queue
from hydroear.score import Scorer, SiteCalibration, calibrate
from hydroear.score.baseline import judge
from hydroear.score.learner import SiteLearner
from hydroear.score.night import MIN_COVERAGE, NightHours

log = logging.getLogger(__name__)

SAVE_EVERY_S = 600.0
"""How often what was heard is saved. A choice: at 16 MB a time, more often would wear out a memory card."""

_SHORT_WINDOWS = 100
_DENSE = 12
# So short a calibration is read with windows that overlap by eleven twelfths: they say little more, but what they say
# does not hang on where the first one began.


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


class LiveCalibration:
    """Learns a sensor's site from its source; goes on where it was after a restart.

    Parameters
    ----------
    config
        The unit.
    sensor_id
        Which of its sensors.
    goal
        How much to hear.
    candidate
        Whether for the bundle that waits to be activated, rather than for the one that the unit runs.

    Attributes
    ----------
    out
        Where the calibration is written.

    Raises
    ------
    UsageError
        If there is no such sensor or bundle, or another user owns the unit's state.
    """

    def __init__(self, config: schema.Config, sensor_id: str, goal: Goal, *, candidate: bool = False) -> None:
        sensors = {sensor.id: sensor for sensor in config.sensors}
        if sensor_id not in sensors:
            raise UsageError(f"no sensor {sensor_id!r}", where="--sensor", expected=f"one of {', '.join(sensors)}")
        check_user(config.state_dir)
        self._config, self._sensor, self._goal = config, sensors[sensor_id], goal
        self._choice = candidate_to_run(config) if candidate else bundle_to_run(config)
        self.out = config.site_path(self._sensor, self._choice.model)
        self._path = config.learning_path(self._sensor, self._choice.model)
        self._hours = night_hours(config.night)
        self._stopping = False
        self._warned: set[str] = set()

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from a signal handler."""
        self._stopping = True

    def run(self, *, accept_anyway: bool, progress: Progress) -> Learned:
        """Hear what the goal asks for, and write the sensor's calibration.

        Raises
        ------
        UsageError
            If a running unit owns the state.
        CalibrationError
            If the site cannot pass for healthy, or was not heard to the end; what was heard is kept.
        HydroearError
            If the bundle or the source cannot be used.
        """
        config, sensor = self._config, self._sensor
        bundle = self._choice.read(trusted_keys(config))
        scorer = Scorer(bundle, choose_runtime(config.runtime))
        with _unit_at_rest(config):
            learner = SiteLearner.load(self._path, bundle) if self._path.exists() else SiteLearner(bundle)
            if learner.heard_s:
                log.warning("%s: goes on after %.2f h heard before", self._path, learner.heard_s / 3600.0)
            if self._goal.share(learner, self._nights(learner)) < 1.0:
                try:
                    with closing(open_source(sensor.source)) as source:
                        self._listen(source, learner, bundle.front_end, progress)
                finally:
                    learner.save(self._path)
            try:
                site = learner.finish(scorer, accept_anyway=accept_anyway, progress=partial(progress, "learning"))
            except CalibrationError as error:
                fix = "mend that, remove this file and calibrate again; or insist with --accept-anyway"
                raise CalibrationError(error.what, where=self._path, expected=error.expected, fix=fix) from error
            site.save(self.out)
            # What a unit followed since the calibration before says nothing about this one.
            config.adaptation_path(sensor, self._choice.model).unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        return Learned(site, learner.left_out)

    def _listen(self, source: Source, learner: SiteLearner, spec: FrontEndSpec, progress: Progress) -> None:
        reference = self._sensor.source.reference_channel is not None
        intake = Intake(spec, rate_hz=source.rate_hz, where=source.name, reference=reference)
        saved_s = time.monotonic()
        while (piece := source.read()) is not None:
            if self._stopping:
                self._give_up("stopped", learner)
            heard: list[Examined] = []
            if isinstance(piece, Gap):
                intake.lose(piece)
                self._warn(piece.reason, f"audio lost: {piece.reason}")
            else:
                heard = intake.hear(piece)
            night = self._hours.night_of(datetime.now(UTC)) if self._goal.nights is not None else None
            if self._goal.nights is not None and clock_quality() == "unsynchronised":
                self._warn("clock", "the clock is not synchronised: nights may be other hours")
            if self._goal.nights is None or night is not None:
                for examined in heard:
                    self._take(examined, learner, None if night is None else night.isoformat())
            nights = self._nights(learner)
            share, left = self._goal.share(learner, nights), self._goal.left(learner, nights)
            progress(f"hearing {self._sensor.id}, {left}", min(0.999, share))
            if share >= 1.0:
                return
            if time.monotonic() - saved_s >= SAVE_EVERY_S:
                saved_s = time.monotonic()
                learner.save(self._path)
        self._give_up("the recordings ended", learner)

    def _take(self, examined: Examined, learner: SiteLearner, night: str | None) -> None:
        """Learn from a window that a unit would score; take note of another."""
        if examined.unfit:
            learner.leave_out(examined.unfit)
            self._warn(examined.unfit, f"left out: {examined.reason}")
            return
        learner.hear(examined.window, night=night)
        if examined.ailment is not None:
            self._warn(f"slightly {examined.ailment.cause}", examined.ailment.text)

    def _warn(self, cause: str, text: str) -> None:
        """Log a problem, the first time."""
        if cause not in self._warned:
            self._warned.add(cause)
            log.warning("%s: %s", self._sensor.id, text)

    def _give_up(self, why: str, learner: SiteLearner) -> None:
        raise CalibrationError(
            f"{why} after {learner.heard_s:.0f} s of audio"
            + (f" and windows left out: {in_words(learner.left_out)}" if learner.left_out else ""),
            where=self._path,
            expected=f"more: {self._goal.left(learner, self._nights(learner))}",
            fix="give the same command to go on",
        )

    def _nights(self, learner: SiteLearner) -> int:
        return 0 if self._goal.nights is None else count_nights(learner, self._hours, datetime.now(UTC))


def count_nights(learner: SiteLearner, hours: NightHours, now: datetime) -> int:
    """Nights that are over and of which at least half was heard."""
    count = 0
    for name, heard_s in learner.nights.items():
        begin, end = hours.bounds(datetime.fromisoformat(name).date())
        over = not begin <= now < end
        count += over and heard_s >= MIN_COVERAGE * (end - begin).total_seconds()
    return count


@contextmanager
def _unit_at_rest(config: schema.Config) -> Iterator[None]:
    """Own the state of a unit, as the daemon does, so that the two do not share a sensor and its files."""
    try:
        release = own_queue(config.outbox_path)
    except OutboxOwnedError as error:
        raise UsageError(
            "the unit is running, or another calibration is",
            where=config.state_dir,
            expected="a unit at rest: both would hear the same sensor",
            fix="stop it first (systemctl stop hydroear), and start it again afterwards",
        ) from error
    try:
        yield
    finally:
        release()


def calibrate_on_recordings(
    files: Sequence[Path],
    *,
    bundle_path: Path,
    runtime: str,
    channel: int,
    reference_channel: int | None,
    from_s: float,
    to_s: float | None,
    accept_anyway: bool,
    progress: Progress,
) -> Learned:
    """Learn a site from recordings of it in health.

    Parameters
    ----------
    files
        Recordings of one sensor.
    bundle_path
        The bundle that the sensor will be scored with.
    runtime
        Which interpreter.
    channel
        Which channel, counted from 1.
    reference_channel
        Channel of a microphone in the air, which vetoes airborne sounds; None without one.
    from_s, to_s
        The stretch of every file to learn from.
    accept_anyway
        Learn although the site is unsteady or sounds like a leak.
    progress
        Shows how far it is.

    Raises
    ------
    HydroearError
        If a file or the bundle cannot be used, there is too little audio, or the site cannot pass for healthy.
    """
    if to_s is not None and to_s <= from_s:
        raise UsageError(
            f"from {from_s:g} s to {to_s:g} s is no stretch", where="--to-s", expected="more than --from-s"
        )
    bundle = read_bundle(bundle_path)
    scorer = Scorer(bundle, choose_runtime(runtime))
    sources = [RecordingSource([file], channel=channel, reference_channel=reference_channel) for file in files]
    spec = bundle.front_end
    if sum(_seconds(file) for file in files) < _SHORT_WINDOWS * spec.window_s:
        spec = replace(spec, window_hop_frames=max(1, spec.window_frames // _DENSE))
    segments: list[list[Window]] = []
    left_out: Counter[str] = Counter()
    for number, (source, file) in enumerate(zip(sources, files, strict=True)):
        progress(f"reading {file.name}", number / len(files))
        windows, others = _windows(
            source,
            file,
            spec,
            reference=reference_channel is not None,
            from_s=from_s,
            to_s=math.inf if to_s is None else to_s,
        )
        segments.append(windows)
        left_out += others
    site = calibrate(segments, scorer, progress=partial(progress, "learning"))
    dense = bundle.front_end.window_hop_frames // spec.window_hop_frames
    once_a_hop = [window for segment in segments for window in segment if window.index % dense == 0]
    accepted = judge(once_a_hop, site, scorer, accept_anyway=accept_anyway)
    return Learned(replace(site, accepted=accepted), left_out)


def _seconds(file: Path) -> float:
    with open_recording(file) as recording:
        return recording.frames / recording.rate_hz


def _stretch(source: RecordingSource, file: Path, from_s: float, to_s: float) -> Iterator[Block]:
    """The audio between two times, as a stream that begins with it; an error where it stands still."""
    flatline = Flatline(source.rate_hz)
    begin: int | None = None
    while (piece := source.read()) is not None:
        time_s = np.arange(piece.first_index, piece.end_index) / source.rate_hz
        inside = np.flatnonzero((from_s <= time_s) & (time_s < to_s))
        if len(inside):
            first_index = piece.first_index + int(inside[0])
            begin = first_index if begin is None else begin
            flatline.push(piece.samples[inside, 0], first_index)
            still_index = flatline.first_in(first_index, piece.end_index)
            if still_index is not None:
                raise CalibrationError(
                    f"the audio stands still at {still_index / source.rate_hz:.1f} s: digital silence, a dead cable or "
                    "a stuck converter",
                    where=file,
                    expected="the sound of a pipe throughout",
                    fix="check the sensor and its cable and record again, or leave this stretch out with --from-s, "
                    "--to-s",
                )
            yield replace(piece, samples=piece.samples[inside], first_index=first_index - begin)


def _windows(
    source: RecordingSource, file: Path, spec: FrontEndSpec, *, reference: bool, from_s: float, to_s: float
) -> tuple[list[Window], Counter[str]]:
    """The windows of a stretch that a unit would score, and why the others are left out."""
    intake = Intake(spec, rate_hz=source.rate_hz, where=file, reference=reference)
    windows: list[Window] = []
    left_out: Counter[str] = Counter()
    for block in _stretch(source, file, from_s, to_s):
        for examined in intake.hear(block):
            if examined.unfit:
                left_out[examined.unfit] += 1
            else:
                windows.append(examined.window)
    if not windows:
        stretch = f"between {from_s:g} s and {'the end' if math.isinf(to_s) else f'{to_s:g} s'}"
        if left_out:
            raise CalibrationError(
                f"no window {stretch} that a unit would score: {in_words(left_out)}",
                where=file,
                expected="the sound of a pipe",
                fix="check the sensor, or give another stretch",
            )
        raise CalibrationError(
            f"no whole window {stretch}",
            where=file,
            expected=f"at least {spec.window_s:.2f} s of audio",
            fix="give a longer stretch",
        )
    return windows, left_out
