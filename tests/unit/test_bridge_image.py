"""Images of firmware, held against another reader of them."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from smpclient.mcuboot import IMAGE_TLV, ImageInfo

from hydroear_bridge.errors import BridgeError
from hydroear_bridge.image import Image, build


def protected() -> bytes:
    """An image with a build number, a header that is padded, and a protected trailer."""
    body, padding = b"firmware" * 9, bytes(480)
    trailer = struct.pack("<HHHHI", 0x6908, 12, 0x50, 4, 7)
    header = struct.pack("<IIHHIIBBHI4x", 0x96F3B83D, 0, 512, len(trailer), len(body), 0, 2, 30, 400, 5)
    hashed = header + padding + body + trailer
    entries = struct.pack("<HH", 0x01, 4) + b"key!" + struct.pack("<HH", 0x10, 32) + hashlib.sha256(hashed).digest()
    return hashed + struct.pack("<HH", 0x6907, 4 + len(entries)) + entries


@pytest.mark.parametrize("data", [build((1, 2, 3), b"body"), protected()], ids=["plain", "protected"])
def test_version_and_hash_are_those_that_another_reader_finds(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(data)
    image, other = Image.from_bytes(data), ImageInfo.load_file(str(path))
    assert image.sha256 == other.get_tlv(IMAGE_TLV.SHA256).value
    number = other.header.ver
    assert image.version.split(".")[:3] == [str(number.major), str(number.minor), str(number.revision)]
    assert image.version.split(".")[3:] == ([str(number.build_num)] if number.build_num else [])


def test_an_image_of_which_a_byte_is_another_is_told() -> None:
    data = protected()
    hashed, hash_at = len(data) - 48, len(data) - 32
    for at in (*range(hashed), *range(hash_at, len(data))):
        altered = bytearray(data)
        altered[at] ^= 0x40
        with pytest.raises(BridgeError, match="image"):
            Image.from_bytes(bytes(altered))


@pytest.mark.parametrize(
    "data", [b"", b"\x3d\xb8\xf3\x96", b"\x7fELF" + bytes(500), protected()[:-1], protected()[:600]]
)
def test_what_is_no_whole_image_is_told(data: bytes) -> None:
    with pytest.raises(BridgeError, match=r"no image of MCUboot's|damaged"):
        Image.from_bytes(data)
