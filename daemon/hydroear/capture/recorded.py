"""From the bytes that a logger has recorded to samples with their place in the recording. Without I/O and clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hydroear.audio import Samples, channels_of
from hydroear.capture.stream import LOSS_REASONS, STOPPED, at_gain
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear_bridge.account import Restart, SamplesLost
from hydroear_bridge.frames import Audio, Frame, Hello
from hydroear_bridge.mark import Mark
from hydroear_bridge.sniff import Summary, events

RUN_S = 2.0
"""Samples are given out in runs of so much, as recordings are played: what is done once a run is little beside them."""


@dataclass(frozen=True, eq=False)
class Run:
    """Samples without loss between them.

    Attributes
    ----------
    first
        Place of the first sample in the recording, counting lost ones.
    samples
        float32, shape (n, heard channels), full scale ±1 at the gain that is asked for.
    """

    first: int
    samples: Samples

    @property
    def end(self) -> int:
        """Place of the sample after the last."""
        return self.first + len(self.samples)


@dataclass(frozen=True)
class Loss:
    """Samples that are missing in the recording, at least 1, and why."""

    first: int
    count: int
    reason: str


@dataclass(frozen=True)
class Told:
    """What the device said of itself, and at which place in the recording."""

    at: int
    frame: Frame


@dataclass(frozen=True)
class Beginning:
    """Which boot of the device recorded it, if known, and the device's time of its first sample, in µs."""

    boot_id: int | None
    device_us: int


def beginning(parts: Iterable[bytes], stream: int) -> Beginning | None:
    """Where a recording begins; None if there is no sample of that stream."""
    boot_id, lost = None, 0
    for event in events(parts, Summary()):
        match event:
            case Frame(body=Hello() as hello):
                boot_id = hello.boot_id
            case SamplesLost(stream=found) if found == stream:
                lost += event.count
            case Frame(body=Audio() as audio, stream=found) if found == stream:
                return Beginning(boot_id, event.device_time_us - round(1e6 * lost / audio.rate_hz))
    return None


def hear(parts: Iterable[bytes], settings: schema.LoggerSource) -> Iterator[Run | Loss | Told]:
    """Play a recording.

    Parameters
    ----------
    parts
        Its bytes, split in any way.
    settings
        Which sensor of the device, and how it recorded.

    Yields
    ------
    Run, Loss or Told
        The stream of the sensor, gapless: each run and loss begins where the one before ended, the first at 0. Frames
        that are no audio come in between, up to a run too early.

    Raises
    ------
    CaptureError
        If the samples are of another rate or number of channels than the settings say, or of other sensors alone.
    """
    waiting: list[Samples] = []
    streams: set[int] = set()
    place = held = 0
    lost: list[tuple[int, str]] = []
    mark: Mark | None = None

    def flush() -> Iterator[Run | Loss]:
        nonlocal place, held
        if waiting:
            run = Run(place, np.concatenate(waiting))
            place, held = run.end, 0
            waiting.clear()
            yield run
        for count, reason in lost:
            yield Loss(place, count, reason)
            place += count
        lost.clear()

    for event in events(parts, Summary()):
        match event:
            case SamplesLost(stream=stream) if stream == settings.sensor:
                lost.append((event.count, LOSS_REASONS[event.place]))
            case Restart():
                mark = None
                if place or held:
                    lost.append((1, "the device started anew while it recorded"))
            case Frame(body=Audio() as audio, stream=stream) if stream == settings.sensor:
                if mark is not None and (stopped_s := mark.stopped_s(audio, event.device_time_us)):
                    lost.append((round(stopped_s * settings.rate_hz), STOPPED))
                mark = Mark.behind(audio, event.device_time_us)
                if lost:
                    yield from flush()
                samples = _samples(audio, settings)
                if samples is None:
                    lost.append((audio.count, "samples that are not numbers"))
                    continue
                waiting.append(samples)
                held += len(samples)
                if held >= RUN_S * settings.rate_hz:
                    yield from flush()
            case Frame(body=Audio(), stream=stream):
                streams.add(stream)
            case Frame():
                yield Told(place + held + sum(count for count, _ in lost), event)
    yield from flush()
    if streams and not place:
        there = ", ".join(map(str, sorted(streams)))
        raise CaptureError(
            f"recorded nothing of sensor {settings.sensor}", where=settings.port, expected=f"one of {there}"
        )


def _samples(audio: Audio, settings: schema.LoggerSource) -> Samples | None:
    """The channels that are heard; None if they are not numbers."""
    if audio.rate_millihz != 1000 * settings.rate_hz or audio.channels != settings.channels:
        raise CaptureError(
            f"recorded {audio.channels} channel(s) at {audio.rate_hz:g} Hz",
            where=settings.port,
            fix=f"set rate_hz to {audio.rate_hz:g} and channels to {audio.channels}",
        )
    samples = audio.samples()
    if not np.isfinite(samples).all():
        return None
    return channels_of(at_gain(samples, audio, settings.gain_db), settings.heard_channels)
