"""Recordings: audio files read as a stream of float32 samples."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np

from hydroear.audio.block import Samples
from hydroear.audio.riff import WavReader, is_wav
from hydroear.errors import AudioError

RATE_RANGE_HZ = (1_000, 1_000_000)
"""From below the slowest noise logger to beyond the fastest hydrophone: outside, the header is wrong."""

UNKNOWN_FRAMES = 2**63 - 1
"""What libsndfile (SF_COUNT_MAX) gives as the length of a stream whose header has none."""


class _Reader(Protocol):
    rate_hz: int
    channels: int
    frames: int

    def read(self, n: int) -> Samples: ...


class Recording:
    """An open recording; made by :func:`open_recording`, closed by ``with`` or :meth:`close`.

    Attributes
    ----------
    path
        Where it is.
    rate_hz
        Frames a second.
    channels
        Channels, at least 1.
    frames
        Length in frames, at least 1.
    """

    def __init__(self, path: Path, reader: _Reader, resources: ExitStack) -> None:
        self.path = path
        self.rate_hz, self.channels, self.frames = reader.rate_hz, reader.channels, reader.frames
        self._reader = reader
        self._resources = resources
        self._position = 0

    def read(self, n: int) -> Samples:
        """The next n frames.

        Returns
        -------
        Samples
            float32, shape (m, channels), full scale ±1, finite; m < n at the end, 0 after it.

        Raises
        ------
        AudioError
            If samples are missing, cannot be decoded, or are NaN or infinite.
        """
        wanted = min(n, self.frames - self._position)
        samples = self._reader.read(wanted)
        if len(samples) < wanted:
            raise AudioError(
                f"truncated: the header promises {self.frames} samples, the file holds {self._position + len(samples)}",
                where=self.path,
                fix="copy or record it again",
            )
        if not np.isfinite(samples).all():
            frame, channel = np.argwhere(~np.isfinite(samples))[0]
            raise AudioError(
                f"sample {samples[frame, channel]} at {(self._position + frame) / self.rate_hz:.3f} s "
                f"in channel {channel + 1}",
                where=self.path,
                expected="finite samples",
                fix="export the recording again from its source",
            )
        self._position += wanted
        return samples

    def close(self) -> None:
        """Close the file; harmless when it is closed already."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_recording(path: Path | str) -> Recording:
    """Open a recording and check what its header says.

    WAV files are read by this package alone. Other formats (FLAC, AIFF, RF64, Ogg, …) are read
    through soundfile, where it is installed.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, empty, truncated, holds no samples, is not audio or of
        an unsupported format, or its header is absurd.
    """
    path = Path(path)
    with ExitStack() as resources:
        file = resources.enter_context(_open_file(path))
        head = file.read(12)
        if not head:
            raise AudioError("empty file, 0 bytes", where=path, expected="audio", fix="copy or record it again")
        reader: _Reader = WavReader(file, where=path) if is_wav(head) else _SoundFile(file, path, resources)
        if reader.frames == 0:
            raise AudioError(
                "holds no samples, only a header",
                where=path,
                expected="at least one sample",
                fix="record it again",
            )
        low, high = RATE_RANGE_HZ
        if not low <= reader.rate_hz <= high:
            raise AudioError(
                f"sample rate {reader.rate_hz} Hz",
                where=path,
                expected=f"{low} to {high} Hz",
                fix="export it again with its true rate",
            )
        return Recording(path, reader, resources.pop_all())


def _open_file(path: Path) -> BinaryIO:
    expected, fix = "a recording", "check the path"
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return path.open("rb")
        what = "is a directory" if stat.S_ISDIR(mode) else "is no regular file"
    except FileNotFoundError:
        what = "no such file"
    except PermissionError:
        what, fix = "permission denied", "give the user that runs this read access"
    except (OSError, ValueError) as error:  # ValueError: a path no file can have
        what = f"cannot be opened ({getattr(error, 'strerror', None) or error})"
    raise AudioError(what, where=path, expected=expected, fix=fix)


class _SoundFile:
    """Any format that libsndfile knows."""

    def __init__(self, file: BinaryIO, path: Path, resources: ExitStack) -> None:
        try:
            import soundfile  # absent on a unit, where recordings are WAV files
        except (ImportError, OSError) as error:  # OSError: the package without its libsndfile
            raise AudioError(
                "not a WAV file",
                where=path,
                expected="RIFF/WAVE",
                fix='for FLAC and other formats: pip install "hydroear[train]"',
            ) from error
        self._error: type[Exception] = soundfile.SoundFileError
        self._path = path
        # By descriptor, so that the content decides what it is and not the suffix.
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        try:
            self._sound = resources.enter_context(soundfile.SoundFile(file.fileno(), closefd=False))
        except self._error as error:
            raise AudioError(
                "not audio, or of an unknown format",
                where=path,
                expected="WAV, FLAC or another format of libsndfile",
                fix="check what the file is, or convert it to WAV",
            ) from error
        self.rate_hz = int(self._sound.samplerate)
        self.channels = int(self._sound.channels)
        self.frames = int(self._sound.frames)
        if self.frames == UNKNOWN_FRAMES:
            raise AudioError(
                "its header gives no length, as when it was written to a pipe",
                where=path,
                expected="a number of samples",
                fix="write it anew, e.g. ffmpeg -i IN OUT.wav",
            )

    def read(self, n: int) -> Samples:
        try:
            samples: Samples = self._sound.read(n, dtype="float32", always_2d=True)
        except self._error as error:
            raise AudioError(f"cannot be decoded ({error})", where=self._path, fix="copy or record it again") from error
        return samples
