"""What a device reports of itself: its health, events, lines for people."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.field import MAX_PAYLOAD, NO_TEMPERATURE, FrameType, check, named, rest, text, unpack

_STATUS = struct.Struct("<HHhHIBBBB")
_SENSOR = struct.Struct("<B3xIIIII")
_EVENT = struct.Struct("<QIHBxi")
_LOG = struct.Struct("<BB")
_NO_U16 = 2**16 - 1
_NO_CHARGE = 2**8 - 1


class ResetCause(enum.IntEnum):
    """Why the device booted."""

    NOT_KNOWN = 0
    POWER_ON = 1
    RESET_PIN = 2
    WATCHDOG = 3
    BROWN_OUT = 4
    SOFTWARE = 5
    FAULT = 6


@dataclass(frozen=True, kw_only=True)
class SensorStatus:
    """Health of one sensor. All counts are since boot, modulo 2³².

    Attributes
    ----------
    stream
        Stream of the sensor, 1 to 255.
    adc_overruns
        Times the converter was not read in time.
    drops
        Samples of each channel that the device lost.
    clips
        Samples that reached full scale.
    rms, peak
        Level and largest magnitude of the loudest channel since the last STATUS, as fractions of full scale times
        2³¹, 0 to 2³²-1.
    """

    stream: int
    adc_overruns: int = 0
    drops: int = 0
    clips: int = 0
    rms: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        check("stream of a sensor", self.stream, 1, 255)
        for name in ("adc_overruns", "drops", "clips", "rms", "peak"):
            check(name, getattr(self, name), 0, 2**32 - 1)

    def to_bytes(self) -> bytes:
        """Write the block."""
        return _SENSOR.pack(self.stream, self.adc_overruns, self.drops, self.clips, self.rms, self.peak)

    @classmethod
    def from_bytes(cls, block: bytes) -> Self:
        """Read the block, which is long enough; :class:`FrameError` if a value is out of range."""
        stream, adc_overruns, drops, clips, rms, peak = _SENSOR.unpack_from(block)
        return cls(stream=stream, adc_overruns=adc_overruns, drops=drops, clips=clips, rms=rms, peak=peak)


@dataclass(frozen=True, kw_only=True)
class Status:
    """Health of a device and its sensors; None stands for what is not measured.

    Attributes
    ----------
    battery_mv, supply_mv
        Voltages in mV, 0 to 65534.
    temperature_centicelsius
        In the case, in 0.01 °C, -32767 to 32767.
    humidity_centipercent
        Relative, in the case, in 0.01 %, 0 to 65534.
    frames_dropped
        Frames made and never handed to the link since boot, modulo 2³².
    charge_percent
        Of the battery, 0 to 100.
    reset_cause
        One of :class:`ResetCause`, or a value of a later revision, 0 to 255.
    sensors
        Health of the sensors.
    """

    TYPE: ClassVar = FrameType.STATUS

    battery_mv: int | None = None
    supply_mv: int | None = None
    temperature_centicelsius: int | None = None
    humidity_centipercent: int | None = None
    frames_dropped: int = 0
    charge_percent: int | None = None
    reset_cause: int = ResetCause.NOT_KNOWN
    sensors: tuple[SensorStatus, ...] = ()

    def __post_init__(self) -> None:
        check("battery_mv", self.battery_mv or 0, 0, _NO_U16 - 1)
        check("supply_mv", self.supply_mv or 0, 0, _NO_U16 - 1)
        check("temperature_centicelsius", self.temperature_centicelsius or 0, NO_TEMPERATURE + 1, 2**15 - 1)
        check("humidity_centipercent", self.humidity_centipercent or 0, 0, _NO_U16 - 1)
        check("frames_dropped", self.frames_dropped, 0, 2**32 - 1)
        check("charge_percent", self.charge_percent or 0, 0, 100)
        check("reset_cause", self.reset_cause, 0, 255)
        check("number of sensors", len(self.sensors), 0, (MAX_PAYLOAD - _STATUS.size) // _SENSOR.size)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        fields = _STATUS.pack(
            _NO_U16 if self.battery_mv is None else self.battery_mv,
            _NO_U16 if self.supply_mv is None else self.supply_mv,
            NO_TEMPERATURE if self.temperature_centicelsius is None else self.temperature_centicelsius,
            _NO_U16 if self.humidity_centipercent is None else self.humidity_centipercent,
            self.frames_dropped,
            _NO_CHARGE if self.charge_percent is None else self.charge_percent,
            self.reset_cause,
            _STATUS.size,
            _SENSOR.size,
        )
        return fields + b"".join(sensor.to_bytes() for sensor in self.sensors)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early or a value is out of range."""
        battery, supply, temperature, humidity, dropped, charge, cause, offset, size = unpack(
            cls.TYPE, _STATUS, payload
        )
        blocks = rest(cls.TYPE, _STATUS, payload, offset)
        if size < _SENSOR.size or len(blocks) % size:
            raise FrameError(f"STATUS with {len(blocks)} bytes of sensor blocks of {size} bytes", payload)
        return cls(
            battery_mv=None if battery == _NO_U16 else battery,
            supply_mv=None if supply == _NO_U16 else supply,
            temperature_centicelsius=None if temperature == NO_TEMPERATURE else temperature,
            humidity_centipercent=None if humidity == _NO_U16 else humidity,
            frames_dropped=dropped,
            charge_percent=None if charge == _NO_CHARGE else charge,
            reset_cause=named(ResetCause, cause),
            sensors=tuple(SensorStatus.from_bytes(blocks[at : at + size]) for at in range(0, len(blocks), size)),
        )


