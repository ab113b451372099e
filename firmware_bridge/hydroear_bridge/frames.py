"""Frames of the bridge protocol, version 1: header and payload, without checksum and stuffing.

The layout is that of ``PROTOCOL.md``; constants are named as there.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hydroear_bridge.errors import FrameError

VERSION = 1
MUST_UNDERSTAND = 0xF0
"""Header flags that forbid a receiver that does not know them to interpret the payload."""
MAX_PAYLOAD = 8192
"""Longest payload of a frame, in bytes."""

HEADER = struct.Struct("<BBBBIQ")
_HELLO = struct.Struct("<BBHI")
_AUDIO = struct.Struct("<QIHBBhBB")


class SampleFormat(enum.IntEnum):
    """How one sample is written; little-endian, full scale ±1 when read as a fraction."""

    INT16 = 1
    INT24 = 2
    INT32 = 3
    FLOAT32 = 4

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return {SampleFormat.INT16: 2, SampleFormat.INT24: 3}.get(self, 4)


class AudioFlags(enum.IntFlag):
    """What the device knows of the samples of one AUDIO frame; bits without a name are kept as they are."""

    CLIPPED = 0x01
    GAP = 0x02


_NO_FLAGS = AudioFlags(0)


class HelloItem(enum.IntEnum):
    """Tags of the items that follow the fixed fields of HELLO."""

    UID = 1
    MODEL = 2
    HARDWARE = 3
    FIRMWARE = 4


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
    """

    TYPE: ClassVar[int] = 0x01

    boot_id: int
    protocol_min: int = VERSION
    protocol_max: int = VERSION
    max_payload: int = MAX_PAYLOAD
    uid: bytes = b""
    model: str = ""
    hardware: str = ""
    firmware: str = ""

    def __post_init__(self) -> None:
        _check("boot_id", self.boot_id, 0, 2**32 - 1)
        _check("protocol_min", self.protocol_min, 0, 255)
        _check("protocol_max", self.protocol_max, self.protocol_min, 255)
        _check("max_payload", self.max_payload, 0, MAX_PAYLOAD)
        for tag, value in self._values():
            _check(f"length of {tag.name.lower()}", len(value), 0, 255)

    def _values(self) -> list[tuple[HelloItem, bytes]]:
        return [
            (HelloItem.UID, self.uid),
            (HelloItem.MODEL, self.model.encode()),
            (HelloItem.HARDWARE, self.hardware.encode()),
            (HelloItem.FIRMWARE, self.firmware.encode()),
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
        if len(payload) < _HELLO.size:
            raise FrameError(f"HELLO of {len(payload)} bytes, expected at least {_HELLO.size}", payload)
        protocol_min, protocol_max, max_payload, boot_id = _HELLO.unpack_from(payload)
        items = dict(_items(payload))
        try:
            model, hardware, firmware = (
                items.get(tag, b"").decode() for tag in (HelloItem.MODEL, HelloItem.HARDWARE, HelloItem.FIRMWARE)
            )
        except UnicodeDecodeError as error:
            raise FrameError(f"HELLO with a name that is not UTF-8: {error.object!r}", payload) from None
        return cls(
            boot_id=boot_id,
            protocol_min=protocol_min,
            protocol_max=protocol_max,
            max_payload=max_payload,
            uid=items.get(HelloItem.UID, b""),
            model=model,
            hardware=hardware,
            firmware=firmware,
        )


def _items(payload: bytes) -> Iterator[tuple[int, bytes]]:
    start = _HELLO.size
    while start < len(payload):
        tag, length = payload[start], payload[start + 1] if start + 1 < len(payload) else 0
        end = start + 2 + length
        if end > len(payload):
            raise FrameError(f"HELLO that ends within item {tag}", payload)
        yield tag, payload[start + 2 : end]
        start = end


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A run of samples without loss.

    Attributes
    ----------
    sample_index
        Index of the first sample since boot, counting lost samples, 0 to 2⁶⁴-1.
    rate_millihz
        Nominal sample rate in mHz, so that rates such as 7812.5 Hz are exact; 1 to 2³²-1.
    sample_format
        How the samples are written.
    data
        The samples, channels interleaved: count x channels x width bytes, at least one sample of each channel.
    channels
        Number of channels, 1 to 255.
    gain_centidb
        Gain before the converter, in 0.01 dB, -32768 to 32767.
    flags
        What the device knows of these samples.
    """

    TYPE: ClassVar[int] = 0x10

    sample_index: int
    rate_millihz: int
    sample_format: SampleFormat
    data: bytes
    channels: int = 1
    gain_centidb: int = 0
    flags: AudioFlags = _NO_FLAGS

    def __post_init__(self) -> None:
        _check("sample_index", self.sample_index, 0, 2**64 - 1)
        _check("rate_millihz", self.rate_millihz, 1, 2**32 - 1)
        _check("channels", self.channels, 1, 255)
        _check("gain_centidb", self.gain_centidb, -(2**15), 2**15 - 1)
        _check("flags", self.flags, 0, 255)
        step = self.channels * self.sample_format.width
        _check("length of data", len(self.data), step, MAX_PAYLOAD - _AUDIO.size)
        if len(self.data) % step:
            raise FrameError(f"length of data is {len(self.data)}, expected a multiple of {step}", self.data)

    @property
    def count(self) -> int:
        """Number of samples of each channel."""
        return len(self.data) // (self.channels * self.sample_format.width)

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.sample_index + self.count

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate in Hz."""
        return self.rate_millihz / 1000

    def samples(self) -> NDArray[np.float32]:
        """The samples as fractions of full scale.

        Returns
        -------
        float32, shape (count, channels)
            Integers divided by 2^(bits-1), so within ±1 (32-bit values rounded to float32); float32 as sent.
        """
        match self.sample_format:
            case SampleFormat.FLOAT32:
                flat = np.frombuffer(self.data, "<f4").astype(np.float32)
            case SampleFormat.INT24:
                # As the upper three bytes of a 32-bit integer the sign needs no extension.
                words = np.zeros((len(self.data) // 3, 4), np.uint8)
                words[:, 1:] = np.frombuffer(self.data, np.uint8).reshape(-1, 3)
                flat = _fractions(words.view("<i4"))
            case SampleFormat.INT16:
                flat = _fractions(np.frombuffer(self.data, "<i2"))
            case SampleFormat.INT32:
                flat = _fractions(np.frombuffer(self.data, "<i4"))
        return flat.reshape(self.count, self.channels)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        fields = _AUDIO.pack(
            self.sample_index,
            self.rate_millihz,
            self.count,
            self.sample_format,
            self.channels,
            self.gain_centidb,
            self.flags,
            _AUDIO.size,
        )
        return fields + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; fields of a later revision, before the first sample, are skipped.

        Raises
        ------
        FrameError
            If the fields contradict each other or the length, or a value is out of range.
        """
        if len(payload) < _AUDIO.size:
            raise FrameError(f"AUDIO of {len(payload)} bytes, expected at least {_AUDIO.size}", payload)
        index, rate_millihz, count, code, channels, gain_centidb, flags, offset = _AUDIO.unpack_from(payload)
        if code not in list(SampleFormat):
            raise FrameError(f"AUDIO of sample format {code}, expected 1 to {len(SampleFormat)}", payload)
        sample_format = SampleFormat(code)
        if offset < _AUDIO.size or offset + count * channels * sample_format.width != len(payload):
            raise FrameError(
                f"AUDIO of {len(payload)} bytes that claims {count} x {channels} {sample_format.name.lower()} samples "
                f"from byte {offset}",
                payload,
            )
        return cls(
            sample_index=index,
            rate_millihz=rate_millihz,
            sample_format=sample_format,
            data=payload[offset:],
            channels=channels,
            gain_centidb=gain_centidb,
            flags=AudioFlags(flags),
        )


def _fractions(integers: NDArray[np.int16] | NDArray[np.int32]) -> NDArray[np.float32]:
    return integers.astype(np.float32) / np.float32(2 ** (8 * integers.itemsize - 1))


@dataclass(frozen=True, kw_only=True)
class Uninterpreted:
    """A payload of a type this revision does not know, or under a flag it had to understand."""

    frame_type: int
    payload: bytes

    def __post_init__(self) -> None:
        _check("frame_type", self.frame_type, 0, 255)
        _check("length of payload", len(self.payload), 0, MAX_PAYLOAD)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame: header and payload.

    A frame and its body check their values when they are made: what does not fit raises :class:`FrameError`.

    Attributes
    ----------
    sequence
        Number of the frame on its link, one more than the frame before, modulo 2³².
    device_time_us
        Device time since boot, in µs: of the first sample for AUDIO, of writing the frame for others.
    body
        What the frame says.
    stream
        0 for the device itself, 1 to 255 for its sensors.
    flags
        Header flags, 0 in this version.
    """

    sequence: int
    device_time_us: int
    body: Hello | Audio | Uninterpreted
    stream: int = 0
    flags: int = 0

    def __post_init__(self) -> None:
        _check("sequence", self.sequence, 0, 2**32 - 1)
        _check("device_time_us", self.device_time_us, 0, 2**64 - 1)
        _check("stream", self.stream, 0, 255)
        _check("flags", self.flags, 0, 255)

    def to_bytes(self) -> bytes:
        """Write header and payload."""
        if isinstance(self.body, Uninterpreted):
            frame_type, payload = self.body.frame_type, self.body.payload
        else:
            frame_type, payload = self.body.TYPE, self.body.to_bytes()
        return HEADER.pack(VERSION, frame_type, self.flags, self.stream, self.sequence, self.device_time_us) + payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read header and payload.

        Raises
        ------
        FrameError
            If the frame is of another version, too short or too long, or its payload contradicts itself.
        """
        if not HEADER.size <= len(data) <= HEADER.size + MAX_PAYLOAD:
            limits = f"{HEADER.size} to {HEADER.size + MAX_PAYLOAD}"
            raise FrameError(f"frame of {len(data)} bytes without checksum, expected {limits}", data)
        version, frame_type, flags, stream, sequence, device_time_us = HEADER.unpack_from(data)
        if version != VERSION:
            raise FrameError(f"frame of protocol version {version}, expected {VERSION}", data)
        payload = data[HEADER.size :]
        body: Hello | Audio | Uninterpreted
        if frame_type == Audio.TYPE and not flags & MUST_UNDERSTAND:
            body = Audio.from_bytes(payload)
        elif frame_type == Hello.TYPE and not flags & MUST_UNDERSTAND:
            body = Hello.from_bytes(payload)
        else:
            body = Uninterpreted(frame_type=frame_type, payload=payload)
        return cls(sequence=sequence, device_time_us=device_time_us, body=body, stream=stream, flags=flags)


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FrameError(f"{name} is {value}, expected {low} to {high}")
