"""What a microcontroller tells: the streams of its sensors, its health, and what it has to say to people.

Without I/O, and without a clock of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hydroear.capture.stream import Stream
from hydroear.codes import Code, coded
from hydroear.errors import CaptureError
from hydroear.health.alarm import Alive, DeviceNews, Report
from hydroear.health.device import DeviceHealth
from hydroear_bridge.account import FramesLost, Restart, SamplesLost
from hydroear_bridge.frames import (
    Audio,
    Capabilities,
    Event,
    EventCode,
    Frame,
    Hello,
    Log,
    LogLevel,
    ResetCause,
    ResultCode,
    SensorStatus,
    Start,
    Status,
    Stop,
)
from hydroear_bridge.link import BadFrame
from hydroear_bridge.session import Answer, Happening, Session, Silence

_log = logging.getLogger(__name__)

LINE_LENGTH = 200
"""Characters of a line for people that are logged. A choice."""
_LEVELS: dict[int, int] = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
}
MOST_NEWS = 1000
"""News that is kept for whoever takes it: a recording or a self-test takes none. A choice."""


class Microcontroller:
    """One device, for as long as the unit runs, over its boots and over cuts of the connection.

    Parameters
    ----------
    port
        Where it is found.
    now_s
        Monotonic time now, as in all methods.

    Attributes
    ----------
    failure
        Why the connection is of no use; None while it is of some.
    """

    def __init__(self, port: str, now_s: float) -> None:
        self.failure: CaptureError | None = None
        self._port = port
        self._session = Session(now_s)
        self._held: list[tuple[Happening, float]] | None = None
        self._streams: list[Stream] = []
        self._asked: set[int] = set()  # streams that were asked for since the device booted
        self._found: set[int] = set()  # streams that were sent before anybody here asked for them
        self._stops: set[int] = set()
        self._news: deque[DeviceNews] = deque(maxlen=MOST_NEWS)
        self._health = DeviceHealth()
        self._sensors: dict[int, SensorStatus] = {}

    def health(self, sensor: int) -> DeviceHealth:
        """How the device is doing, and one of its sensors. May be asked from any thread."""
        return with_sensor(self._health, self._sensors.get(sensor))

    def news(self) -> list[DeviceNews]:
        """Take its signs of life and its reports of alarms since the last time. May be called from any one thread."""
        return [self._news.popleft() for _ in range(len(self._news))]

    @property
    def due_s(self) -> float:
        """Monotonic time of the next :meth:`tick`."""
        return min([self._session.due_s, *(stream.due_s for stream in self._streams)])

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether it was asked to send a stream no more, and has not answered yet."""
        return bool(self._stops)

    def add(self, stream: Stream, now_s: float) -> None:
        """Begin to hear a stream."""
        stream.connect(now_s)
        self._streams.append(stream)
        if self._session.hello is not None and self._held is None:
            self._ask(stream, self._session.hello, now_s)

    def remove(self, stream: Stream, now_s: float) -> None:
        """Hear a stream no more; the device is asked to send it no more, unless somebody else hears it."""
        self._streams.remove(stream)
        number = stream.number
        if number not in self._asked or number in (other.number for other in self._streams):
            return
        # A serial line is opened exclusively; at a TCP port others may listen, to what they have asked for themselves.
        if number not in self._found or not self._port.startswith("tcp:"):
            self._stops.add(self._session.unsubscribe(number, now_s))

    def connect(self, now_s: float) -> None:
        """Begin anew with a connection to what should be the same device."""
        self.failure = None
        self._session.reconnect(now_s)
        for stream in self._streams:
            stream.connect(now_s)
        # It may have started anew meanwhile, which only its HELLO tells, and nothing it sent before may be used then.
        self._held = None if self._session.hello is None else []

    def tick(self, now_s: float, utc_s: float | None) -> None:
        """Do what is due now; `utc_s` is the time of day, None where that is not known."""
        self._take([(happening, now_s) for happening in self._session.tick(now_s, utc_s)])
        for stream in self._streams:
            if stream.tick(now_s):
                self._session.forget(stream.number)

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent now."""
        return self._session.outgoing()

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes that have arrived now; what is in them is told by the streams."""
        told = [(happening, now_s) for happening in self._session.receive(data, now_s)]
        if self._held is not None:
            self._held += told
            if not any(isinstance(one, Frame) and isinstance(one.body, Hello) for one, _ in told):
                return
            boots = [place for place, (one, _) in enumerate(self._held) if isinstance(one, Restart)]
            told, self._held = self._held[boots[-1] if boots else 0 :], None
        self._take(told)

    def _take(self, told: Sequence[tuple[Happening, float]]) -> None:
        for happening, now_s in told:
            match happening:
                case BadFrame():
                    self._health = replace(self._health, frames_bad=self._health.frames_bad + 1)
                case FramesLost(count=count):
                    self._health = replace(self._health, frames_lost=self._health.frames_lost + count)
                case SamplesLost(stream=number):
                    for stream in self._heard_by(number):
                        stream.lose(happening)
                case Restart():
                    self._begin_anew()
                case Answer(request=Start(), stream=number, result=result) if result and result.code not in (
                    ResultCode.OK,
                    ResultCode.BUSY,
                ):
                    for stream in self._heard_by(number):
                        stream.fail(f"refused to start: {_words(ResultCode, result.code)}")
                case Answer(request=Stop(), number=number):
                    self._stops.discard(number)
                case Silence(duration_s=silent_s):
                    self.failure = CaptureError(
                        f"silent for {silent_s:.0f} s", where=self._port, fix="check its cable and its supply"
                    )
                case Frame(body=Hello() as hello):
                    self._greet(hello, now_s)
                case Frame(body=Audio() as audio, stream=number, device_time_us=device_us):
                    if number not in self._asked:
                        self._found.add(number)
                    for stream in self._heard_by(number):
                        stream.hear(audio, device_us, now_s, self._session.clock)
                case Frame(body=Status() as status):
                    self._learn(status)
                case Frame(body=Event() as event, stream=number):
                    self._report(event, number, happening.device_time_us, now_s)
                case Frame(body=Log() as log):
                    self._say(log)

    def _heard_by(self, number: int) -> list[Stream]:
        return [stream for stream in self._streams if stream.number == number]

    def _greet(self, hello: Hello, now_s: float) -> None:
        self._health = replace(self._health, model=hello.model, firmware=hello.firmware)
        self._news.append(Alive(now_s, hello.boot_id, hello.model, hello.uid.hex()))
        for stream in self._streams:
            self._ask(stream, hello, now_s)

    def _ask(self, stream: Stream, hello: Hello, now_s: float) -> None:
        if (start := stream.greet(hello)) is not None:
            self._session.subscribe(stream.number, start, now_s)
            if Capabilities.START in hello.capabilities:
                self._asked.add(stream.number)

    def _begin_anew(self) -> None:
        self._health = replace(self._health, restarts=self._session.restarts)
        self._asked.clear()
        self._found.clear()
        for stream in self._streams:
            stream.begin_anew()
        _log.warning(
            "%s: the device started anew (%d)",
            self._port,
            self._session.restarts,
            extra=coded(Code.DEVICE_RESTARTED),
        )

    def _learn(self, status: Status) -> None:
        self._sensors = {one.stream: one for one in status.sensors}
        self._health = with_status(self._health, status)

    def _report(self, event: Event, stream: int, device_us: int, now_s: float) -> None:
        happened_us = min(event.time_us, device_us)
        time_s = self._session.clock.time_s(happened_us)
        if time_s is None:  # that the report was on the way for no time is the best guess
            time_s = now_s - 1e-6 * (device_us - happened_us)
        self._news.append(report_of(event, stream, time_s))

    def _say(self, log: Log) -> None:
        level = _LEVELS.get(log.level, logging.DEBUG)
        _log.log(level, "%s: the device says: %s", self._port, one_line(log.text), extra=coded(Code.DEVICE_LOG))


