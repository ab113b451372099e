"""Clips: a stretch of audio as the bytes of an audio file."""

from __future__ import annotations

import os
import struct
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Samples
from hydroear.audio.riff import PCM
from hydroear.errors import UsageError
from hydroear.evidence import guano

ClipFormat = Literal["wav", "flac"]

_FULL_SCALE = 32768.0
_EDGE_SHARE = 0.1
_MIN_EDGE_HZ = 20.0


def choose_format(setting: Literal["auto", "wav", "flac"]) -> ClipFormat:
    """The format that this machine can write.

    Raises
    ------
    UsageError
        If FLAC is asked for and the soundfile package is not there.
    """
    if setting == "wav":
        return "wav"
    try:
        import soundfile  # noqa: F401 - absent on most units
    except (ImportError, OSError) as error:  # OSError: the package without its libsndfile
        if setting == "auto":
            return "wav"
        raise UsageError(
            "FLAC needs the soundfile package",
            where="evidence.format",
            expected="auto or wav on this machine",
            fix="change the setting, or: pip install soundfile",
        ) from error
    return "flac"


def encode(samples: Samples, rate_hz: int, fields: dict[str, str], clip_format: ClipFormat) -> bytes:
    """Samples, shape (n,), full scale ±1, as a 16-bit audio file that carries metadata.

    Samples beyond full scale are cut off. A WAV file has the metadata in its ``guan`` chunk, a FLAC file in its
    comment.
    """
    text = guano.to_text(fields)
    pcm = np.clip(np.round(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1.0).astype("<i2")
    return _wav(pcm, rate_hz, text) if clip_format == "wav" else _flac(pcm, rate_hz, text)


def _wav(pcm: NDArray[np.int16], rate_hz: int, text: str) -> bytes:
    data = pcm.tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, 1, rate_hz, 2 * rate_hz, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data + guano.chunk(text)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _flac(pcm: NDArray[np.int16], rate_hz: int, text: str) -> bytes:
    import soundfile

    # A file in memory: to write to a Python object, soundfile needs memory that is writable and executable.
    with os.fdopen(os.memfd_create("clip"), "w+b") as out:
        fd = out.fileno()
        with soundfile.SoundFile(fd, "w", rate_hz, 1, format="FLAC", subtype="PCM_16", closefd=False) as sound:
            sound.comment = text
            sound.write(pcm)
        out.seek(0)
        return out.read()


def band_limited(samples: Samples, rate_hz: int, *, low_hz: float, high_hz: float) -> Samples:
    """Samples, shape (n,), with nothing but a band left.

    The whole stretch is transformed at once, padded so that its end does not run into its beginning. Outside the band
    the gain falls to zero as half a cosine, over a tenth of the edge's frequency but at least 20 Hz, so that no edge
    rings for long.
    """
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq  # in half of NumPy's memory, for the few who limit

    length = next_fast_len(len(samples) + round(rate_hz / _MIN_EDGE_HZ), real=True)
    hz = rfftfreq(length, 1.0 / rate_hz)
    beyond = np.maximum((low_hz - hz) / _edge_hz(low_hz), (hz - high_hz) / _edge_hz(high_hz))
    gain = (0.5 + 0.5 * np.cos(np.pi * np.clip(beyond, 0.0, 1.0))).astype(np.float32)
    limited: Samples = irfft(rfft(samples, length) * gain, length)[: len(samples)]
    return limited


def _edge_hz(hz: float) -> float:
    return max(_MIN_EDGE_HZ, _EDGE_SHARE * hz)
