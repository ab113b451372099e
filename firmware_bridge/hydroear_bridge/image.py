"""Images of firmware as MCUboot's boot loader takes them: https://docs.mcuboot.com/design.html#image-format"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Self

from hydroear_bridge.errors import BridgeError

_HEADER = struct.Struct("<IIHHIIBBHI4x")
_MAGIC = 0x96F3B83D
_TRAILER = struct.Struct("<HH")
_TRAILER_MAGIC = 0x6907
_SHA256 = 0x10


@dataclass(frozen=True)
class Image:
    """What is known of an image.

    Attributes
    ----------
    version
        As MCUmgr writes it: major.minor.revision, and the build behind it unless it is 0.
    sha256
        Hash of header, body and protected trailer, by which a device tells its images apart.
    """

    version: str
    sha256: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an image, and hold its bytes against its hash.

        Raises
        ------
        BridgeError
            If the bytes are none, or damaged.
        """
        if len(data) < _HEADER.size or int.from_bytes(data[:4], "little") != _MAGIC:
            raise BridgeError("no image of MCUboot's; sign one with imgtool")
        _, _, header_size, protected_size, body_size, _, major, minor, revision, build = _HEADER.unpack_from(data)
        end = header_size + body_size + protected_size
        sha256 = hashlib.sha256(data[:end]).digest()
        if sha256 not in _hashes(data[end:]):
            raise BridgeError("an image that is damaged, or has no SHA-256; build it anew")
        version = f"{major}.{minor}.{revision}" + (f".{build}" if build else "")
        return cls(version, sha256)


def build(version: tuple[int, int, int], body: bytes) -> bytes:
    """An image that nobody has signed."""
    header = _HEADER.pack(_MAGIC, 0, _HEADER.size, 0, len(body), 0, *version, 0)
    sha256 = hashlib.sha256(header + body).digest()
    entry = _TRAILER.pack(_SHA256, len(sha256)) + sha256
    return header + body + _TRAILER.pack(_TRAILER_MAGIC, _TRAILER.size + len(entry)) + entry


def _hashes(trailer: bytes) -> list[bytes]:
    """The SHA-256 hashes in a trailer; none if it is damaged."""
    if len(trailer) < _TRAILER.size or _TRAILER.unpack_from(trailer)[0] != _TRAILER_MAGIC:
        return []
    at, found = _TRAILER.size, []
    end = min(_TRAILER.unpack_from(trailer)[1], len(trailer))
    while at + _TRAILER.size <= end:
        kind, size = _TRAILER.unpack_from(trailer, at)
        at += _TRAILER.size
        if kind == _SHA256:
            found.append(trailer[at : at + size])
        at += size
    return found