class EventCode(enum.IntEnum):
    """What can happen to a device; 0x8000 to 0xFFFF belong to whoever makes it."""

    TAMPER = 1
    WATER_INGRESS = 2
    LOW_BATTERY = 3


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something began or ended.

    Attributes
    ----------
    time_us
        Device time at which it did, in µs, 0 to 2⁶⁴-1.
    number
        0 for the first event since boot, then one more for each; repeats keep theirs. 0 to 2³²-1.
    event
        One of :class:`EventCode`, or another, 0 to 65535.
    begun
        Whether it began; it ended otherwise.
    value
        mV for a low battery, else 0; -2³¹ to 2³¹-1.
    """

    TYPE: ClassVar = FrameType.EVENT

    time_us: int
    number: int
    event: int
    begun: bool = True
    value: int = 0

    def __post_init__(self) -> None:
        check("time_us", self.time_us, 0, 2**64 - 1)
        check("number", self.number, 0, 2**32 - 1)
        check("event", self.event, 0, 2**16 - 1)
        check("value", self.value, -(2**31), 2**31 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _EVENT.pack(self.time_us, self.number, self.event, self.begun, self.value)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        time_us, number, event, state, value = unpack(cls.TYPE, _EVENT, payload)
        return cls(time_us=time_us, number=number, event=named(EventCode, event), begun=state != 0, value=value)


class LogLevel(enum.IntEnum):
    """How much a line for people matters."""

    ERROR = 1
    WARNING = 2
    INFO = 3
    DEBUG = 4


@dataclass(frozen=True, kw_only=True)
class Log:
    """A line for people.

    Attributes
    ----------
    level
        One of :class:`LogLevel`, or a value of a later revision, 0 to 255.
    text
        The line, as UTF-8 at most 8190 bytes.
    """

    TYPE: ClassVar = FrameType.LOG

    level: int
    text: str

    def __post_init__(self) -> None:
        check("level", self.level, 0, 255)
        check("length of text", len(self.text.encode()), 0, MAX_PAYLOAD - _LOG.size)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _LOG.pack(self.level, _LOG.size) + self.text.encode()

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early or is not UTF-8."""
        level, offset = unpack(cls.TYPE, _LOG, payload)
        return cls(level=named(LogLevel, level), text=text(cls.TYPE, rest(cls.TYPE, _LOG, payload, offset), payload))
