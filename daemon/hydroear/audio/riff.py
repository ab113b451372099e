"""WAV files: the RIFF container and uncompressed samples in it, read as a stream.

The container is that of *Multimedia Programming Interface and Data Specifications 1.0* (IBM and
Microsoft, 1991); the codec numbers are those of RFC 2361; ``WAVE_FORMAT_EXTENSIBLE`` is that of
Microsoft's ``mmreg.h``.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hydroear.audio.block import Samples
from hydroear.errors import AudioError

PCM, IEEE_FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
CODEC_NAMES = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "µ-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
}
SUBFORMAT_TAIL = bytes.fromhex("0000 0000 1000 8000 00aa 00389b71")
"""KSDATAFORMAT_SUBTYPE without its first two bytes, which are the codec number."""

BITS = {PCM: (8, 16, 24, 32), IEEE_FLOAT: (32, 64)}


def is_wav(head: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is a WAV file."""
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


@dataclass(frozen=True)
class WavFormat:
    """What the ``fmt`` chunk says of the samples.

    Attributes
    ----------
    codec
        :data:`PCM` or :data:`IEEE_FLOAT`.
    bits
        Bits of one sample: 8, 16, 24, 32 (PCM), 32, 64 (float).
    channels
        Channels, at least 1.
    rate_hz
        Frames a second, as written.
    """

    codec: int
    bits: int
    channels: int
    rate_hz: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @classmethod
    def from_bytes(cls, chunk: bytes, *, where: object) -> WavFormat:
        """Parse the ``fmt`` chunk.

        Raises
        ------
        AudioError
            If the chunk is damaged or the samples are not PCM or float.
        """
        if len(chunk) < 16:
            raise _damaged(f"its format chunk has {len(chunk)} bytes", where, "at least 16")
        codec, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
        if codec == EXTENSIBLE:
            if len(chunk) < 40:
                raise _damaged(f"its extensible format chunk has {len(chunk)} bytes", where, "at least 40")
            codec = int.from_bytes(chunk[24:26], "little") if chunk[26:40] == SUBFORMAT_TAIL else EXTENSIBLE
        if bits not in BITS.get(codec, ()):
            name = {PCM: f"{bits}-bit PCM", IEEE_FLOAT: f"{bits}-bit float"}.get(
                codec, CODEC_NAMES.get(codec, f"codec 0x{codec:04X}")
            )
            raise AudioError(
                f"unsupported WAV codec: {name}",
                where=where,
                expected="PCM of 8, 16, 24 or 32 bit, or float of 32 or 64 bit",
                fix="convert it, e.g. ffmpeg -i IN -c:a pcm_s16le OUT.wav",
            )
        if channels == 0:
            raise _damaged("it has 0 channels", where, "at least 1")
        form = cls(codec, bits, channels, rate_hz)
        if frame_bytes != form.frame_bytes:
            raise _damaged(
                f"its format chunk says {frame_bytes} bytes a frame",
                where,
                f"{form.frame_bytes} for {channels} channels of {bits} bit",
            )
        return form

    def decode(self, data: bytes) -> Samples:
        """Samples of whole frames of bytes.

        Returns
        -------
        Samples
            float32, shape (n, channels). PCM is scaled so that its most negative value is -1;
            float samples are as written, so they may be beyond ±1 or not finite.
        """
        if self.codec == IEEE_FLOAT:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
                samples = np.frombuffer(data, f"<f{self.bits // 8}").astype(np.float32)
        elif self.bits == 8:  # the only unsigned one
            samples = (np.frombuffer(data, "u1").astype(np.float32) - 128.0) / 128.0
        elif self.bits == 24:
            high_bytes = np.zeros((len(data) // 3, 4), "u1")
            high_bytes[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
            samples = high_bytes.view("<i4")[:, 0].astype(np.float32) / 2.0**31
        else:
            samples = np.frombuffer(data, f"<i{self.bits // 8}").astype(np.float32) / 2.0 ** (self.bits - 1)
        return samples.reshape(-1, self.channels)


class WavReader:
    """The samples of an open WAV file, from the first on.

    Parameters
    ----------
    file
        Open for reading bytes, seekable; the caller closes it.
    where
        Name of the file in errors.

    Raises
    ------
    AudioError
        If the file is damaged, truncated, or of a codec that is not PCM or float.
    """

    def __init__(self, file: BinaryIO, *, where: object) -> None:
        self._file = file
        self.format, data_bytes = _find_samples(file, where)
        self.frames = data_bytes // self.format.frame_bytes
        self.rate_hz = self.format.rate_hz
        self.channels = self.format.channels

    def read(self, n: int) -> Samples:
        """The next n frames, fewer if the file was cut since it was opened; shape (n, channels)."""
        data = self._file.read(n * self.format.frame_bytes)
        return self.format.decode(data[: len(data) - len(data) % self.format.frame_bytes])


def _find_samples(file: BinaryIO, where: object) -> tuple[WavFormat, int]:
    """Format and number of bytes of the samples; leaves the file at the first of them."""
    size = file.seek(0, os.SEEK_END)
    offset = 12  # after RIFF, size, WAVE; the size there is wrong in many files and nobody needs it
    form: WavFormat | None = None
    while offset + 8 <= size:
        file.seek(offset)
        chunk_id, chunk_bytes = struct.unpack("<4sI", file.read(8))
        offset += 8
        if chunk_id == b"fmt ":
            form = WavFormat.from_bytes(file.read(min(chunk_bytes, 40)), where=where)
        elif chunk_id == b"data":
            if form is None:
                raise _damaged("its samples come before their format", where, "a format chunk first")
            if chunk_bytes > size - offset:
                raise AudioError(
                    f"truncated: the header promises {chunk_bytes} bytes of samples, the file holds {size - offset}",
                    where=where,
                    fix="copy it again, or keep what there is with: sox --ignore-length IN.wav OUT.wav",
                )
            return form, chunk_bytes
        offset += chunk_bytes + chunk_bytes % 2
    raise _damaged(f"it ends after {size} bytes without samples", where, "a data chunk")


def _damaged(what: str, where: object, expected: str) -> AudioError:
    return AudioError(f"damaged WAV file: {what}", where=where, expected=expected, fix="copy or record it again")
