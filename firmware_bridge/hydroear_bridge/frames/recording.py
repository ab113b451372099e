"""Recordings in a device's memory: their list, their bytes, their end."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.field import MAX_PAYLOAD, FrameType, check, named, rest, unpack

_LIST = struct.Struct("<IBB2x")
_ENTRY = struct.Struct("<IIQQIB3x")
_READ = struct.Struct("<QII")
_DATA = struct.Struct("<QIB3x")
_ERASE = struct.Struct("<II")


class RecordingState(enum.IntEnum):
    """Whether a recording still grows."""

    FINISHED = 0
    BEING_RECORDED = 1


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording in the device's memory; its bytes are those of a link.

    Attributes
    ----------
    recording
        Its number, never used again, 0 to 2³²-1.
    size
        Its bytes, 0 to 2⁶⁴-1.
    crc32
        CRC-32 of all its bytes.
    start_utc_us
        UTC of its first sample in µs since 1970-01-01T00:00:00Z, 1 to 2⁶⁴-1; None if the device did not know it.
    duration_ms
        Its duration in ms, 0 to 2³²-1.
    state
        One of :class:`RecordingState`, or a value of a later revision, 0 to 255.
    """

    recording: int
    size: int
    crc32: int
    start_utc_us: int | None = None
    duration_ms: int = 0
    state: int = RecordingState.FINISHED

    def __post_init__(self) -> None:
        check("recording", self.recording, 0, 2**32 - 1)
        check("size", self.size, 0, 2**64 - 1)
        check("crc32", self.crc32, 0, 2**32 - 1)
        if self.start_utc_us is not None:
            check("start_utc_us", self.start_utc_us, 1, 2**64 - 1)
        check("duration_ms", self.duration_ms, 0, 2**32 - 1)
        check("state", self.state, 0, 255)

    def to_bytes(self) -> bytes:
        """Write the entry."""
        return _ENTRY.pack(self.recording, self.crc32, self.size, self.start_utc_us or 0, self.duration_ms, self.state)

    @classmethod
    def from_bytes(cls, entry: bytes) -> Self:
        """Read the entry, which is long enough."""
        recording, crc32, size, start_utc_us, duration_ms, state = _ENTRY.unpack_from(entry)
        return cls(
            recording=recording,
            size=size,
            crc32=crc32,
            start_utc_us=start_utc_us or None,
            duration_ms=duration_ms,
            state=named(RecordingState, state),
        )


@dataclass(frozen=True, kw_only=True)
class RecList:
    """A request for the list of recordings, and its answer.

    Attributes
    ----------
    from_recording
        Lowest number asked for, 0 to 2³²-1.
    recordings
        Recordings in the order of their numbers; empty in a request.
    """

    TYPE: ClassVar = FrameType.REC_LIST

    from_recording: int = 0
    recordings: tuple[Recording, ...] = ()

    def __post_init__(self) -> None:
        check("from_recording", self.from_recording, 0, 2**32 - 1)
        check("number of recordings", len(self.recordings), 0, (MAX_PAYLOAD - _LIST.size) // _ENTRY.size)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        fields = _LIST.pack(self.from_recording, _LIST.size, _ENTRY.size)
        return fields + b"".join(recording.to_bytes() for recording in self.recordings)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        from_recording, offset, size = unpack(cls.TYPE, _LIST, payload)
        entries = rest(cls.TYPE, _LIST, payload, offset)
        if size < _ENTRY.size or len(entries) % size:
            raise FrameError(f"REC_LIST with {len(entries)} bytes of entries of {size} bytes", payload)
        return cls(
            from_recording=from_recording,
            recordings=tuple(Recording.from_bytes(entries[at : at + size]) for at in range(0, len(entries), size)),
        )


@dataclass(frozen=True, kw_only=True)
class RecRead:
    """A request for bytes of a recording.

    Attributes
    ----------
    recording
        Its number, 0 to 2³²-1.
    offset
        First byte wanted, 0 to 2⁶⁴-1.
    length
        Bytes wanted, 0 to 2³²-1; 0 means to the end.
    """

    TYPE: ClassVar = FrameType.REC_READ

    recording: int
    offset: int = 0
    length: int = 0

    def __post_init__(self) -> None:
        check("recording", self.recording, 0, 2**32 - 1)
        check("offset", self.offset, 0, 2**64 - 1)
        check("length", self.length, 0, 2**32 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _READ.pack(self.offset, self.recording, self.length)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        offset, recording, length = unpack(cls.TYPE, _READ, payload)
        return cls(recording=recording, offset=offset, length=length)


@dataclass(frozen=True, kw_only=True)
class RecData:
    """Bytes of a recording.

    Attributes
    ----------
    recording
        Its number, 0 to 2³²-1.
    offset
        Where in the recording they begin, 0 to 2⁶⁴-1.
    data
        The bytes, 1 to 8176 of them.
    """

    TYPE: ClassVar = FrameType.REC_DATA

    recording: int
    offset: int
    data: bytes

    def __post_init__(self) -> None:
        check("recording", self.recording, 0, 2**32 - 1)
        check("offset", self.offset, 0, 2**64 - 1)
        check("length of data in REC_DATA", len(self.data), 1, MAX_PAYLOAD - _DATA.size)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _DATA.pack(self.offset, self.recording, _DATA.size) + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        offset, recording, start = unpack(cls.TYPE, _DATA, payload)
        return cls(recording=recording, offset=offset, data=rest(cls.TYPE, _DATA, payload, start))


@dataclass(frozen=True, kw_only=True)
class RecErase:
    """A request to forget a recording.

    Attributes
    ----------
    recording
        Its number, 0 to 2³²-1.
    crc32
        CRC-32 of the bytes that the receiver has; the device refuses if its own have another.
    """

    TYPE: ClassVar = FrameType.REC_ERASE

    recording: int
    crc32: int

    def __post_init__(self) -> None:
        check("recording", self.recording, 0, 2**32 - 1)
        check("crc32", self.crc32, 0, 2**32 - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _ERASE.pack(self.recording, self.crc32)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        recording, crc32 = unpack(cls.TYPE, _ERASE, payload)
        return cls(recording=recording, crc32=crc32)
