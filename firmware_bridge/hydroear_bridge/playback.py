"""Captured bytes as their device would send them again, though it hears nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from mmap import mmap

from hydroear_bridge.account import Account, Restart, Stale
from hydroear_bridge.errors import FrameError
from hydroear_bridge.faults import STALL_S, Link
from hydroear_bridge.frames import (
    FOR_ANOTHER,
    HEADER,
    Audio,
    Capabilities,
    Frame,
    FrameType,
    Hello,
    RecData,
    RecList,
    Result,
    Time,
    Uninterpreted,
    offering,
)
from hydroear_bridge.link import DELIMITER, encode, unstuff

TELLS = Capabilities.STATUS | Capabilities.EVENT | Capabilities.LOG
"""What a device can do that hears nobody. Without START it sends samples unasked."""

_TYPE = 1
"""Where in a header the type of its frame is."""


@dataclass(frozen=True)
class Piece:
    """Bytes between two delimiters.

    Attributes
    ----------
    wire
        The bytes and their delimiter; without it if the capture ends within.
    frame
        The frame they are; None if they are none.
    due_s
        When they were sent, in seconds of device time after the first frame.
    end
        Bytes of the capture up to here.
    """

    wire: bytes
    frame: Frame | None
    due_s: float
    end: int


def pieces(captured: bytes | mmap) -> Iterator[Piece]:
    """What was captured, piece by piece, as a receiver hears it that cannot be answered.

    AUDIO and all else that the device said of its own accord stays as it is to the byte, damaged pieces as well.
    HELLO offers only what is kept without hearing anybody, and an answer is marked as one that somebody else was
    given. Half a frame ahead of the first delimiter is left out, as receivers do.

    A boot inside the capture comes as soon after what was before it as it can have: nothing tells how long it took.

    Raises
    ------
    BridgeError
        If the package cobs is not installed.
    """
    account, start, due_s = Account(), 0, 0.0
    boot_s: float | None = None
    while start < len(captured):
        first, stop = start == 0, captured.find(DELIMITER, start)
        end = len(captured) if stop < 0 else stop + len(DELIMITER)
        wire, start = captured[start:end], end
        if wire == DELIMITER:
            continue
        try:
            if stop < 0:
                raise FrameError("a capture that ends within a frame")
            plain = unstuff(wire.removesuffix(DELIMITER))
            frame = Frame.from_bytes(plain)
        except FrameError:
            if not first:
                yield Piece(wire, None, due_s, end)
            continue
        entries = account.receive(frame)
        if any(isinstance(entry, Restart) for entry in entries):
            boot_s = due_s
        if not any(isinstance(entry, Stale) for entry in entries):
            at_s = _sent_s(frame)
            boot_s = -at_s if boot_s is None else boot_s
            due_s = max(due_s, boot_s + at_s)
        yield Piece(_for_anybody(frame, plain, wire), frame, due_s, end)


def carried(captured: Iterable[Piece], link: Link) -> Iterator[tuple[float, bytes]]:
    """When a link that has faults lets the pieces out, in seconds as those of :class:`Piece`, and what."""
    due_s = 0.0
    for piece in captured:
        due_s = piece.due_s
        link.send(piece.wire, due_s)
        yield due_s, link.arrived(due_s)
    yield due_s + STALL_S, link.arrived(inf)


def _sent_s(frame: Frame) -> float:
    """Device time at which a frame was sent: AUDIO tells that of its first sample."""
    length_s = frame.body.count / frame.body.rate_hz if isinstance(frame.body, Audio) else 0.0
    return 1e-6 * frame.device_time_us + length_s


def _for_anybody(frame: Frame, plain: bytes, wire: bytes) -> bytes:
    kind, flags, payload = plain[_TYPE], frame.flags, plain[HEADER.size :]
    if isinstance(frame.body, Hello):
        payload = offering(payload, TELLS)
    elif isinstance(frame.body, Time | Result | RecList | RecData) or kind == FrameType.SMP:
        flags |= FOR_ANOTHER
    else:
        return wire
    return encode(replace(frame, flags=flags, body=Uninterpreted(frame_type=kind, payload=payload)))
