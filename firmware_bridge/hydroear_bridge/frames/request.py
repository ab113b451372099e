"""What a receiver asks of a device, and what became of it."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.audio import SampleFormat
from hydroear_bridge.frames.field import FrameType, check, named, unpack

_START = struct.Struct("<IHhBx")
_SET = struct.Struct("<H2xi")
_RESULT = struct.Struct("<IBB2xq")
_LEAVE_GAIN = -(2**15)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Send samples.

    Attributes
    ----------
    rate_millihz
        Sample rate in mHz, 1 to 2³²-1.
    sample_format
        How the samples shall be written.
    count
        Samples of each channel in a frame, 0 to 65535; 0 leaves it to the device.
    gain_centidb
        Gain in 0.01 dB, -32767 to 32767; None leaves it as it is.
    """

    TYPE: ClassVar = FrameType.START

    rate_millihz: int
    sample_format: SampleFormat
    count: int = 0
    gain_centidb: int | None = None

    def __post_init__(self) -> None:
        check("rate_millihz", self.rate_millihz, 1, 2**32 - 1)
        check("count", self.count, 0, 2**16 - 1)
        check("gain_centidb", self.gain_centidb or 0, _LEAVE_GAIN + 1, 2**15 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        gain = _LEAVE_GAIN if self.gain_centidb is None else self.gain_centidb
        return _START.pack(self.rate_millihz, self.count, gain, self.sample_format)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early or a value is out of range."""
        rate_millihz, count, gain, code = unpack(cls.TYPE, _START, payload)
        if code not in list(SampleFormat):
            raise FrameError(f"START of sample format {code}, expected 1 to {len(SampleFormat)}", payload)
        return cls(
            rate_millihz=rate_millihz,
            sample_format=SampleFormat(code),
            count=count,
            gain_centidb=None if gain == _LEAVE_GAIN else gain,
        )


@dataclass(frozen=True)
class Stop:
    """Send no more samples: of one sensor, or on stream 0 of any."""

    TYPE: ClassVar = FrameType.STOP

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return b""

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:  # noqa: ARG003 - fields of later revisions
        """Read the payload, which has no fields."""
        return cls()


class Parameter(enum.IntEnum):
    """What SET sets; 0x8000 to 0xFFFF belong to whoever makes the device."""

    GAIN_CENTIDB = 1
    STATUS_INTERVAL_MS = 2
    LOG_LEVEL = 3
    RECORDING_START_S = 4
    RECORDING_DURATION_S = 5


@dataclass(frozen=True, kw_only=True)
class Set:
    """Change a setting.

    Attributes
    ----------
    parameter
        One of :class:`Parameter`, or another that the device knows, 0 to 65535.
    value
        What to set it to, -2³¹ to 2³¹-1.
    """

    TYPE: ClassVar = FrameType.SET

    parameter: int
    value: int

    def __post_init__(self) -> None:
        check("parameter", self.parameter, 0, 2**16 - 1)
        check("value", self.value, -(2**31), 2**31 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _SET.pack(self.parameter, self.value)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        parameter, value = unpack(cls.TYPE, _SET, payload)
        return cls(parameter=named(Parameter, parameter), value=value)


@dataclass(frozen=True)
class Selftest:
    """Test a sensor, or on stream 0 all there is."""

    TYPE: ClassVar = FrameType.SELFTEST

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return b""

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:  # noqa: ARG003 - fields of later revisions
        """Read the payload, which has no fields."""
        return cls()


class ResultCode(enum.IntEnum):
    """What became of a request."""

    OK = 0
    UNKNOWN = 1
    UNSUPPORTED = 2
    BAD = 3
    BUSY = 4
    NOT_FOUND = 5
    FAILED = 6
    REFUSED = 7


class Failure(enum.IntFlag):
    """What a self-test found, in the value of its result; 0x10000 and above belong to whoever makes the device."""

    MEMORY = 0x01
    CONVERTER = 0x02
    SENSOR = 0x04
    CLOCK = 0x08
    STORAGE = 0x10


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a request.

    Attributes
    ----------
    request_sequence
        Sequence of the request's frame, 0 to 2³²-1.
    request_type
        Type of the request, 0 to 255.
    code
        One of :class:`ResultCode`, or a value of a later revision, which means failed; 0 to 255.
    value
        As the request says, -2⁶³ to 2⁶³-1: the first index for START, what is in force for SET, a
        :class:`Failure` for SELFTEST, the recordings listed for REC_LIST, the end reached for REC_READ.
    """

    TYPE: ClassVar = FrameType.RESULT

    request_sequence: int
    request_type: int
    code: int = ResultCode.OK
    value: int = 0

    def __post_init__(self) -> None:
        check("request_sequence", self.request_sequence, 0, 2**32 - 1)
        check("request_type", self.request_type, 0, 255)
        check("code", self.code, 0, 255)
        check("value", self.value, -(2**63), 2**63 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _RESULT.pack(self.request_sequence, self.request_type, self.code, self.value)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        sequence, request_type, code, value = unpack(cls.TYPE, _RESULT, payload)
        return cls(
            request_sequence=sequence,
            request_type=named(FrameType, request_type),
            code=named(ResultCode, code),
            value=value,
        )
