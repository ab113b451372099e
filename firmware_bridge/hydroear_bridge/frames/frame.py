"""A whole frame: the header, and one of the bodies."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.audio import Audio
from hydroear_bridge.frames.clock import Time
from hydroear_bridge.frames.field import MAX_PAYLOAD, FrameType, check, named
from hydroear_bridge.frames.hello import VERSION, Hello
from hydroear_bridge.frames.recording import RecData, RecErase, RecList, RecRead
from hydroear_bridge.frames.report import Event, Log, Status
from hydroear_bridge.frames.request import Result, Selftest, Set, Start, Stop

MUST_UNDERSTAND = 0xF0
"""Header flags that forbid a receiver that does not know them to interpret the payload."""

FOR_ANOTHER = 0x10
"""The header flag of what was said to another receiver: its sequence counts, and nothing else."""

HEADER = struct.Struct("<BBBBIQ")


@dataclass(frozen=True, kw_only=True)
class Uninterpreted:
    """A payload of a type this revision does not know or does not look into, or under a flag it had to understand."""

    frame_type: int
    payload: bytes

    def __post_init__(self) -> None:
        check("frame_type", self.frame_type, 0, 255)
        check("length of payload", len(self.payload), 0, MAX_PAYLOAD)


Body = (
    Hello
    | Time
    | Start
    | Stop
    | Set
    | Selftest
    | Result
    | Audio
    | Status
    | Event
    | Log
    | RecList
    | RecRead
    | RecData
    | RecErase
    | Uninterpreted
)

_KNOWN = (
    Hello,
    Time,
    Start,
    Stop,
    Set,
    Selftest,
    Result,
    Audio,
    Status,
    Event,
    Log,
    RecList,
    RecRead,
    RecData,
    RecErase,
)
_BODIES = {kind.TYPE: kind for kind in _KNOWN}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame: header and payload.

    A frame and its body check their values when they are made: what does not fit raises :class:`FrameError`.

    Attributes
    ----------
    sequence
        Number of the frame on its link, one more than the frame before, modulo 2³².
    device_time_us
        Device time since boot, in µs: of the first sample for AUDIO, of writing the frame for others; 0 in frames
        to the device.
    body
        What the frame says.
    stream
        0 for the device itself, 1 to 255 for its sensors.
    flags
        Header flags, 0 in this version.
    """

    sequence: int
    device_time_us: int
    body: Body
    stream: int = 0
    flags: int = 0

    def __post_init__(self) -> None:
        check("sequence", self.sequence, 0, 2**32 - 1)
        check("device_time_us", self.device_time_us, 0, 2**64 - 1)
        check("stream", self.stream, 0, 255)
        check("flags", self.flags, 0, 255)

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
        body: Body
        if frame_type in _BODIES and not flags & MUST_UNDERSTAND:
            body = _BODIES[FrameType(frame_type)].from_bytes(payload)
        else:
            body = Uninterpreted(frame_type=named(FrameType, frame_type), payload=payload)
        return cls(sequence=sequence, device_time_us=device_time_us, body=body, stream=stream, flags=flags)
