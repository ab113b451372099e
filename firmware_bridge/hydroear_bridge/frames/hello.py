"""HELLO: who is speaking, and what the device and its sensors can do."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.audio import SampleFormat
from hydroear_bridge.frames.field import MAX_PAYLOAD, FrameType, check, named, text, unpack

VERSION = 1
_HELLO = struct.Struct("<BBHI")
_SENSOR = struct.Struct("<BBBBffBBBB")
_MAX_F32 = struct.unpack("<f", bytes.fromhex("ffff7f7f"))[0]


class HelloItem(enum.IntEnum):
    """Tags of the items that follow the fixed fields of HELLO."""

    UID = 1
    MODEL = 2
    HARDWARE = 3
    FIRMWARE = 4
    CAPABILITIES = 5
    SENSOR = 6


class Capabilities(enum.IntFlag):
    """What the device does; bits without a name are kept as they are.

    With ``START`` it sends no AUDIO before it is asked to; without, it sends from boot on.
    """

    TIME = 0x01
    START = 0x02
    SET = 0x04
    SELFTEST = 0x08
    STATUS = 0x10
    EVENT = 0x20
    LOG = 0x40
    RECORDINGS = 0x80
    SMP = 0x100


_NO_CAPABILITIES = Capabilities(0)


class SensorKind(enum.IntEnum):
    """What a sensor is."""

    OTHER = 0
    HYDROPHONE = 1
    ACCELEROMETER = 2
    GEOPHONE = 3
    MICROPHONE = 4
    PRESSURE_TRANSDUCER = 5


class SensorUnit(enum.IntEnum):
    """Unit of what a sensor measures."""

    OTHER = 0
    PASCAL = 1
    METRE_PER_SECOND_SQUARED = 2
    METRE_PER_SECOND = 3
    VOLT = 4


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """One sensor of a device.

    Attributes
    ----------
    stream
        Stream of its frames, 1 to 255.
    kind
        One of :class:`SensorKind`, or a value of a later revision, 0 to 255.
    unit
        One of :class:`SensorUnit`, or a value of a later revision, 0 to 255.
    adc_bits
        Resolution of the converter, 0 to 255; 0 if not told.
    sensitivity_v_per_unit
        Volts per unit ahead of any gain, at least 0, rounded to 32 bits on the wire; 0 if not told.
    full_scale_units
        Units that full scale stands for at a gain of 0 dB, as above.
    channels
        Channels of its AUDIO, 1 to 255.
    formats
        Formats it can send, ascending.
    rates_millihz
        Rates it can sample at, in mHz, each 1 to 2³²-1.
    gains_centidb
        Gains it can be set to, in 0.01 dB, each -32768 to 32767; empty if its gain is fixed.
    """

    stream: int
    kind: int = SensorKind.OTHER
    unit: int = SensorUnit.OTHER
    adc_bits: int = 0
    sensitivity_v_per_unit: float = 0.0
    full_scale_units: float = 0.0
    channels: int = 1
    formats: tuple[SampleFormat, ...] = ()
    rates_millihz: tuple[int, ...] = ()
    gains_centidb: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check("stream of a sensor", self.stream, 1, 255)
        check("kind", self.kind, 0, 255)
        check("unit", self.unit, 0, 255)
        check("adc_bits", self.adc_bits, 0, 255)
        check("sensitivity_v_per_unit", self.sensitivity_v_per_unit, 0, _MAX_F32)
        check("full_scale_units", self.full_scale_units, 0, _MAX_F32)
        check("channels", self.channels, 1, 255)
        for rate in self.rates_millihz:
            check("rates_millihz", rate, 1, 2**32 - 1)
        for gain in self.gains_centidb:
            check("gains_centidb", gain, -(2**15), 2**15 - 1)
        size = _SENSOR.size + 4 * len(self.rates_millihz) + 2 * len(self.gains_centidb)
        check("length of a sensor's rates and gains", size - _SENSOR.size, 0, 255 - _SENSOR.size)

    def to_bytes(self) -> bytes:
        """Write the value of the item."""
        fields = _SENSOR.pack(
            self.stream,
            self.kind,
            self.unit,
            self.adc_bits,
            self.sensitivity_v_per_unit,
            self.full_scale_units,
            self.channels,
            sum(1 << (sample_format - 1) for sample_format in set(self.formats)),
            len(self.rates_millihz),
            len(self.gains_centidb),
        )
        rates = struct.pack(f"<{len(self.rates_millihz)}I", *self.rates_millihz)
        return fields + rates + struct.pack(f"<{len(self.gains_centidb)}h", *self.gains_centidb)

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """Read the value of the item; formats of a later revision are left out.

        Raises
        ------
        FrameError
            If the value ends early or holds what is out of range.
        """
        if len(value) < _SENSOR.size:
            raise FrameError(f"HELLO with a sensor of {len(value)} bytes, expected at least {_SENSOR.size}", value)
        stream, kind, unit, adc_bits, sensitivity, full_scale, channels, formats, rates, gains = _SENSOR.unpack_from(
            value
        )
        lists = struct.Struct(f"<{rates}I{gains}h")
        if len(value) < _SENSOR.size + lists.size:
            raise FrameError(
                f"HELLO with a sensor of {len(value)} bytes that claims {rates} rates, {gains} gains", value
            )
        numbers = lists.unpack_from(value, _SENSOR.size)
        return cls(
            stream=stream,
            kind=named(SensorKind, kind),
            unit=named(SensorUnit, unit),
            adc_bits=adc_bits,
            sensitivity_v_per_unit=sensitivity,
            full_scale_units=full_scale,
            channels=channels,
            formats=tuple(code for code in SampleFormat if formats >> (code - 1) & 1),
            rates_millihz=numbers[:rates],
            gains_centidb=numbers[rates:],
        )


@dataclass(frozen=True, kw_only=True)
class Hello:
    """Who is speaking, and since which boot.

    Attributes
    ----------
    boot_id
        Another value after each boot, 0 to 2³²-1.
    protocol_min, protocol_max
        Lowest and highest protocol version the device speaks, 0 to 255.
    max_payload
        Longest payload the device sends or takes, in bytes, at most :data:`MAX_PAYLOAD`.
    uid
        The device's unique number, at most 255 bytes; empty if it has none.
    model, hardware, firmware
        Names for people, each at most 255 bytes of UTF-8; empty if not told.
    capabilities
        What the device does beyond HELLO and AUDIO.
    sensors
        Its sensors, in the order of their streams; empty if not told.
    """

    TYPE: ClassVar = FrameType.HELLO

    boot_id: int
    protocol_min: int = VERSION
    protocol_max: int = VERSION
    max_payload: int = MAX_PAYLOAD
    uid: bytes = b""
    model: str = ""
    hardware: str = ""
    firmware: str = ""
    capabilities: Capabilities = _NO_CAPABILITIES
    sensors: tuple[Sensor, ...] = ()

    def __post_init__(self) -> None:
        check("boot_id", self.boot_id, 0, 2**32 - 1)
        check("protocol_min", self.protocol_min, 0, 255)
        check("protocol_max", self.protocol_max, self.protocol_min, 255)
        check("max_payload", self.max_payload, 0, MAX_PAYLOAD)
        check("capabilities", self.capabilities, 0, 2**32 - 1)
        for tag, value in self._values():
            check(f"length of {tag.name.lower()}", len(value), 0, 255)
        check("length of the payload", len(self.to_bytes()), 0, MAX_PAYLOAD)

    def sensor(self, stream: int) -> Sensor | None:
        """The sensor of a stream; None if it is not told of."""
        return next((one for one in self.sensors if one.stream == stream), None)

    def _values(self) -> list[tuple[HelloItem, bytes]]:
        capabilities = self.capabilities.to_bytes(4, "little") if self.capabilities else b""
        return [
            (HelloItem.UID, self.uid),
            (HelloItem.MODEL, self.model.encode()),
            (HelloItem.HARDWARE, self.hardware.encode()),
            (HelloItem.FIRMWARE, self.firmware.encode()),
            (HelloItem.CAPABILITIES, capabilities),
            *((HelloItem.SENSOR, sensor.to_bytes()) for sensor in self.sensors),
        ]

    def to_bytes(self) -> bytes:
        """Write the payload; what is empty is left out."""
        fields = _HELLO.pack(self.protocol_min, self.protocol_max, self.max_payload, self.boot_id)
        return fields + b"".join(bytes([tag, len(value)]) + value for tag, value in self._values() if value)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; items with a tag of a later revision are skipped.

        Raises
        ------
        FrameError
            If the payload ends early, a name is not UTF-8 or a value is out of range.
        """
        protocol_min, protocol_max, max_payload, boot_id = unpack(cls.TYPE, _HELLO, payload)
        items = list(_items(payload))
        values = dict(items)
        capabilities = values.get(HelloItem.CAPABILITIES, bytes(4))
        if len(capabilities) < 4:
            raise FrameError(f"HELLO with capabilities of {len(capabilities)} bytes, expected 4", payload)
        model, hardware, firmware = (
            text(cls.TYPE, values.get(tag, b""), payload)
            for tag in (HelloItem.MODEL, HelloItem.HARDWARE, HelloItem.FIRMWARE)
        )
        return cls(
            boot_id=boot_id,
            protocol_min=protocol_min,
            protocol_max=protocol_max,
            max_payload=max_payload,
            uid=values.get(HelloItem.UID, b""),
            model=model,
            hardware=hardware,
            firmware=firmware,
            capabilities=Capabilities(int.from_bytes(capabilities[:4], "little")),
            sensors=tuple(Sensor.from_bytes(value) for tag, value in items if tag == HelloItem.SENSOR),
        )


def offering(payload: bytes, capabilities: Capabilities) -> bytes:
    """A payload of HELLO that offers these at most; all else, also of later revisions, stays as it is."""
    start = _HELLO.size
    for tag, value in _items(payload):
        if tag == HelloItem.CAPABILITIES:
            left = int.from_bytes(value[:4], "little") & capabilities
            payload = payload[: start + 2] + left.to_bytes(4, "little") + payload[start + 6 :]
        start += 2 + len(value)
    return payload


def _items(payload: bytes) -> Iterator[tuple[int, bytes]]:
    start = _HELLO.size
    while start < len(payload):
        tag, length = payload[start], payload[start + 1] if start + 1 < len(payload) else 0
        end = start + 2 + length
        if end > len(payload):
            raise FrameError(f"HELLO that ends within item {tag}", payload)
        yield tag, payload[start + 2 : end]
        start = end