def with_status(health: DeviceHealth, status: Status) -> DeviceHealth:
    """What is known of a device once it has sent a STATUS."""
    return replace(
        health,
        reset_cause=_words(ResetCause, status.reset_cause) if status.reset_cause else None,
        battery_v=_scaled(status.battery_mv, 1e3),
        supply_v=_scaled(status.supply_mv, 1e3),
        charge=_scaled(status.charge_percent, 1e2),
        temperature_c=_scaled(status.temperature_centicelsius, 1e2),
        humidity=_scaled(status.humidity_centipercent, 1e4),
        frames_dropped=status.frames_dropped,
    )


def with_sensor(health: DeviceHealth, sensor: SensorStatus | None) -> DeviceHealth:
    """The same with what the STATUS says of one of its sensors; None if it says nothing."""
    return replace(
        health,
        adc_overruns=None if sensor is None else sensor.adc_overruns,
        samples_dropped=None if sensor is None else sensor.drops,
        clips=None if sensor is None else sensor.clips,
    )


def report_of(event: Event, stream: int, time: float | datetime) -> Report:
    """What an EVENT frame of a stream reports, of something that happened at a time."""
    battery_v = event.value / 1e3 if event.begun and event.event == EventCode.LOW_BATTERY else None
    return Report(_words(EventCode, event.event), event.begun, time, event.number, stream, battery_v)


def one_line(text: str) -> str:
    """A text as a part of one line of a log, which can neither pass for others nor do anything to a terminal."""
    line = text if len(text) <= LINE_LENGTH else text[:LINE_LENGTH] + "…"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)


def _words(kind: type[ResultCode | ResetCause | EventCode], value: int) -> str:
    """Name of a code, with hyphens; a code of a later revision, or of the maker's own, by its number."""
    return kind(value).name.lower().replace("_", "-") if value in list(kind) else f"{value:#06x}"


def _scaled(value: int | None, divisor: float) -> float | None:
    return None if value is None else value / divisor
