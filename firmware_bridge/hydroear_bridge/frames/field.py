"""What the frames share: their types, their limits, and the reading of fixed fields."""

from __future__ import annotations

import enum
import struct
from typing import Any, TypeVar

from hydroear_bridge.errors import FrameError

MAX_PAYLOAD = 8192
"""Longest payload of a frame, in bytes."""

NO_TEMPERATURE = -(2**15)
"""What stands on the wire for a temperature that was not measured."""


class FrameType(enum.IntEnum):
    """What a frame is about; 0x80 to 0xFF belong to whoever makes the device.

    The payload of SMP is a packet of another protocol, and is not interpreted.
    """

    HELLO = 0x01
    TIME = 0x02
    START = 0x03
    STOP = 0x04
    SET = 0x05
    SELFTEST = 0x06
    RESULT = 0x07
    AUDIO = 0x10
    STATUS = 0x11
    EVENT = 0x12
    LOG = 0x13
    REC_LIST = 0x20
    REC_READ = 0x21
    REC_DATA = 0x22
    REC_ERASE = 0x23
    SMP = 0x30


_Enum = TypeVar("_Enum", bound=enum.IntEnum)


def named(kind: type[_Enum], value: int) -> int:
    """Give the member of ``kind`` that has this value, and the bare value if a later revision added it."""
    return kind(value) if value in list(kind) else value


def check(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value outside its range, low and high included, with :class:`FrameError`."""
    if not low <= value <= high:
        raise FrameError(f"{name} is {value}, expected {low} to {high}")


def unpack(frame_type: FrameType, layout: struct.Struct, payload: bytes) -> tuple[Any, ...]:
    """Read the fixed fields at the start of a payload; :class:`FrameError` if it is too short for them."""
    if len(payload) < layout.size:
        raise FrameError(f"{frame_type.name} of {len(payload)} bytes, expected at least {layout.size}", payload)
    return layout.unpack_from(payload)


def rest(frame_type: FrameType, layout: struct.Struct, payload: bytes, offset: int) -> bytes:
    """Read what the payload says begins at ``offset``, behind the fixed fields and those of later revisions."""
    if not layout.size <= offset <= len(payload):
        raise FrameError(f"{frame_type.name} of {len(payload)} bytes whose content begins at byte {offset}", payload)
    return payload[offset:]


def text(frame_type: FrameType, data: bytes, payload: bytes) -> str:
    """Read UTF-8; :class:`FrameError` if it is none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FrameError(f"{frame_type.name} with text that is not UTF-8: {data!r}", payload) from None
