"""AUDIO: a run of samples without loss."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.field import MAX_PAYLOAD, NO_TEMPERATURE, FrameType, check, unpack

_AUDIO = struct.Struct("<QIHBBhBB")
_TEMPERATURE = struct.Struct("<2xh")
_WITH_TEMPERATURE = _AUDIO.size + _TEMPERATURE.size


class SampleFormat(enum.IntEnum):
    """How one sample is written; little-endian, full scale ±1 when read as a fraction."""

    INT16 = 1
    INT24 = 2
    INT32 = 3
    FLOAT32 = 4

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return {SampleFormat.INT16: 2, SampleFormat.INT24: 3}.get(self, 4)


class AudioFlags(enum.IntFlag):
    """What the device knows of the samples of one AUDIO frame; bits without a name are kept as they are."""

    CLIPPED = 0x01
    GAP = 0x02
    GAIN_CHANGED = 0x04
    TIME_VALID = 0x08


_NO_FLAGS = AudioFlags(0)


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A run of samples without loss.

    Attributes
    ----------
    sample_index
        Index of the first sample since boot, counting lost samples, 0 to 2⁶⁴-1.
    rate_millihz
        Nominal sample rate in mHz, so that rates such as 7812.5 Hz are exact; 1 to 2³²-1.
    sample_format
        How the samples are written.
    data
        The samples, channels interleaved: count x channels x width bytes, at least one sample of each channel.
    channels
        Number of channels, 1 to 255.
    gain_centidb
        Gain before the converter, in 0.01 dB, -32768 to 32767.
    flags
        What the device knows of these samples.
    temperature_centicelsius
        Temperature of the sensor in 0.01 °C, -32767 to 32767; None if not measured.
    """

    TYPE: ClassVar = FrameType.AUDIO

    sample_index: int
    rate_millihz: int
    sample_format: SampleFormat
    data: bytes
    channels: int = 1
    gain_centidb: int = 0
    flags: AudioFlags = _NO_FLAGS
    temperature_centicelsius: int | None = None

    def __post_init__(self) -> None:
        check("sample_index", self.sample_index, 0, 2**64 - 1)
        check("rate_millihz", self.rate_millihz, 1, 2**32 - 1)
        check("channels", self.channels, 1, 255)
        check("gain_centidb", self.gain_centidb, -(2**15), 2**15 - 1)
        check("flags", self.flags, 0, 255)
        check("temperature_centicelsius", self.temperature_centicelsius or 0, NO_TEMPERATURE + 1, 2**15 - 1)
        step = self.channels * self.sample_format.width
        check("length of data", len(self.data), step, MAX_PAYLOAD - self._first_sample)
        if len(self.data) % step:
            raise FrameError(f"length of data is {len(self.data)}, expected a multiple of {step}", self.data)

    @property
    def _first_sample(self) -> int:
        return _AUDIO.size if self.temperature_centicelsius is None else _WITH_TEMPERATURE

    @property
    def count(self) -> int:
        """Number of samples of each channel."""
        return len(self.data) // (self.channels * self.sample_format.width)

    @property
    def end_index(self) -> int:
        """Index of the sample after the last."""
        return self.sample_index + self.count

    @property
    def rate_hz(self) -> float:
        """Nominal sample rate in Hz."""
        return self.rate_millihz / 1000

    def samples(self) -> NDArray[np.float32]:
        """The samples as fractions of full scale.

        Returns
        -------
        float32, shape (count, channels)
            Integers divided by 2^(bits-1), so within ±1 (32-bit values rounded to float32); float32 as sent.
        """
        match self.sample_format:
            case SampleFormat.FLOAT32:
                flat = np.frombuffer(self.data, "<f4").astype(np.float32)
            case SampleFormat.INT24:
                # As the upper three bytes of a 32-bit integer the sign needs no extension.
                words = np.zeros((len(self.data) // 3, 4), np.uint8)
                words[:, 1:] = np.frombuffer(self.data, np.uint8).reshape(-1, 3)
                flat = _fractions(words.view("<i4"))
            case SampleFormat.INT16:
                flat = _fractions(np.frombuffer(self.data, "<i2"))
            case SampleFormat.INT32:
                flat = _fractions(np.frombuffer(self.data, "<i4"))
        return flat.reshape(self.count, self.channels)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        fields = _AUDIO.pack(
            self.sample_index,
            self.rate_millihz,
            self.count,
            self.sample_format,
            self.channels,
            self.gain_centidb,
            self.flags,
            self._first_sample,
        )
        if self.temperature_centicelsius is not None:
            fields += _TEMPERATURE.pack(self.temperature_centicelsius)
        return fields + self.data

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; fields of a later revision, before the first sample, are skipped.

        Raises
        ------
        FrameError
            If the fields contradict each other or the length, or a value is out of range.
        """
        index, rate_millihz, count, code, channels, gain_centidb, flags, offset = unpack(cls.TYPE, _AUDIO, payload)
        if code not in list(SampleFormat):
            raise FrameError(f"AUDIO of sample format {code}, expected 1 to {len(SampleFormat)}", payload)
        sample_format = SampleFormat(code)
        if offset < _AUDIO.size or offset + count * channels * sample_format.width != len(payload):
            raise FrameError(
                f"AUDIO of {len(payload)} bytes that claims {count} x {channels} {sample_format.name.lower()} samples "
                f"from byte {offset}",
                payload,
            )
        temperature = NO_TEMPERATURE
        if offset >= _WITH_TEMPERATURE:
            (temperature,) = _TEMPERATURE.unpack_from(payload, _AUDIO.size)
        return cls(
            sample_index=index,
            rate_millihz=rate_millihz,
            sample_format=sample_format,
            data=payload[offset:],
            channels=channels,
            gain_centidb=gain_centidb,
            flags=AudioFlags(flags),
            temperature_centicelsius=None if temperature == NO_TEMPERATURE else temperature,
        )


def _fractions(integers: NDArray[np.int16] | NDArray[np.int32]) -> NDArray[np.float32]:
    return integers.astype(np.float32) / np.float32(2 ** (8 * integers.itemsize - 1))
