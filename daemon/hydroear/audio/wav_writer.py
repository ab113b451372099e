"""WAV files as they are recorded: valid at any time, whatever stops the recording."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from hydroear.audio.block import Samples
from hydroear.audio.riff import IEEE_FLOAT
from hydroear.errors import AudioError

_HEADER = struct.Struct("<4sI4s 4sIHHIIHH 4sII 4sI")
_SAMPLE_BYTES = 4


class WavWriter:
    """A recording of one channel, 32-bit float, shorter than 4 GiB; closed by ``with`` or :meth:`close`.

    Parameters
    ----------
    path
        The file, which must not exist.
    rate_hz
        Samples a second.

    Attributes
    ----------
    samples
        How many were written.

    Raises
    ------
    AudioError
        If the file cannot be made.
    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self.path, self.rate_hz, self.samples = path, rate_hz, 0
        try:
            self._file = path.open("xb", buffering=0)
            self._file.write(self._header())
        except OSError as error:
            raise AudioError(f"cannot be written ({error.strerror})", where=path) from error

    def write(self, samples: Samples) -> None:
        """Append samples of shape (n,) and say so in the header.

        Raises
        ------
        AudioError
            If the disk is full or gone; what was written before is valid.
        """
        data = samples.astype("<f4").tobytes()
        try:
            self._file.seek(0, os.SEEK_END)
            while data:
                data = data[self._file.write(data) :]
            self.samples += len(samples)
            self._file.seek(0)
            self._file.write(self._header())
        except OSError as error:
            raise AudioError(f"cannot be written ({error.strerror})", where=self.path, fix="free space") from error

    def close(self) -> None:
        """Cut off a write that was interrupted, and close the file; harmless twice."""
        if not self._file.closed:
            self._file.truncate(_HEADER.size + _SAMPLE_BYTES * self.samples)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self) -> bytes:
        size = _SAMPLE_BYTES * self.samples
        return _HEADER.pack(
            b"RIFF", _HEADER.size - 8 + size, b"WAVE",
            b"fmt ", 16, IEEE_FLOAT, 1, self.rate_hz, _SAMPLE_BYTES * self.rate_hz, _SAMPLE_BYTES, 32,
            b"fact", 4, self.samples,
            b"data", size,
        )  # fmt: skip
