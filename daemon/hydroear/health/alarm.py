"""Alarms of the device behind a sensor: which are open, as a pure state machine over what the device says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PATIENCE_S = 200.0
"""Heard for so long without a report of it, an alarm is over.

A device reports what lasts every 60 s: two reports in a row may be lost, and the third may be late. A choice.
"""
APART_S = 5.0
"""What lies between two signs of life that are further apart was not heard: a device gives one at least every 2 s."""

ENDED = "the device says that it is over"
NOT_REPEATED = "the device does not report it any more, and did not say when it ended"
FORGOTTEN = "the device started anew, and did not report it again"
_BEGUN = {
    "tamper": "the case of the device was opened",
    "water-ingress": "water came into the device",
    "low-battery": "the battery of the device is nearly empty",
}


@dataclass(frozen=True)
class Alive:
    """A sign of life.

    Attributes
    ----------
    time_s
        When it came, by any clock that is not set.
    boot_id
        Another one after each boot of the device.
    model, uid
        What the device calls itself, and its number; empty if it does not tell.
    """

    time_s: float
    boot_id: int
    model: str = ""
    uid: str = ""


@dataclass(frozen=True)
class Report:
    """An alarm has begun, still lasts, or has ended.

    Attributes
    ----------
    alarm
        ``tamper``, ``water-ingress``, ``low-battery``, or a number in hexadecimal.
    begun
        Whether it has begun; it has ended otherwise.
    time
        When it did: monotonic time of this machine, or the time of day with a time zone where it was recorded.
    number
        Of the report among those since the device booted; a repeat has that of the first.
    stream
        The sensor of the device that it is about; 0 for the device itself.
    battery_v
        Voltage of a battery that is low; None for all else.
    """

    alarm: str
    begun: bool
    time: float | datetime
    number: int
    stream: int = 0
    battery_v: float | None = None


DeviceNews = Alive | Report
Name = tuple[int, str]
"""Stream and name of an alarm of one device."""


@dataclass(frozen=True)
class Turn:
    """An alarm opens or closes.

    Attributes
    ----------
    phase
        Which of both.
    stream, alarm
        As in :class:`Report`.
    time
        When it began or ended, as in :class:`Report`; None where nobody knows.
    reason
        Why, in plain words.
    battery_v
        As in :class:`Report`.
    """

    phase: Literal["open", "close"]
    stream: int
    alarm: str
    time: float | datetime | None
    reason: str
    battery_v: float | None = None


@dataclass(frozen=True)
class _Open:
    """For how long the device had been heard when an alarm was last reported, and what silence about it means."""

    reported_s: float
    silence: str


class Alarms:
    """The alarms of one device.

    What is reported again while it is open is the same alarm, also after the device has booted. An alarm ends when the
    device says so, or when it is not reported again although the device is heard; time for which the link was down
    does not count. News that comes twice, as from two sensors of one device, changes nothing.

    Parameters
    ----------
    lasting
        Those that are open from before.
    """

    def __init__(self, lasting: Iterable[Name] = ()) -> None:
        self._boot_id: int | None = None
        self._alive_s: float | None = None
        self._heard_s = 0.0
        self._open = {alarm: _Open(0.0, NOT_REPEATED) for alarm in lasting}
        self._numbers: dict[Name, int] = {}

    def take(self, news: DeviceNews) -> list[Turn]:
        """Take what the device said next; gives what opens and what closes."""
        return self._live(news) if isinstance(news, Alive) else self._report(news)

    def _live(self, alive: Alive) -> list[Turn]:
        if self._alive_s is not None:
            passed_s = alive.time_s - self._alive_s
            if passed_s <= 0.0:
                return []
            self._heard_s += passed_s if passed_s <= APART_S else 0.0
        self._alive_s = alive.time_s
        if self._boot_id not in (None, alive.boot_id):
            self._open = {alarm: _Open(self._heard_s, FORGOTTEN) for alarm in self._open}
            self._numbers.clear()
        self._boot_id = alive.boot_id
        over = [alarm for alarm, since in self._open.items() if self._heard_s - since.reported_s >= PATIENCE_S]
        return [self._close(alarm, None, self._open[alarm].silence) for alarm in over]

    def _report(self, report: Report) -> list[Turn]:
        alarm = report.stream, report.alarm
        if report.number < self._numbers.get(alarm, 0):
            return []
        self._numbers[alarm] = report.number
        known = alarm in self._open
        if not report.begun:
            return [self._close(alarm, report.time, ENDED)] if known else []
        self._open[alarm] = _Open(self._heard_s, NOT_REPEATED)
        if known:
            return []
        reason = _BEGUN.get(report.alarm, f"the device reports {report.alarm}")
        return [Turn("open", *alarm, report.time, reason, report.battery_v)]

    def _close(self, alarm: Name, time: float | datetime | None, reason: str) -> Turn:
        del self._open[alarm]
        return Turn("close", *alarm, time, reason)
