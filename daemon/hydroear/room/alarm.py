"""What is known of the alarms of one unit's devices: by what was said of each, and by the health of the unit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from hydroear.room import said

OVER_KEPT = 20
"""Alarms of a unit that are over and still shown."""
KEPT = 256
"""Alarms of a unit: more than any has, so that a broken one cannot fill the memory."""


@dataclass(frozen=True)
class AlarmView:
    """One alarm of the device behind a sensor.

    Attributes
    ----------
    unit, sensors, alarm_id, alarm
        Whose it is, and what; the sensors are those that it is about, as far as the unit has told.
    open
        Whether it is not over.
    opened_time, closed_time
        When it began and ended; None while it is open, and where nobody knows.
    battery_v
        Voltage of a battery that is low; None for all else.
    model, uid
        Whom to look after; empty where that is not known.
    reason
        Why it opened or closed, in plain words; empty while it is known from the unit's health alone.
    """

    unit: str
    sensors: tuple[str, ...]
    alarm_id: str
    alarm: str
    open: bool
    opened_time: datetime
    closed_time: datetime | None = None
    battery_v: float | None = None
    model: str = ""
    uid: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """What is to be done about it, in a line."""
        battery = "" if self.battery_v is None else f", {self.battery_v:.2f} V"
        device = f"{self.model} {self.uid}".strip() or "its device"
        return f"{self.alarm} since {self.opened_time.astimezone(UTC):%Y-%m-%d %H:%M} UTC{battery}: look after {device}"


class Alarms:
    """The alarms of one unit's devices, however often and in whatever order they are told."""

    def __init__(self) -> None:
        self._last: dict[str, said.Alarm] = {}
        self._forgotten: set[str] = set()

    def take(self, message: said.Alarm) -> bool:
        """Take what was said of one; False if that is nothing new."""
        alarm_id, last = message.alarm_id, self._last.get(message.alarm_id)
        if alarm_id in self._forgotten or (last is not None and message.seq <= last.seq):
            return False
        self._last[alarm_id] = message
        oldest_first = sorted(self._last, key=lambda alarm_id: self._last[alarm_id].opened_time)
        over = [alarm_id for alarm_id in oldest_first if self._last[alarm_id].phase == "close"]
        for alarm_id in over[:-OVER_KEPT] or oldest_first[:-KEPT]:
            del self._last[alarm_id]
            self._forgotten.add(alarm_id)
        return True

    def views(self, unit: str, health: said.Health | None) -> list[AlarmView]:
        """All that are open and the last that are over, the latest first.

        Parameters
        ----------
        unit
            Name of the unit.
        health
            The latest: one that it does not list is over, though that was not heard, and one that it alone lists began
            before anybody listened.
        """
        listed: dict[str, said.OpenAlarm] = {}
        about: defaultdict[str, set[str]] = defaultdict(set)
        for sensor, told in health.sensors.items() if health is not None else ():
            for alarm in told.alarms:
                listed[alarm.alarm_id] = alarm
                about[alarm.alarm_id].add(sensor)
        views = [
            AlarmView(
                unit=unit,
                sensors=tuple(sorted(about[alarm_id] | {last.sensor})),
                alarm_id=alarm_id,
                alarm=last.alarm,
                open=last.phase == "open" and (health is None or health.time <= last.time or alarm_id in listed),
                opened_time=last.opened_time,
                closed_time=last.closed_time,
                battery_v=last.battery_v,
                model=last.device.model,
                uid=last.device.uid,
                reason=last.reason,
            )
            for alarm_id, last in self._last.items()
        ]
        views += [
            AlarmView(unit, tuple(sorted(about[alarm_id])), alarm_id, alarm.alarm, True, alarm.opened_time)
            for alarm_id, alarm in listed.items()
            if alarm_id not in self._last and alarm_id not in self._forgotten
        ]
        return sorted(views, key=lambda view: (view.opened_time, view.alarm_id), reverse=True)
