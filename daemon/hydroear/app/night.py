"""The minimum-night level, kept over restarts, and as a message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hydroear.codes import Code, coded
from hydroear.errors import CalibrationError
from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.score.night import Night, NightHours, NightWatch
from hydroear.score.sitefile import site_file

log = logging.getLogger(__name__)

SAVE_EVERY_S = 300.0
"""How often what is heard of a night is saved. A choice: a restart loses little of a night."""


class NoiseLogger:
    """A sensor's night watch, remembered.

    The last night is told again after a restart: what the broker keeps waits in memory until it is delivered.

    Parameters
    ----------
    path
        Where it is remembered. What is damaged there is set aside.
    hours
        Which part of each night.
    window_hop_s
        Time from one window to the next.
    save_every_s
        How often it is saved while it is heard, in seconds.
    """

    def __init__(
        self, path: Path, hours: NightHours, *, window_hop_s: float, save_every_s: float = SAVE_EVERY_S
    ) -> None:
        self._path, self._window_hop_s, self._save_every_s = path, window_hop_s, save_every_s
        self._watch = NightWatch(hours, window_hop_s=window_hop_s)
        self._saved = ""
        self._since_saved_s = 0.0
        try:
            self._watch.go_on(path.read_text(encoding="utf-8"))
            self._saved = self._watch.to_json()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self._set_aside(error)

    def _set_aside(self, error: Exception) -> None:
        log.warning("%s: cannot be used (%s); the night begins anew", self._path, error, extra=coded(Code.MEMORY_LOST))
        try:
            self._path.replace(self._path.with_name(f"{self._path.name}.corrupt"))
        except OSError as problem:
            log.warning("%s: cannot be set aside (%s)", self._path, problem.strerror, extra=coded(Code.MEMORY_LOST))

    def is_on(self, moment: datetime) -> bool:
        """Whether a moment with a time zone lies in the night."""
        return self._watch.is_on(moment)

    def hear(self, moment: datetime, level_db: float | None, *, clock_trusted: Callable[[], bool]) -> Night | None:
        """As :meth:`hydroear.score.night.NightWatch.hear`; saves now and then."""
        ended = self._watch.hear(moment, level_db, clock_trusted=clock_trusted)
        self._since_saved_s += self._window_hop_s
        if self._since_saved_s >= self._save_every_s:
            self.save()
        return ended

    def pass_by(self, moment: datetime) -> Night | None:
        """As :meth:`hydroear.score.night.NightWatch.pass_by`."""
        return self._watch.pass_by(moment)

    def save(self) -> None:
        """Remember the night, if there is anything new; a disk that refuses stops no listening."""
        self._since_saved_s = 0.0
        document = self._watch.to_json()
        if document == self._saved:
            return
        self._saved = document
        try:
            with site_file(self._path, fix="free space or check the folder's owner") as out:
                out.write(document.encode())
        except CalibrationError as error:
            log.warning("%s", error, extra=coded(Code.MEMORY_LOST))


def night_message(unit: str, sensor: str, night: Night, stamp: payloads.Stamp) -> Message:
    """What is told of a night that is over; the broker keeps the last one."""
    body = payloads.Night(
        sensor=sensor,
        night=night.night.isoformat(),
        start_time=night.start_time,
        end_time=night.end_time,
        clock_trusted=night.clock_trusted,
        coverage=round(night.coverage, 3),
        silent=round(night.silent, 3),
        minimum_db=_rounded(night.minimum_db),
        persistent_db=_rounded(night.persistent_db),
        spread_db=_rounded(night.spread_db),
        histogram_start_db=night.histogram_start_db,
        histogram=night.histogram,
        problem=night.problem,
    )
    return Message(topics.night(unit, sensor), payloads.encode(body, stamp), Kind.STATE, retain=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
