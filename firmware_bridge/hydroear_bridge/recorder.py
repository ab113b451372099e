"""Recordings of a device: a WAV file from each boot, with what is known of it beside."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hydroear_bridge.account import Restart, SamplesLost
from hydroear_bridge.disk import writing
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello, SampleFormat
from hydroear_bridge.mark import Mark
from hydroear_bridge.session import Happening
from hydroear_bridge.wav import MAX_DATA, WavFile

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
    began, ended
        UTC of its first sample and behind its last, ISO 8601; None while the device's clock is not known.
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
    ended: str | None
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

    A file ends where the device boots, was stopped, or sends in another way, and before it is longer than a WAV file
    can be. The metadata is written when it ends.

    Parameters
    ----------
    folder
        Where the files go; made if need be.
    stream
        Stream of the sensor.
    prefix
        What the names of the files begin with. Those that tell no time end in a number; without a prefix behind the
        time at which they were written.

    Attributes
    ----------
    done
        The files, also the one that is open.
    """

    def __init__(self, folder: Path, stream: int, prefix: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._stream, self._prefix = folder, stream, prefix
        self._hello: Hello | None = None
        self._wav: WavFile | None = None
        self._form: tuple[int, SampleFormat, int] | None = None
        self._mark: Mark | None = None
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
                self._hear(audio, happening.device_time_us, utc_s)

    def discard(self) -> None:
        """Remove all files, which could not be written."""
        for recording in self.done:
            path = self._folder / recording.file
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def close(self) -> None:
        """End the file, if one is open; harmless twice."""
        self._lost.clear()
        if self._wav is None:
            return
        wav, self._wav = self._wav, None
        self.done[-1].samples = wav.length  # fewer than were heard, if the disk is full
        wav.close()
        told = asdict(self.done[-1]) | {"device": None if self._hello is None else _device(self._hello, self._stream)}
        path = (self._folder / self.done[-1].file).with_suffix(".json")
        with writing(path):
            path.write_text(json.dumps(told, indent=2) + "\n")

    @property
    def samples(self) -> int:
        """Samples in all files, of each channel."""
        return sum(recording.samples for recording in self.done)

    def _hear(self, audio: Audio, device_us: int, utc_s: float | None) -> None:
        form = (audio.rate_millihz, audio.sample_format, audio.channels)
        step = audio.channels * audio.sample_format.width
        stopped = self._mark is not None and self._mark.stopped_s(audio, device_us) > 0.0
        missing = sum(lost.count for lost in self._lost)
        too_long = self._wav is not None and self._wav.size + step * missing + len(audio.data) > MAX_DATA
        if self._wav is None or form != self._form or stopped or too_long:
            self.close()
            self._form = form
            self._open(audio, utc_s)
        assert self._wav is not None
        self._mark = Mark.behind(audio, device_us)
        recording = self.done[-1]
        for lost in self._lost:
            recording.gaps.append(Gap(recording.samples, lost.count, lost.place))
            recording.samples += lost.count
            self._write_zeros(step * lost.count)
        self._lost.clear()
        if not recording.gains or recording.gains[-1].gain_db != audio.gain_centidb / 100:
            recording.gains.append(Gain(recording.samples, audio.gain_centidb / 100))
        recording.clipped_frames += AudioFlags.CLIPPED in audio.flags
        recording.samples += audio.count
        recording.ended = None if utc_s is None else iso(utc_s + audio.count / audio.rate_hz)
        self._wav.write(audio.data)

    def _open(self, audio: Audio, utc_s: float | None) -> None:
        if audio.sample_format == SampleFormat.FLOAT32:
            raise BridgeError("the device sends float32, which is not recorded; have it send integers")
        path = self._folder / f"{self._prefix}stream{self._stream}-{self._stamp(utc_s)}.wav"
        self._wav = WavFile(path, rate_hz=audio.rate_hz, channels=audio.channels, width=audio.sample_format.width)
        self.done.append(
            Recording(
                file=path.name,
                began=None if utc_s is None else iso(utc_s),
                ended=None,
                stream=self._stream,
                rate_hz=audio.rate_hz,
                sample_format=audio.sample_format.name.lower(),
                channels=audio.channels,
                first_sample_index=audio.sample_index,
            )
        )

    def _stamp(self, utc_s: float | None) -> str:
        """What tells a file from others of its stream."""
        if utc_s is not None:
            return iso(utc_s).replace("-", "").replace(":", "")
        number = str(len(self.done) + 1)
        return number if self._prefix else f"{iso(time.time()).replace('-', '').replace(':', '')}-{number}"

    def _write_zeros(self, size: int) -> None:
        assert self._wav is not None
        while size > 0:
            self._wav.write(bytes(min(size, _ZEROS)))
            size -= _ZEROS


def iso(utc_s: float) -> str:
    """A time of day, to the millisecond."""
    return datetime.fromtimestamp(round(utc_s, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _device(hello: Hello, stream: int) -> dict[str, object]:
    sensor = hello.sensor(stream)
    return {
        "boot_id": hello.boot_id,
        "uid": hello.uid.hex(),
        "model": hello.model,
        "hardware": hello.hardware,
        "firmware": hello.firmware,
        "full_scale_units": None if sensor is None else sensor.full_scale_units,
        "unit": None if sensor is None else sensor.unit,
    }
