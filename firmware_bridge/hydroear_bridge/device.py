"""A simulated device: what firmware does, in any time that it is told. Without I/O, and without a clock of its own."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Body,
    Capabilities,
    Event,
    EventCode,
    Frame,
    FrameType,
    Hello,
    Log,
    LogLevel,
    Parameter,
    RecData,
    RecErase,
    RecList,
    Recording,
    RecRead,
    ResetCause,
    Result,
    ResultCode,
    SampleFormat,
    Selftest,
    Sensor,
    SensorKind,
    SensorStatus,
    SensorUnit,
    Set,
    Start,
    Status,
    Stop,
    Time,
    Uninterpreted,
)
from hydroear_bridge.link import Decoder

if TYPE_CHECKING:
    from hydroear_bridge.smp_server import SmpServer

FRAME_S = 0.02
HELLO_EVERY_S = 2.0
STATUS_EVERY_S = 10.0
REPEAT_EVENT_S = 60.0
FLOOD_EVERY_S = 0.005
SENSOR_STREAM = 1
"""Of its first sensor; those of the others follow."""
GAINS_CENTIDB = (0, 1000, 2000)
FORMATS = (SampleFormat.INT16, SampleFormat.INT24)
FULL_SCALE_PA = 2000.0
SENSITIVITY_V_PER_PA = 2.0**-11
FULL_SCALE_M_PER_S2 = 50.0
SENSITIVITY_V_PER_M_PER_S2 = 2.0**-6
REC_DATA_SIZE = 1024
RESET_S = 0.25
"""So soon after its answer it does the reset that it was asked for."""
CRASH_S = 1.0

HEARS = Capabilities.TIME | Capabilities.START | Capabilities.SET | Capabilities.SELFTEST | Capabilities.RECORDINGS
TELLS = Capabilities.STATUS | Capabilities.EVENT | Capabilities.LOG

Samples = NDArray[np.float64]
Sound = Callable[[int], Samples]
"""What the sensor hears: so many samples more, shape (n,), full scale 1 at a gain of 0 dB."""


@dataclass
class _Stream:
    """One of its sensors: what it hears, and what the device forgets of it when it boots."""

    number: int
    sound: Sound
    started: Start | None = None
    due_us: int = 0
    gain_centidb: int = 0
    gain_changed: bool = False
    index: int = 0
    clips: int = 0
    loudest: float = 0.0
    power: float = 0.0
    run_us: int = 0
    run_index: int = 0


@dataclass
class _Settings:
    """What a device forgets when it boots."""

    status_every_s: float = STATUS_EVERY_S
    log_level: int = LogLevel.INFO
    utc_offset_us: int | None = None
    uncertainty_us: int | None = None


@dataclass(frozen=True)
class StoredRecording:
    """A recording in the device's memory: the bytes of a link, and when its first sample was taken.

    Its CRC-32 is that of its bytes unless another one is given: that of what they were before the memory rotted.
    """

    data: bytes
    start_utc_us: int | None
    duration_ms: int
    crc32: int | None = None


class Device:
    """A sensor with its microcontroller; it does not run before :meth:`boot`.

    Parameters
    ----------
    sound, others
        What its sensors hear: a hydrophone, an accelerometer, and so on by turns.
    rate_hz
        The one sample rate it can do.
    capabilities
        What it does; without START it sends samples from boot on.
    boot_id
        Boot id of its first boot, one more for each after it.
    ppm
        How much faster than the world's its clock runs, in parts per million.
    late_hello_s
        How long after boot it says its first HELLO; firmware that keeps to the protocol does so at once.
    floods_log
        Whether it sends 200 lines of LOG a second.
    recordings
        What is in its memory, numbered from 1 on.
    updates
        Takes updates of its firmware; None if it does not.
    crashes
        Whether firmware that is on trial crashes before long.
    """

    def __init__(
        self,
        sound: Sound,
        *others: Sound,
        rate_hz: int = 16000,
        capabilities: Capabilities = HEARS | TELLS,
        boot_id: int = 0,
        ppm: float = 0.0,
        late_hello_s: float = 0.0,
        floods_log: bool = False,
        recordings: Sequence[StoredRecording] = (),
        updates: SmpServer | None = None,
        crashes: bool = False,
    ) -> None:
        self._sounds, self._rate_hz, self._capabilities = (sound, *others), rate_hz, capabilities
        self._boot_id = boot_id - 1
        self._rate = 1.0 + 1e-6 * ppm
        self._late_hello_s, self._floods_log = late_hello_s, floods_log
        self._recordings = dict(enumerate(recordings, start=1))
        self._updates, self._crashes = updates, crashes
        if updates is not None:
            self._capabilities |= Capabilities.SMP
        self._running = False

    def boot(self, now_s: float, cause: ResetCause = ResetCause.POWER_ON) -> None:
        """Begin anew, at a time of the world."""
        self._running, self._boot_id, self._booted_s, self._cause = True, (self._boot_id + 1) % 2**32, now_s, cause
        self._settings = _Settings()
        self._decoder = Decoder()
        self._streams = {
            number: _Stream(number, sound) for number, sound in enumerate(self._sounds, start=SENSOR_STREAM)
        }
        self._sequence = self._events = self._lines = 0
        self._open_events: dict[int, Event] = {}
        self._reset: tuple[int, ResetCause] | None = None
        if self._updates is not None:
            self._updates.boot()
            if self._crashes and self._updates.on_trial:
                self._reset = (round(1e6 * CRASH_S), ResetCause.WATCHDOG)
        self._due_us: dict[FrameType, int] = {FrameType.HELLO: round(1e6 * self._late_hello_s)}
        if Capabilities.STATUS in self._capabilities:
            self._due_us[FrameType.STATUS] = round(1e6 * STATUS_EVERY_S)
        if self._floods_log:
            self._due_us[FrameType.LOG] = 0
        if Capabilities.START not in self._capabilities:
            for stream in self._streams.values():
                self._run(stream, 0, Start(rate_millihz=1000 * self._rate_hz, sample_format=SampleFormat.INT16))

    @property
    def recordings(self) -> Mapping[int, StoredRecording]:
        """What is in its memory, by number."""
        return dict(self._recordings)

    def lose_power(self) -> None:
        """Cease, until :meth:`boot`."""
        self._running = False

    def time_us(self, now_s: float) -> int:
        """The device's time at a time of the world, in µs."""
        return math.floor(1e6 * (now_s - self._booted_s) * self._rate)

    def send(self, now_s: float) -> list[Frame]:
        """Frames that it has made until now, of its own accord."""
        frames: list[Frame] = []
        if self._running and self._reset is not None and self.time_us(now_s) >= self._reset[0]:
            self.boot(now_s, self._reset[1])
        while self._running:
            due: list[tuple[int, FrameType | _Stream]] = [(at_us, kind) for kind, at_us in self._due_us.items()]
            due += [(stream.due_us, stream) for stream in self._streams.values() if stream.started]
            at_us, what = min(due, key=lambda one: one[0])
            if at_us > self.time_us(now_s):
                break
            frames += [self._audio(what)] if isinstance(what, _Stream) else self._make(what, at_us)
        return frames

    def receive(self, data: bytes, now_s: float) -> list[Frame]:
        """Take bytes of its receiver, and give its answers."""
        if not self._running:
            return []
        asked = [item for item in self._decoder.receive(data) if isinstance(item, Frame)]
        return [answer for frame in asked for answer in self._obey(frame, self.time_us(now_s))]

    def happen(self, event: EventCode, now_s: float, *, begun: bool = True, value: int = 0) -> list[Frame]:
        """Let something begin or end, and give the report of it."""
        at_us = self.time_us(now_s)
        report = Event(time_us=at_us, number=self._events, event=event, begun=begun, value=value)
        self._events += 1
        self._open_events.pop(event, None)
        if begun:
            self._open_events[event] = report
            self._due_us.setdefault(FrameType.EVENT, at_us + round(1e6 * REPEAT_EVENT_S))
        return [self._frame(report, at_us)]

    def _make(self, kind: FrameType, at_us: int) -> list[Frame]:
        match kind:
            case FrameType.HELLO:
                self._due_us[kind] = at_us + round(1e6 * HELLO_EVERY_S)
                return [self._frame(self._hello(), at_us)]
            case FrameType.STATUS:
                self._due_us[kind] = at_us + round(1e6 * self._settings.status_every_s)
                return [self._frame(self._status(), at_us)]
            case FrameType.LOG:
                self._due_us[kind] = at_us + round(1e6 * FLOOD_EVERY_S)
                if self._settings.log_level < LogLevel.WARNING:
                    return []
                self._lines += 1
                return [self._frame(Log(level=LogLevel.WARNING, text=f"line {self._lines} " + 100 * "x"), at_us)]
            case _:
                self._due_us[kind] = at_us + round(1e6 * REPEAT_EVENT_S)
                return [self._frame(event, at_us) for event in self._open_events.values()]

    def _frame(self, body: Body, at_us: int, stream: int = 0) -> Frame:
        frame = Frame(sequence=self._sequence, device_time_us=at_us, stream=stream, body=body)
        self._sequence = (self._sequence + 1) % 2**32
        return frame

    def _hello(self) -> Hello:
        return Hello(
            boot_id=self._boot_id,
            uid=b"simulated",
            model="hydroear simulator",
            firmware="" if self._updates is None else self._updates.firmware,
            capabilities=self._capabilities,
            sensors=tuple(_sensor(number, self._rate_hz) for number in self._streams),
        )

    def _status(self) -> Status:
        sensors = []
        for stream in self._streams.values():
            rms, peak = round(2**31 * math.sqrt(stream.power)), round(2**31 * stream.loudest)
            sensors.append(SensorStatus(stream=stream.number, clips=stream.clips, rms=rms, peak=peak))
            stream.loudest = stream.power = 0.0
        return Status(
            battery_mv=3600,
            supply_mv=3300,
            temperature_centicelsius=1250,
            humidity_centipercent=4000,
            charge_percent=80,
            reset_cause=self._cause,
            sensors=tuple(sensors),
        )

    def _run(self, stream: _Stream, at_us: int, start: Start) -> None:
        """Begin to take samples."""
        stream.started = start
        stream.run_us, stream.run_index = at_us, stream.index
        stream.due_us = at_us + self._duration_us(self._count(start))

    def _count(self, start: Start) -> int:
        return start.count or round(FRAME_S * self._rate_hz)

    def _duration_us(self, samples: int) -> int:
        return samples * 1_000_000 // self._rate_hz

    def _audio(self, stream: _Stream) -> Frame:
        start = stream.started
        assert start is not None
        first, count = stream.index, self._count(start)
        stream.index += count
        since = first - stream.run_index
        stream.due_us = stream.run_us + self._duration_us(since + 2 * count)
        heard = stream.sound(count) * 10.0 ** (stream.gain_centidb / 2000.0)
        bits = 8 * start.sample_format.width
        integers = np.clip(np.floor(heard * 2 ** (bits - 1)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        clips = int(np.count_nonzero(np.abs(heard) >= 1.0))
        stream.clips += clips
        stream.loudest = min(max(stream.loudest, float(np.max(np.abs(heard)))), 1.0)
        stream.power = min(max(stream.power, float(np.mean(heard**2))), 1.0)
        flags = AudioFlags.CLIPPED if clips else AudioFlags(0)
        if stream.gain_changed:
            flags |= AudioFlags.GAIN_CHANGED
            stream.gain_changed = False
        if self._settings.utc_offset_us is not None:
            flags |= AudioFlags.TIME_VALID
        audio = Audio(
            sample_index=first,
            rate_millihz=1000 * self._rate_hz,
            sample_format=start.sample_format,
            data=integers.astype("<i4").view("u1").reshape(-1, 4)[:, : bits // 8].tobytes(),
            gain_centidb=stream.gain_centidb,
            flags=flags,
        )
        return self._frame(audio, stream.run_us + self._duration_us(since), stream.number)

    def _obey(self, frame: Frame, at_us: int) -> list[Frame]:
        body = frame.body
        if isinstance(body, Time):
            self._learn(body)
            answer = replace(body, device_received_us=at_us, device_sent_us=at_us)
            if answer.utc_offset_us is None:
                known = self._settings
                answer = replace(answer, utc_offset_us=known.utc_offset_us, uncertainty_us=known.uncertainty_us)
            return [self._frame(answer, at_us)]
        if isinstance(body, (Hello, Result, Audio, Status, Event, Log, RecData)):
            return []
        if isinstance(body, Uninterpreted) and body.frame_type == FrameType.SMP and self._updates is not None:
            return self._manage(self._updates, body.payload, at_us)
        sent, code, value = self._do(body, frame.stream, at_us)
        request_type = body.frame_type if isinstance(body, Uninterpreted) else body.TYPE
        result = Result(request_sequence=frame.sequence, request_type=request_type, code=code, value=value)
        return [*(self._frame(one, at_us) for one in sent), self._frame(result, at_us, frame.stream)]

    def _learn(self, time: Time) -> None:
        if time.utc_offset_us is not None:
            self._settings.utc_offset_us, self._settings.uncertainty_us = time.utc_offset_us, time.uncertainty_us

    def _manage(self, updates: SmpServer, packet: bytes, at_us: int) -> list[Frame]:
        answer = updates.answer(packet)
        if updates.reset_due and self._reset is None:
            self._reset = (at_us + round(1e6 * RESET_S), ResetCause.SOFTWARE)
        return [] if answer is None else [self._frame(Uninterpreted(frame_type=FrameType.SMP, payload=answer), at_us)]

    def _do(self, body: Body, stream: int, at_us: int) -> tuple[list[Body], ResultCode, int]:
        """What a request makes it send, and what became of it."""
        if stream and stream not in self._streams:
            return [], ResultCode.NOT_FOUND, 0
        match body:
            case Start():
                return [], *self._start(body, stream, at_us)
            case Stop():
                for one in self._streams.values():
                    if stream in (0, one.number):
                        one.started = None
                return [], ResultCode.OK, 0
            case Set():
                return [], *self._set(body, stream, at_us)
            case Selftest():
                return [], ResultCode.OK, 0
            case RecList():
                listed = [self._entry(number) for number in sorted(self._recordings) if number >= body.from_recording]
                sent: list[Body] = [replace(body, recordings=(entry,)) for entry in listed]
                return sent, ResultCode.OK, len(listed)
            case RecRead():
                return self._read(body)
            case RecErase():
                if body.recording not in self._recordings:
                    return [], ResultCode.NOT_FOUND, 0
                if zlib.crc32(self._recordings[body.recording].data) != body.crc32:
                    return [], ResultCode.REFUSED, 0
                del self._recordings[body.recording]
                return [], ResultCode.OK, 0
        return [], ResultCode.UNKNOWN, 0

    def _start(self, start: Start, number: int, at_us: int) -> tuple[ResultCode, int]:
        if number not in self._streams:
            return ResultCode.NOT_FOUND, 0
        stream = self._streams[number]
        gain = stream.gain_centidb if start.gain_centidb is None else start.gain_centidb
        can = start.rate_millihz == 1000 * self._rate_hz and start.sample_format in FORMATS and gain in GAINS_CENTIDB
        if not can:
            return ResultCode.UNSUPPORTED, 0
        if stream.started not in (None, start):
            return ResultCode.BUSY, 0
        if stream.started is None:
            stream.gain_centidb = gain
            self._run(stream, at_us, start)
        return ResultCode.OK, stream.index

    def _set(self, setting: Set, number: int, at_us: int) -> tuple[ResultCode, int]:
        settings, value = self._settings, setting.value
        match setting.parameter:
            case Parameter.GAIN_CENTIDB if number in self._streams:
                stream = self._streams[number]
                value = min(GAINS_CENTIDB, key=lambda gain: abs(gain - value))
                stream.gain_changed = value != stream.gain_centidb
                stream.gain_centidb = value
            case Parameter.STATUS_INTERVAL_MS:
                settings.status_every_s = 1e-3 * value if value > 0 else math.inf
                self._due_us.pop(FrameType.STATUS, None)
                if value > 0:
                    self._due_us[FrameType.STATUS] = at_us + value * 1000
            case Parameter.LOG_LEVEL:
                settings.log_level = value
            case _:
                return ResultCode.NOT_FOUND, 0
        return ResultCode.OK, value

    def _entry(self, number: int) -> Recording:
        stored = self._recordings[number]
        return Recording(
            recording=number,
            size=len(stored.data),
            crc32=zlib.crc32(stored.data) if stored.crc32 is None else stored.crc32,
            start_utc_us=stored.start_utc_us,
            duration_ms=stored.duration_ms,
        )

    def _read(self, read: RecRead) -> tuple[list[Body], ResultCode, int]:
        if read.recording not in self._recordings:
            return [], ResultCode.NOT_FOUND, 0
        data = self._recordings[read.recording].data
        if read.offset > len(data):
            return [], ResultCode.BAD, 0
        end = min(read.offset + read.length, len(data)) if read.length else len(data)
        pieces: list[Body] = [
            RecData(recording=read.recording, offset=at, data=data[at : min(at + REC_DATA_SIZE, end)])
            for at in range(read.offset, end, REC_DATA_SIZE)
        ]
        return pieces, ResultCode.OK, end


def _sensor(number: int, rate_hz: int) -> Sensor:
    """What HELLO tells of a sensor."""
    hydrophone = number % 2 == SENSOR_STREAM % 2
    return Sensor(
        stream=number,
        kind=SensorKind.HYDROPHONE if hydrophone else SensorKind.ACCELEROMETER,
        unit=SensorUnit.PASCAL if hydrophone else SensorUnit.METRE_PER_SECOND_SQUARED,
        adc_bits=24,
        sensitivity_v_per_unit=SENSITIVITY_V_PER_PA if hydrophone else SENSITIVITY_V_PER_M_PER_S2,
        full_scale_units=FULL_SCALE_PA if hydrophone else FULL_SCALE_M_PER_S2,
        formats=FORMATS,
        rates_millihz=(1000 * rate_hz,),
        gains_centidb=GAINS_CENTIDB,
    )
