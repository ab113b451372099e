"""From what the devices behind sensors report to messages: alarms, each from open to close."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from hydroear.app.reporter import Stamper
from hydroear.codes import Code, coded
from hydroear.decide import OpenEvent
from hydroear.health.alarm import Alarms, Alive, DeviceNews, Turn
from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.outbox import Outbox

log = logging.getLogger(__name__)

UNTOLD = "the configuration was changed, and nothing that the unit listens to would tell of its end"
_REMEMBERED = "alarm/"


@dataclass(frozen=True)
class OpenAlarm:
    """An alarm that is open, as it is remembered over a restart.

    Attributes
    ----------
    event
        Its id, when it began, and how much was said of it.
    sensor
        The sensor it is about; the first of its device if it is about the device.
    stream, alarm, battery_v
        As in :class:`hydroear.health.alarm.Report`.
    device
        What the device calls itself.
    """

    event: OpenEvent
    sensor: str
    stream: int
    alarm: str
    battery_v: float | None
    device: payloads.AlarmDevice

    def to_json(self) -> str:
        """As it is remembered."""
        return json.dumps({**asdict(self), "event": self.event.to_json()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read :meth:`to_json`'s form back."""
        values = json.loads(text)
        event, device = OpenEvent.from_json(values["event"]), payloads.AlarmDevice(**values["device"])
        return cls(**{**values, "event": event, "device": device})


@dataclass(frozen=True)
class _Now:
    """This moment, by the monotonic clock and by that of the stamp of a message."""

    monotonic_s: float
    stamp: payloads.Stamp

    def time_of(self, when: float | datetime) -> datetime:
        """The time of day at a monotonic time; one that is known already stays."""
        return when if isinstance(when, datetime) else self.stamp.time - timedelta(seconds=self.monotonic_s - when)

    def right(self, event: OpenEvent) -> OpenEvent:
        """The event as it is known once the clock can be trusted."""
        if self.stamp.clock != "synchronised":
            return event
        return event.set_right(self.stamp.time, monotonic_s=self.monotonic_s, boot_id=self.stamp.boot_id)


class AlarmReporter:
    """Tells the control room about the alarms of all devices, through the outbox. One thread tells it what they say.

    Parameters
    ----------
    places
        Of each sensor that has a device behind it the port of that device, and its stream there.
    unit
        Name of the unit.
    outbox
        Where messages wait; it also remembers the open alarms.
    stamp
        Makes the stamp of a message from its number.
    """

    def __init__(self, places: Mapping[str, tuple[str, int]], *, unit: str, outbox: Outbox, stamp: Stamper) -> None:
        self._places, self._unit, self._outbox, self._stamp = places, unit, outbox, stamp
        self._sensors: dict[tuple[str, int], str] = {}
        for sensor, (port, stream) in places.items():
            self._sensors.setdefault((port, 0), sensor)
            self._sensors.setdefault((port, stream), sensor)
        self._devices: dict[str, payloads.AlarmDevice] = {}
        self._open: dict[tuple[str, int, str], OpenAlarm] = {}
        for alarm in map(OpenAlarm.from_json, outbox.recall_all(_REMEMBERED)):
            port, _ = places.get(alarm.sensor, ("", 0))
            if (port, alarm.stream) not in self._sensors or (port, alarm.stream, alarm.alarm) in self._open:
                self._close(alarm, UNTOLD)
            else:
                self._open[port, alarm.stream, alarm.alarm] = alarm
        self._alarms = {
            port: Alarms((stream, alarm) for at, stream, alarm in self._open if at == port)
            for port, _ in places.values()
        }

    @property
    def open(self) -> tuple[OpenAlarm, ...]:
        """The alarms that are open. May be asked from any thread."""
        return tuple(self._open.values())

    def of(self, sensor: str) -> list[payloads.OpenAlarm]:
        """Those that are about a sensor or its device. May be asked from any thread."""
        now, (port, stream) = self._now(0), self._places.get(sensor, ("", 0))
        return [
            payloads.OpenAlarm(alarm.event.event_id, alarm.alarm, now.right(alarm.event).opened_time)
            for (at, of, _), alarm in list(self._open.items())
            if at == port and of in (0, stream)
        ]

    def take(self, sensor: str, news: Iterable[DeviceNews]) -> None:
        """Queue what the news of a sensor's device gives reason to say; what is about others of its sensors as well."""
        for one in news:
            port, _ = self._places[sensor]
            if isinstance(one, Alive):
                self._devices[port] = payloads.AlarmDevice(one.model, one.uid)
            elif (port, one.stream) not in self._sensors:
                continue
            for turn in self._alarms[port].take(one):
                name = port, turn.stream, turn.alarm
                if turn.phase == "open":
                    self._open[name] = self._begin(turn, port)
                else:
                    self._close(self._open.pop(name), turn.reason, turn.time)

    def _begin(self, turn: Turn, port: str) -> OpenAlarm:
        assert turn.time is not None
        now, sensor = self._now(0), self._sensors[port, turn.stream]
        opened_time = now.time_of(turn.time)
        # What a recording tells, it tells under the same id when it is heard again.
        digest = hashlib.sha256(f"{port} {turn.stream} {opened_time.isoformat()}".encode()).hexdigest()
        event = OpenEvent(
            event_id=f"{sensor}-{turn.alarm}-{opened_time:%Y%m%dT%H%M%SZ}-{digest[:8]}",
            opened_time=opened_time,
            clock_set=isinstance(turn.time, datetime) or now.stamp.clock == "synchronised",
            opened_monotonic_s=now.monotonic_s if isinstance(turn.time, datetime) else turn.time,
            boot_id=now.stamp.boot_id,
        )
        device = self._devices.get(port, payloads.AlarmDevice())
        alarm = OpenAlarm(event, sensor, turn.stream, turn.alarm, turn.battery_v, device)
        told = replace(alarm, event=event.told())
        message = self._message(alarm, now, "open", turn.reason)
        self._outbox.put(message, remember={_REMEMBERED + event.event_id: told.to_json()})
        _log(logging.WARNING, told, turn.reason)
        return told

    def _close(self, alarm: OpenAlarm, reason: str, when: float | datetime | None = None) -> None:
        now = self._now(alarm.event.seq)
        message = self._message(alarm, now, "close", reason, None if when is None else now.time_of(when))
        self._outbox.put(message, forget=_REMEMBERED + alarm.event.event_id)
        _log(logging.INFO, alarm, f"over: {reason}")

    def _message(
        self,
        alarm: OpenAlarm,
        now: _Now,
        phase: payloads.AlarmPhase,
        reason: str,
        closed_time: datetime | None = None,
    ) -> Message:
        body = payloads.Alarm(
            alarm_id=alarm.event.event_id,
            sensor=alarm.sensor,
            alarm=alarm.alarm,
            phase=phase,
            opened_time=now.right(alarm.event).opened_time,
            closed_time=closed_time,
            battery_v=alarm.battery_v,
            device=alarm.device,
            reason=reason,
        )
        return Message(topics.alarm(self._unit, body.alarm_id), payloads.encode(body, now.stamp), Kind.EVENT)

    def _now(self, seq: int) -> _Now:
        return _Now(time.monotonic(), self._stamp(seq))


def _log(level: int, alarm: OpenAlarm, what: str) -> None:
    event_id = alarm.event.event_id
    fields = coded(Code.DEVICE_ALARM, sensor=alarm.sensor, event_id=event_id)
    log.log(level, "%s: alarm %s: %s", alarm.sensor, event_id, what, extra=fields)
