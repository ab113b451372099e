"""Recordings of a device: a WAV file from each boot, with what is known of it beside."""

from __future__ import annotations

import json
import wave
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hydroear_bridge.account import Restart, SamplesLost
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello, SampleFormat
from hydroear_bridge.session import Happening

_ZEROS = 65536


@dataclass(frozen=True)
class Gap:
    """Samples that are zeros in the file, because they never arrived."""

    first: int
    count: int
    place: str


@dataclass(frozen=True)
class Gain:
    """The gain from a sample of the file on, in dB."""

    first: int
    gain_db: float


@dataclass
class Recording:
    """What is known of a file; positions count from its first sample.

    Attributes
    ----------
    file
        Its name.
    began
        UTC of its first sample by this machine's clock, ISO 8601; None while the device's clock is not known.
    rate_hz
        Nominal sample rate.
    first_sample_index
        The device's own index of its first sample.
    samples
        Its length, for each channel.
    clipped_frames
        AUDIO frames in which the device saw clipping.
    """

    file: str
    began: str | None
    stream: int
    rate_hz: float
    sample_format: str
    channels: int
    first_sample_index: int
    samples: int = 0
    clipped_frames: int = 0
    gaps: list[Gap] = field(default_factory=list)
    gains: list[Gain] = field(default_factory=list)


class Recorder:
    """Writes one stream to WAV files; lost samples are zeros, and listed.

    A file ends where the device boots, or sends in another way. The metadata is written when it ends.

    Parameters
    ----------
    folder
        Where the files go; made if need be.
    stream
        Stream of the sensor.
    """

    def __init__(self, folder: Path, stream: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._stream = folder, stream
        self._hello: Hello | None = None
        self._wav: wave.Wave_write | None = None
        self._form: tuple[int, SampleFormat, int] | None = None
        self.done: list[Recording] = []
        self._lost: list[SamplesLost] = []

    def take(self, happening: Happening, utc_s: float | None) -> None:
        """Take what happened.

        Parameters
        ----------
        utc_s
            Seconds since 1970 of the first sample, for an AUDIO frame; None if not known.

        Raises
        ------
        BridgeError
            If the samples are none that WAV files hold.
        """
        match happening:
            case Restart():
                self.close()
            case SamplesLost(stream=self._stream):
                self._lost.append(happening)
            case Frame(body=Hello() as hello):
                self._hello = hello
            case Frame(body=Audio() as audio, stream=self._stream):
                self._hear(audio, utc_s)

    def close(self) -> None:
        """End the file, if one is open; harmless twice."""
        self._lost.clear()
        if self._wav is None:
            return
        self._wav.close()
        self._wav = None
        told = asdict(self.done[-1]) | {"device": None if self._hello is None else _device(self._hello, self._stream)}
        path = self._folder / self.done[-1].file
        path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")

    @property
    def samples(self) -> int:
        """Samples in all files, of each channel."""
        return sum(recording.samples for recording in self.done)

    def _hear(self, audio: Audio, utc_s: float | None) -> None:
        form = (audio.rate_millihz, audio.sample_format, audio.channels)
        if self._wav is None or form != self._form:
            self.close()
            self._form = form
            self._open(audio, utc_s)
        assert self._wav is not None
        recording = self.done[-1]
        for lost in self._lost:
            recording.gaps.append(Gap(recording.samples, lost.count, lost.place))
            recording.samples += lost.count
            self._write_zeros(lost.count * audio.channels * audio.sample_format.width)
        self._lost.clear()
        if not recording.gains or recording.gains[-1].gain_db != audio.gain_centidb / 100:
            recording.gains.append(Gain(recording.samples, audio.gain_centidb / 100))
        recording.clipped_frames += AudioFlags.CLIPPED in audio.flags
        recording.samples += audio.count
        self._wav.writeframesraw(audio.data)

    def _open(self, audio: Audio, utc_s: float | None) -> None:
        if audio.sample_format == SampleFormat.FLOAT32:
            raise BridgeError("the device sends float32, which is not recorded; have it send integers")
        began = None if utc_s is None else datetime.fromtimestamp(utc_s, UTC)
        stamp = (began or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
        path = self._folder / f"stream{self._stream}-{stamp}.wav"
        self._wav = wave.open(str(path), "wb")  # noqa: SIM115 - open as long as the recording goes on
        self._wav.setnchannels(audio.channels)
        self._wav.setsampwidth(audio.sample_format.width)
        self._wav.setframerate(round(audio.rate_hz))
        self.done.append(
            Recording(
                file=path.name,
                began=None if began is None else began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                stream=self._stream,
                rate_hz=audio.rate_hz,
                sample_format=audio.sample_format.name.lower(),
                channels=audio.channels,
                first_sample_index=audio.sample_index,
            )
        )

    def _write_zeros(self, size: int) -> None:
        assert self._wav is not None
        while size > 0:
            self._wav.writeframesraw(bytes(min(size, _ZEROS)))
            size -= _ZEROS


def _device(hello: Hello, stream: int) -> dict[str, object]:
    sensor = next((one for one in hello.sensors if one.stream == stream), None)
    return {
        "boot_id": hello.boot_id,
        "uid": hello.uid.hex(),
        "model": hello.model,
        "hardware": hello.hardware,
        "firmware": hello.firmware,
        "full_scale_units": None if sensor is None else sensor.full_scale_units,
        "unit": None if sensor is None else sensor.unit,
    }
