"""The link: frames to wire bytes and back, without I/O.

``wire = COBS(header ‖ payload ‖ CRC-32) ‖ 00``
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from types import ModuleType

from hydroear_bridge.errors import BridgeError, FrameError
from hydroear_bridge.frames import HEADER, MAX_PAYLOAD, Frame

DELIMITER = b"\x00"
CRC_SIZE = 4
_MAX_PLAIN = HEADER.size + MAX_PAYLOAD + CRC_SIZE
MAX_STUFFED = _MAX_PLAIN + _MAX_PLAIN // 254 + 1
"""Longest frame on the wire in bytes, without its delimiter."""


@functools.cache
def _cobs() -> ModuleType:
    try:
        from cobs import cobs
    except ImportError:
        raise BridgeError("the package cobs is missing; pip install 'hydroear[bridge]'") from None
    return cobs  # type: ignore[no-any-return]


def encode(frame: Frame) -> bytes:
    """Wire bytes of a frame, with its delimiter.

    Raises
    ------
    BridgeError
        If the package cobs is not installed.
    """
    plain = frame.to_bytes()
    stuffed: bytes = _cobs().encode(plain + zlib.crc32(plain).to_bytes(CRC_SIZE, "little"))
    return stuffed + DELIMITER


def unstuff(stuffed: bytes) -> bytes:
    """Header and payload of the wire bytes between two delimiters.

    Raises
    ------
    FrameError
        If the bytes are damaged.
    BridgeError
        If the package cobs is not installed.
    """
    cobs = _cobs()
    if len(stuffed) > MAX_STUFFED:
        raise FrameError(f"no delimiter within {MAX_STUFFED} bytes", stuffed)
    try:
        plain: bytes = cobs.decode(stuffed)
    except cobs.DecodeError:
        raise FrameError("byte stuffing that breaks off", stuffed) from None
    data, crc = plain[:-CRC_SIZE], plain[-CRC_SIZE:]
    if int.from_bytes(crc, "little") != zlib.crc32(data):
        raise FrameError("checksum does not match", stuffed)
    return data


def decode(stuffed: bytes) -> Frame:
    """Frame of the wire bytes between two delimiters.

    Raises
    ------
    FrameError
        If the bytes are damaged, or the frame is not of this version.
    BridgeError
        If the package cobs is not installed.
    """
    data = unstuff(stuffed)
    try:
        return Frame.from_bytes(data)
    except FrameError as error:
        raise FrameError(error.what, stuffed) from None


@dataclass(frozen=True)
class BadFrame:
    """Bytes between two delimiters that are no frame.

    Attributes
    ----------
    what
        What is wrong with them.
    offset
        Bytes of the stream before them.
    size
        Their number, without the delimiter.
    """

    what: str
    offset: int
    size: int


class Decoder:
    """Bytes in, frames out, however the bytes are split.

    After any damage the next delimiter starts afresh. Bytes before the first delimiter may be the end of
    a frame that began before we listened: if they are no frame they are passed over and not called bad.
    """

    def __init__(self) -> None:
        self._chunk = bytearray()
        self._chunk_size = 0
        self._chunk_offset = 0
        self._aligned = False

    @property
    def pending(self) -> int:
        """Bytes received since the last delimiter."""
        return self._chunk_size

    def receive(self, data: bytes) -> list[Frame | BadFrame]:
        """Take the next bytes of the stream; give the frames that they complete, in order.

        Raises
        ------
        BridgeError
            If the package cobs is not installed.
        """
        *ends, rest = data.split(DELIMITER)
        received: list[Frame | BadFrame] = []
        for end in ends:
            self._keep(end)
            if self._chunk_size:
                received += self._finish()
            self._chunk_offset += self._chunk_size + len(DELIMITER)
            self._chunk.clear()
            self._chunk_size = 0
            self._aligned = True
        self._keep(rest)
        return received

    def _keep(self, part: bytes) -> None:
        # One byte more than allowed tells an overlong chunk; a stream without delimiters takes no more memory.
        self._chunk += part[: MAX_STUFFED + 1 - len(self._chunk)]
        self._chunk_size += len(part)

    def _finish(self) -> list[Frame | BadFrame]:
        try:
            return [decode(bytes(self._chunk))]
        except FrameError as error:
            return [BadFrame(error.what, self._chunk_offset, self._chunk_size)] if self._aligned else []
