"""Calibration: a site learned from recordings of it, or live from the sensor of a unit."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hydroear.app.intake import Intake
from hydroear.app.lesson import Goal, Learned, Lesson, in_words
from hydroear.app.owner import check_user
from hydroear.audio import Block, open_recording
from hydroear.audio.flatline import Flatline
from hydroear.capture import RecordingSource, Source, open_source
from hydroear.config import schema
from hydroear.dsp import FrontEndSpec, Window
from hydroear.errors import CalibrationError, OutboxOwnedError, UsageError
from hydroear.model import choose_runtime, read_bundle
from hydroear.model.slots import bundle_to_run, candidate_to_run, trusted_keys
from hydroear.outbox import own_queue
from hydroear.progress import Progress
from hydroear.score import Scorer, calibrate
from hydroear.score.baseline import judge

log = logging.getLogger(__name__)

_SHORT_WINDOWS = 100
_DENSE = 12
# So short a calibration is read with windows that overlap by eleven twelfths: they say little more, but what they say
# does not hang on where the first one began.


class LiveCalibration:
    """Learns a sensor's site from its source, with the unit at rest; goes on where it was after a restart.

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
        self._stopping = False

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
        config = self._config
        bundle = self._choice.read(trusted_keys(config))
        scorer = Scorer(bundle, choose_runtime(config.runtime))
        with _unit_at_rest(config):
            lesson = Lesson(config, self._sensor, self._goal, bundle=bundle, model=self._choice.model)
            if lesson.standing()[0] < 1.0:
                try:
                    recordings = config.recordings_dir(self._sensor)
                    with closing(open_source(self._sensor.source, recordings=recordings)) as source:
                        self._listen(source, lesson, progress)
                finally:
                    lesson.save()
            return lesson.finish(scorer, accept_anyway=accept_anyway, progress=partial(progress, "learning"))

    def _listen(self, source: Source, lesson: Lesson, progress: Progress) -> None:
        lesson.begin(source.rate_hz, source.name)
        while (piece := source.read()) is not None:
            if self._stopping:
                raise lesson.broken_off("stopped")
            lesson.hear(piece)
            share, left = lesson.standing()
            progress(f"hearing {self._sensor.id}, {left}", min(0.999, share))
            if share >= 1.0:
                return
        raise lesson.broken_off("the recordings ended")


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
