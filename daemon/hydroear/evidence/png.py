"""PNG files of palette pictures, and text drawn into such pictures.

The format is *Portable Network Graphics (PNG) Specification*, third edition, W3C, 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESSION = 6

GLYPH_WIDTH, GLYPH_HEIGHT = 5, 7
_GLYPHS = """
0 0E11131519110E  1 040C040404040E  2 0E11010204081F  3 1F02040201110E  4 02060A121F0202  5 1F101E0101110E
6 0608101E11110E  7 1F010204080808  8 0E11110E11110E  9 0E11110F01020C  . 0000000000000C  , 000000000C0408
- 0000001F000000  + 0004041F040400  : 000C0C000C0C00  / 00010204081000  ( 02040808080402  ) 08040202020408
% 18190204081303  _ 0000000000001F  = 00001F001F0000
A 0E11111F111111  B 1E11111E11111E  C 0E11101010110E  D 1C12111111121C  E 1F10101E10101F  F 1F10101E101010
G 0E11101711110F  H 1111111F111111  I 0E04040404040E  J 0702020202120C  K 11121418141211  L 1010101010101F
M 111B1515111111  N 11111915131111  O 0E11111111110E  P 1E11111E101010  Q 0E11111115120D  R 1E11111E141211
S 0F10100E01011E  T 1F040404040404  U 1111111111110E  V 11111111110A04  W 11111115151B11  X 11110A040A1111
Y 1111110A040404  Z 1F01020408101F
a 00000E010F110F  b 10101619111E00  c 00000E1010110E  d 01010D1311110F  e 00000E111F100E  f 0609081C080808
g 000F11110F010E  h 10101619111111  i 04000C0404040E  j 0200060202120C  k 10101214181412  l 0C04040404040E
m 00001A15151111  n 00001619111111  o 00000E1111110E  p 00001E111E1010  q 00000D130F0101  r 00001619101010
s 00000E100E011E  t 08081C08080906  u 0000111111130D  v 00001111110A04  w 0000111115150A  x 0000110A040A11
y 000011110F010E  z 00001F0204081F
"""
"""The rows of each glyph from the top, five bits each, in hexadecimal."""


def _font() -> dict[str, Picture]:
    words = _GLYPHS.split()
    columns = 1 << np.arange(GLYPH_WIDTH)[::-1]
    return {
        glyph: (np.frombuffer(bytes.fromhex(rows), np.uint8)[:, None] & columns > 0).astype(np.uint8)
        for glyph, rows in zip(words[::2], words[1::2], strict=True)
    }


_FONT = _font()


def text_mask(text: str, *, scale: int = 1) -> NDArray[np.bool_]:
    """Where a line of text has ink, shape (7 * scale, width); a character that the font lacks is a blank."""
    blank = np.zeros((GLYPH_HEIGHT, GLYPH_WIDTH), np.uint8)
    space = np.zeros((GLYPH_HEIGHT, 1), np.uint8)
    row = np.hstack([part for glyph in text for part in (_FONT.get(glyph, blank), space)] or [space])
    return np.kron(row[:, : row.shape[1] - 1], np.ones((scale, scale), np.uint8)).astype(np.bool_)


def encode_png(picture: Picture, palette: NDArray[np.uint8], texts: Mapping[str, str]) -> bytes:
    """A picture of palette indices, shape (height, width), as a PNG file.

    Parameters
    ----------
    picture
        Indices into the palette.
    palette
        uint8, shape (colours, 3): red, green and blue of at most 256 colours.
    texts
        Text by keyword, such as ``Title`` and ``Description``, as UTF-8.
    """
    height, width = picture.shape
    filtered = np.hstack([np.zeros((height, 1), np.uint8), picture])  # every row unfiltered: best for palettes
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            *(_chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + text.encode()) for keyword, text in texts.items()),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(filtered.tobytes(), _COMPRESSION)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
