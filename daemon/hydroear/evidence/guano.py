"""GUANO metadata: plain text inside an audio file that says where and how it was recorded.

The format is *GUANO, Grand Unified Acoustic Notation Ontology*, specification 1.0
(https://github.com/riggsd/guano-spec): UTF-8 lines ``Key: Value``, the version first, keys of a maker behind the name
of its namespace and a pipe, in a sub-chunk ``guan`` of a RIFF file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from hydroear.audio.riff import is_wav
from hydroear.errors import AudioError

VERSION = {"GUANO|Version": "1.0"}
CHUNK_ID = b"guan"
_BLANKS = " \t\r\n\0"


def to_text(fields: Mapping[str, str]) -> str:
    """The metadata block of fields, the version before them.

    A line break in a value is written as the two characters that the specification has for it.

    Raises
    ------
    ValueError
        A key with a colon or a line break in it.
    """
    for key in fields:
        if ":" in key or "\n" in key:
            raise ValueError(f"{key!r} is no GUANO key")
    lines = (f"{key}: {value}".replace("\n", "\\n") for key, value in {**VERSION, **fields}.items())
    return "".join(f"{line}\n" for line in lines)


def from_text(text: str) -> dict[str, str]:
    """The fields of a metadata block, the version among them; line breaks in values as such."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return {key.strip(_BLANKS): value.strip(_BLANKS).replace("\\n", "\n") for key, colon, value in pairs if colon}


def chunk(text: str) -> bytes:
    """A metadata block as a RIFF sub-chunk, padded with a blank to an even length."""
    data = text.encode()
    data += b" " * (len(data) % 2)
    return struct.pack("<4sI", CHUNK_ID, len(data)) + data


def read_guano(path: Path) -> dict[str, str]:
    """The fields that a WAV file carries.

    Raises
    ------
    AudioError
        If the file cannot be read, is no WAV file, or carries none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", where=path, expected="a WAV file") from error
    offset = 12 if is_wav(data) else len(data)
    while offset + 8 <= len(data):
        chunk_id, length = struct.unpack_from("<4sI", data, offset)
        if chunk_id == CHUNK_ID:
            return from_text(data[offset + 8 : offset + 8 + length].decode(errors="replace"))
        offset += 8 + length + length % 2
    raise AudioError("carries no GUANO metadata", where=path, expected="a WAV file with a guan chunk")
