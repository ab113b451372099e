"""WAV files of integers: written as samples come, and read as what a simulated sensor hears."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydroear_bridge.disk import writing
from hydroear_bridge.errors import UsageError

MAX_DATA = 2**32 - 1024
"""Bytes of samples in a file; its header holds their number in 32 bits."""
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1


class WavFile:
    """A file that is being written.

    Parameters
    ----------
    path
        Where; what was there is gone.
    rate_hz
        Sample rate, rounded.
    channels, width
        Samples at a time, and bytes of each.

    Raises
    ------
    BridgeError
        If it cannot be written, here and in all methods.
    """

    def __init__(self, path: Path, *, rate_hz: float, channels: int, width: int) -> None:
        self._path, self._form, self._size = path, (round(rate_hz), channels, width), 0
        with writing(path):
            path.write_bytes(self._header())
            # Without a buffer, the header of a file on a full disk still tells what there is.
            self._file = path.open("r+b", buffering=0)
            self._file.seek(0, os.SEEK_END)

    @property
    def size(self) -> int:
        """Bytes of samples so far."""
        return self._size

    @property
    def length(self) -> int:
        """Samples of each channel so far."""
        _, channels, width = self._form
        return self._size // (channels * width)

    def write(self, data: bytes) -> None:
        """Append samples."""
        with writing(self._path):
            while data:
                written = self._file.write(data)
                self._size += written
                data = data[written:]

    def close(self) -> None:
        """End the file."""
        with writing(self._path), self._file:
            self._file.seek(0)
            self._file.write(self._header())
            if self._size % 2:
                self._file.seek(0, os.SEEK_END)
                self._file.write(b"\0")

    def _header(self) -> bytes:
        rate_hz, channels, width = self._form
        return _HEADER.pack(
            b"RIFF",
            _HEADER.size - 8 + self._size + self._size % 2,
            b"WAVE",
            b"fmt ",
            16,
            _PCM,
            channels,
            rate_hz,
            rate_hz * channels * width,
            channels * width,
            8 * width,
            b"data",
            self._size,
        )


def read(path: Path, rate_hz: int) -> NDArray[np.float64]:
    """Samples of a file with one channel, as fractions of full scale.

    Parameters
    ----------
    rate_hz
        The rate that it has to have.

    Raises
    ------
    UsageError
        If it is not there, or not of that kind.
    """
    expected = f"expected a WAV file of one channel at {rate_hz} Hz with integers of 16, 24 or 32 bits"
    try:
        with wave.open(str(path)) as file:
            width, channels, found_hz = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (wave.Error, EOFError) as error:
        raise UsageError(f"{path}: {error or 'ends early'}; {expected}") from None
    if channels != 1 or width not in (2, 3, 4) or found_hz != rate_hz or not data:
        found = f"{channels} channel(s) at {found_hz} Hz of {8 * width} bits, {len(data)} bytes"
        raise UsageError(f"{path}: {found}; {expected}")
    words = np.zeros((len(data) // width, 4), np.uint8)
    words[:, 4 - width :] = np.frombuffer(data, np.uint8, words.shape[0] * width).reshape(-1, width)
    samples: NDArray[np.float64] = words.view("<i4")[:, 0] / 2**31
    return samples
