"""What a sensor's microcontroller tells: its samples, what was lost before them, and its health.

Without I/O, and without a clock of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from hydroear.audio import Samples
from hydroear.capture import supervised
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear.health.alarm import Alive, DeviceNews, Report
from hydroear.health.device import DeviceHealth
from hydroear_bridge.account import FramesLost, Restart, SamplesLost
from hydroear_bridge.frames import (
    Audio,
    Event,
    EventCode,
    Frame,
    Hello,
    ResetCause,
    ResultCode,
    SampleFormat,
    Sensor,
    Start,
    Status,
)
from hydroear_bridge.link import BadFrame
from hydroear_bridge.session import Answer, Happening, Session, Silence

_log = logging.getLogger(__name__)

STOPPED_S, STOPPED_SHARE = 0.05, 1e-3
"""Device time without samples is a stop if it is beyond this and this share of it: no crystal is off by more."""
LOSS_REASONS = {
    "device": "lost on the device",
    "link": "lost on the way",
    "unknown": "lost on the device and on the way",
}
"""By the place at which the account says that samples were lost."""
MOST_NEWS = 1000
"""News that is kept for whoever takes it: a recording or a self-test takes none. A choice."""


@dataclass(frozen=True)
class _Mark:
    """Where a stream stands: index and device time of its next sample."""

    index: int
    device_us: float


class Microcontroller:
    """One device, for as long as the unit runs, over its boots and over cuts of the connection.

    Parameters
    ----------
    settings
        Which sensor of it is heard, and what it is asked for.
    now_s
        Monotonic time now, as in all methods.

    Attributes
    ----------
    failure
        Why the connection is of no use; None while it is of some.
    """

    def __init__(self, settings: schema.BridgeSource, now_s: float) -> None:
        self.failure: CaptureError | None = None
        self._settings = settings
        self._gain_centidb = None if settings.gain_db is None else round(100 * settings.gain_db)
        self._session = Session(now_s)
        self._held: list[tuple[Happening, float]] | None = None
        self._mark: _Mark | None = None
        self._lost, self._loss, self._on_device = 0, "", False
        self._news: deque[DeviceNews] = deque(maxlen=MOST_NEWS)
        self._health = DeviceHealth()

    @property
    def health(self) -> DeviceHealth:
        """How the device is doing. May be asked from any thread."""
        return self._health

    def news(self) -> list[DeviceNews]:
        """Take its signs of life and its reports of alarms since the last time. May be called from any one thread."""
        return [self._news.popleft() for _ in range(len(self._news))]

    @property
    def due_s(self) -> float:
        """Monotonic time of the next :meth:`tick`."""
        return self._session.due_s

    def connect(self, now_s: float) -> None:
        """Begin anew with a connection to what should be the same device."""
        self.failure = None
        self._session.reconnect(now_s)
        # It may have started anew meanwhile, which only its HELLO tells, and nothing it sent before may be used then.
        self._held = None if self._session.hello is None else []

    def tick(self, now_s: float, utc_s: float | None) -> None:
        """Do what is due now; `utc_s` is the time of day, None where that is not known."""
        self._take([(happening, now_s) for happening in self._session.tick(now_s, utc_s)])

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent now."""
        return self._session.outgoing()

    def receive(self, data: bytes, now_s: float) -> list[supervised.Frame]:
        """Take bytes that have arrived now; give the samples that are in them."""
        told = [(happening, now_s) for happening in self._session.receive(data, now_s)]
        if self._held is not None:
            self._held += told
            if not any(isinstance(one, Frame) and isinstance(one.body, Hello) for one, _ in told):
                return []
            boots = [place for place, (one, _) in enumerate(self._held) if isinstance(one, Restart)]
            told, self._held = self._held[boots[-1] if boots else 0 :], None
        return self._take(told)

    def error(self, what: str, *, expected: str = "", fix: str = "") -> CaptureError:
        """What is wrong with the device, or with what it is asked for."""
        return CaptureError(what, where=self._settings.port, expected=expected, fix=fix)

    def _take(self, told: Sequence[tuple[Happening, float]]) -> list[supervised.Frame]:
        frames = []
        for happening, now_s in told:
            match happening:
                case BadFrame():
                    self._health = replace(self._health, frames_bad=self._health.frames_bad + 1)
                case FramesLost(count=count):
                    self._health = replace(self._health, frames_lost=self._health.frames_lost + count)
                case SamplesLost(stream=stream) if stream == self._settings.sensor:
                    self._lose(happening.count, LOSS_REASONS[happening.place])
                    self._on_device |= happening.place != "link"
                case Restart():
                    self._begin_anew()
                case Answer(request=Start(), result=result) if result and result.code not in (
                    ResultCode.OK,
                    ResultCode.BUSY,
                ):
                    self.failure = self.error(f"refused to start: {_words(ResultCode, result.code)}")
                case Silence(duration_s=silent_s):
                    self.failure = self.error(f"silent for {silent_s:.0f} s", fix="check its cable and its supply")
                case Frame(body=Hello() as hello):
                    self._greet(hello, now_s)
                case Frame(body=Audio() as audio, stream=stream) if stream == self._settings.sensor:
                    if frame := self._hear(audio, happening.device_time_us, now_s):
                        frames.append(frame)
                case Frame(body=Status() as status):
                    self._learn(status)
                case Frame(body=Event() as event, stream=stream) if stream in (0, self._settings.sensor):
                    self._report(event, stream, happening.device_time_us, now_s)
        return frames

    def _greet(self, hello: Hello, now_s: float) -> None:
        self._health = replace(self._health, model=hello.model, firmware=hello.firmware)
        self._news.append(Alive(now_s, hello.boot_id, hello.model, hello.uid.hex()))
        sensor = next((one for one in hello.sensors if one.stream == self._settings.sensor), None)
        if sensor is None and hello.sensors:
            there = ", ".join(str(one.stream) for one in hello.sensors)
            self.failure = self.error(f"has no sensor {self._settings.sensor}", expected=f"one of {there}")
        elif sensor is not None and (problem := self._problem(sensor)):
            self.failure = problem
        else:
            start = Start(
                rate_millihz=1000 * self._settings.rate_hz,
                sample_format=_format(sensor),
                gain_centidb=self._gain_centidb,
            )
            self._session.subscribe(self._settings.sensor, start, now_s)

    def _problem(self, sensor: Sensor) -> CaptureError | None:
        """Why a sensor cannot do what it will be asked for."""
        rates_hz = [rate / 1000 for rate in sensor.rates_millihz]
        gains = sensor.gains_centidb
        if rates_hz and self._settings.rate_hz not in rates_hz:
            offered = " or ".join(f"{rate:g}" for rate in rates_hz)
            return self.error(f"does not sample at {self._settings.rate_hz} Hz", fix=f"set rate_hz to {offered}")
        if self._gain_centidb is not None and gains and self._gain_centidb not in gains:
            offered = " or ".join(f"{gain / 100:g}" for gain in gains)
            return self.error(f"has no gain of {self._settings.gain_db:g} dB", fix=f"set gain_db to {offered}")
        if sensor.channels != self._settings.channels:
            return self.error(f"sends {sensor.channels} channel(s)", fix=f"set channels to {sensor.channels}")
        return None

    def _hear(self, audio: Audio, device_us: int, now_s: float) -> supervised.Frame | None:
        rate_hz = self._settings.rate_hz
        if audio.rate_millihz != 1000 * rate_hz or audio.channels != self._settings.channels:
            fix = f"set rate_hz to {audio.rate_hz:g} and channels to {audio.channels}"
            self.failure = self.error(f"sends {audio.channels} channel(s) at {audio.rate_hz:g} Hz", fix=fix)
            return None
        mark, self._mark = self._mark, _Mark(audio.end_index, device_us + 1e6 * audio.count / rate_hz)
        if mark is not None:
            # Its index stands still while it is stopped, and its clock does not.
            passed_s = 1e-6 * (device_us - mark.device_us)
            stopped_s = passed_s - (audio.sample_index - mark.index) / rate_hz
            if stopped_s > STOPPED_S + STOPPED_SHARE * passed_s:
                self._lose(round(stopped_s * rate_hz), "the device was stopped")
        samples = audio.samples()
        if not np.isfinite(samples).all():
            self._lose(audio.count, "samples that are not numbers")
            return None
        samples = at_gain(samples, audio, self._settings.gain_db)
        if mark is None:  # what was lost before is measured by the clock
            self._loss = "the device started anew" if self._session.restarts else ""
        taken_s = self._session.clock.time_s(round(self._mark.device_us))
        frame = supervised.Frame(
            samples,
            now_s if taken_s is None else taken_s,
            after_loss=self._on_device,
            lost=None if mark is None else self._lost,
            loss=self._loss,
        )
        self._lost, self._loss, self._on_device = 0, "", False
        return frame

    def _lose(self, count: int, why: str) -> None:
        self._lost += count
        self._loss = why

    def _begin_anew(self) -> None:
        self._health = replace(self._health, restarts=self._session.restarts)
        self._mark, self._lost = None, 0
        _log.warning(
            "%s: the device started anew (%d)",
            self._settings.port,
            self._session.restarts,
            extra=coded(Code.DEVICE_RESTARTED),
        )

    def _learn(self, status: Status) -> None:
        ours = next((one for one in status.sensors if one.stream == self._settings.sensor), None)
        self._health = replace(
            self._health,
            reset_cause=_words(ResetCause, status.reset_cause) if status.reset_cause else None,
            battery_v=_scaled(status.battery_mv, 1e3),
            supply_v=_scaled(status.supply_mv, 1e3),
            charge=_scaled(status.charge_percent, 1e2),
            temperature_c=_scaled(status.temperature_centicelsius, 1e2),
            humidity=_scaled(status.humidity_centipercent, 1e4),
            adc_overruns=None if ours is None else ours.adc_overruns,
            samples_dropped=None if ours is None else ours.drops,
            clips=None if ours is None else ours.clips,
            frames_dropped=status.frames_dropped,
        )

    def _report(self, event: Event, stream: int, device_us: int, now_s: float) -> None:
        happened_us = min(event.time_us, device_us)
        time_s = self._session.clock.time_s(happened_us)
        if time_s is None:  # that the report was on the way for no time is the best guess
            time_s = now_s - 1e-6 * (device_us - happened_us)
        self._news.append(report_of(event, stream, time_s))


