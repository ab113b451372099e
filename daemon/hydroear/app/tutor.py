"""Calibrates a sensor of a unit that runs: the lesson goes on beside the hearing, also after a restart."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from hydroear.app.lesson import SAVE_EVERY_S, Goal, Lesson
from hydroear.audio import Block, Gap
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CalibrationError, HydroearError, UsageError
from hydroear.model import Bundle, Runtime
from hydroear.mqtt import payloads
from hydroear.score import Scorer
from hydroear.score.sitefile import site_file

log = logging.getLogger(__name__)


class Tutor:
    """The lessons of one sensor. Its methods are called while the sensor is held still, see :class:`~.unit.Ear`.

    Parameters
    ----------
    config, sensor
        The unit, and which of its sensors.
    bundle, model, runtime
        What the unit scores with, and by what the configuration finds the calibrations for it.
    rate_hz, name
        Sample rate of the sensor's source, and its name in errors.
    tell
        Publishes how a lesson stands.
    """

    def __init__(
        self,
        config: schema.Config,
        sensor: schema.Sensor,
        *,
        bundle: Bundle,
        model: str,
        runtime: Runtime,
        rate_hz: int,
        name: object,
        tell: Callable[[payloads.Calibration], None],
    ) -> None:
        self._config, self._sensor, self._bundle, self._model = config, sensor, bundle, model
        self._runtime, self._rate_hz, self._name, self._tell = runtime, rate_hz, name, tell
        self._path = config.lesson_path(sensor, model)
        self._lesson: Lesson | None = None
        self._accept_anyway = self._finishing = False
        self._phase: payloads.CalibrationPhase = "none"
        self._reason = ""
        self._told_s = 0.0

    def resume(self) -> None:
        """Go on with a lesson that an earlier run of the unit began; one that cannot be read is given up, and told."""
        try:
            order = json.loads(self._path.read_bytes())
            goal, accept_anyway = Goal(**order["goal"]), bool(order["accept_anyway"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "%s: a calibration cannot go on: %s; begin it again",
                self._path,
                error,
                extra=coded(Code.CALIBRATION_REFUSED, sensor=self._sensor.id),
            )
            return
        try:
            self._begin(goal, accept_anyway)
        except HydroearError as error:
            self._end("refused", str(error))

    def start(self, goal: Goal, *, accept_anyway: bool) -> payloads.Calibration:
        """Begin a lesson; what was heard in one that was stopped counts.

        Raises
        ------
        HydroearError
            If one is under way, or cannot be begun.
        """
        if self._lesson is not None:
            raise UsageError("a calibration is under way", where=self._sensor.id, fix="stop it first")
        order = {"goal": asdict(goal), "accept_anyway": accept_anyway}
        with site_file(self._path, fix="free space or check the folder's owner") as out:
            out.write(json.dumps(order).encode())
        self._begin(goal, accept_anyway)
        return self.standing()

    def stop(self) -> payloads.Calibration:
        """End the lesson before its goal; what was heard is kept, and counts when one is begun again.

        Raises
        ------
        HydroearError
            If none is under way, or what was heard cannot be saved.
        """
        if self._lesson is None or self._finishing:
            raise UsageError("no calibration is under way", where=self._sensor.id)
        self._lesson.save()
        self._end("stopped", "by order")
        return self.standing()

    def standing(self) -> payloads.Calibration:
        """How the lesson stands, or how the last one ended."""
        lesson = self._lesson
        share, left = (0.0, "") if lesson is None else lesson.standing()
        return payloads.Calibration(
            sensor=self._sensor.id,
            phase=self._phase,
            share=round(min(1.0, share), 4),
            heard_s=0.0 if lesson is None else round(lesson.heard_s, 1),
            left=left,
            left_out={} if lesson is None else dict(lesson.left_out),
            reason=self._reason,
        )

    def hear(self, piece: Block | Gap) -> None:
        """Take the next piece of audio, if there is anything to learn."""
        lesson = self._lesson
        if lesson is None or self._finishing:
            return
        try:
            lesson.hear(piece)
        except CalibrationError as error:
            self._end("stopped", str(error))
            return
        if lesson.standing()[0] >= 1.0:
            # Hundreds of windows are scored: hearing does not wait for that.
            self._finishing = True
            threading.Thread(
                target=self._finish, args=(lesson,), name=f"calibrate-{self._sensor.id}", daemon=True
            ).start()
        elif time.monotonic() - self._told_s >= SAVE_EVERY_S:
            self._publish()

    def close(self) -> None:
        """Save what was heard, for the next run of the unit."""
        if self._lesson is not None and not self._finishing:
            with suppress(CalibrationError):
                self._lesson.save()

    def _begin(self, goal: Goal, accept_anyway: bool) -> None:
        self._lesson = Lesson(self._config, self._sensor, goal, bundle=self._bundle, model=self._model)
        self._lesson.begin(self._rate_hz, self._name)
        self._accept_anyway, self._phase, self._reason = accept_anyway, "learning", ""
        log.info(
            "%s: a calibration is under way",
            self._sensor.id,
            extra=coded(Code.CALIBRATION_BEGUN, sensor=self._sensor.id),
        )
        self._publish()

    def _finish(self, lesson: Lesson) -> None:
        try:
            learned = lesson.finish(Scorer(self._bundle, self._runtime), accept_anyway=self._accept_anyway)
        except HydroearError as error:
            self._end("refused", str(error))
        else:
            accepted = f"; accepted although {', '.join(learned.site.accepted)}" if learned.site.accepted else ""
            self._end("learned", f"from {learned.site.windows} windows; in force from the next start on{accepted}")

    def _end(self, phase: payloads.CalibrationPhase, reason: str) -> None:
        level, code = logging.WARNING, Code.CALIBRATION_REFUSED
        if phase == "learned":
            level, code = logging.INFO, Code.CALIBRATION_ENDED
        log.log(level, "%s: %s: %s", self._sensor.id, phase, reason, extra=coded(code, sensor=self._sensor.id))
        self._phase, self._reason = phase, reason
        self._path.unlink(missing_ok=True)
        self._publish()
        self._lesson, self._finishing = None, False

    def _publish(self) -> None:
        self._told_s = time.monotonic()
        self._tell(self.standing())