def report_of(event: Event, stream: int, time: float | datetime) -> Report:
    """What an EVENT frame of a stream reports, of something that happened at a time."""
    battery_v = event.value / 1e3 if event.begun and event.event == EventCode.LOW_BATTERY else None
    return Report(_words(EventCode, event.event), event.begun, time, event.number, stream, battery_v)


def at_gain(samples: Samples, audio: Audio, gain_db: float | None) -> Samples:
    """Samples of a frame as they would be at another gain, in dB; None stands for 0 dB."""
    excess_db = 0.01 * audio.gain_centidb - (gain_db or 0.0)
    return samples * np.float32(10.0 ** (-excess_db / 20.0)) if excess_db else samples


def _format(sensor: Sensor | None) -> SampleFormat:
    """The shortest format that holds what the converter gives; the longest where none does."""
    formats = (sensor.formats if sensor else ()) or (SampleFormat.INT16,)
    bits = sensor.adc_bits if sensor else 0
    return next((one for one in formats if 8 * one.width >= bits), formats[-1])


def _words(kind: type[ResultCode | ResetCause | EventCode], value: int) -> str:
    """Name of a code, with hyphens; a code of a later revision, or of the maker's own, by its number."""
    return kind(value).name.lower().replace("_", "-") if value in list(kind) else f"{value:#06x}"


def _scaled(value: int | None, divisor: float) -> float | None:
    return None if value is None else value / divisor
