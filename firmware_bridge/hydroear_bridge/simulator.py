"""The byte stream of a simulated device that hears nobody, behind a link with faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hydroear_bridge.device import FRAME_S, Device, Samples, Sound, StoredRecording
from hydroear_bridge.errors import UsageError
from hydroear_bridge.faults import Faults, Link, check_seed
from hydroear_bridge.frames import Audio, Capabilities, Frame
from hydroear_bridge.link import DELIMITER, encode
from hydroear_bridge.playback import pieces

NOISE_RMS = 0.1
"""Level of the noise, full scale 1: peaks stay well below clipping."""
NIGHT_S = 10.0
DAY_S = 86_400
FIRST_NIGHT_S = 1_735_693_200
"""2025-01-01T01:00:00Z."""


@dataclass(frozen=True)
class Sent:
    """One frame that the device sent.

    Attributes
    ----------
    frame
        The frame as the device made it.
    wire
        Its bytes as they come out of the link; empty if the link lost it.
    arrives
        Whether a receiver can read the frame: neither lost, nor damaged, nor run together with a damaged one.
    """

    frame: Frame
    wire: bytes
    arrives: bool


def noise(seed: int) -> Sound:
    """White noise; same seed, same noise."""
    chances = np.random.default_rng([seed, 0])

    def more(count: int) -> Samples:
        return NOISE_RMS * chances.standard_normal(count)

    return more


def noises(seed: int, count: int) -> list[Sound]:
    """White noise for so many sensors; the first of them hears :func:`noise`."""
    return [noise(seed + number) for number in range(count)]


def tape(samples: Samples) -> Sound:
    """Samples over and over, shape (n,), full scale 1."""
    position = 0

    def more(count: int) -> Samples:
        nonlocal position
        heard = samples.take(range(position, position + count), mode="wrap")
        position += count
        return heard

    return more


def simulate(
    *,
    duration_s: float,
    rate_hz: int = 16000,
    sound: Sound | None = None,
    sensors: int = 1,
    faults: Faults = Faults(),  # noqa: B008 - frozen
    seed: int = 0,
) -> Iterator[Sent]:
    """Send int16 AUDIO frames of 20 ms, with a HELLO every 2 s.

    Parameters
    ----------
    duration_s
        Length of the audio in seconds, above 0; rounded up to whole frames.
    rate_hz
        Sample rate in Hz, 50 to 200000.
    sound
        What the first sensor hears; by default white noise, as the others do.
    sensors
        How many there are.
    faults
        What goes wrong on the link and in the device; it does not boot, nor is the connection cut.
    seed
        Same seed, same stream, at least 0; the samples are the same whatever the faults.

    Yields
    ------
    Sent
        Every frame in order. The first frame and the last two are spared, one more with each further sensor, so that
        every loss lies between frames that arrive and shows.

    Raises
    ------
    UsageError
        If an argument is out of range.
    """
    check_rate_and_seed(rate_hz, seed)
    first, *others = noises(seed, sensors)
    if not 1 / rate_hz <= duration_s <= 1e9:
        raise UsageError(f"seconds is {duration_s}, expected {1 / rate_hz:g} to 1e+09")
    device = Device(
        sound or first,
        *others,
        rate_hz=rate_hz,
        capabilities=Capabilities.STATUS,
        boot_id=seed % 2**32,
        ppm=faults.drift,
        late_hello_s=faults.late_hello,
        floods_log=faults.flood > 0.0,
    )
    return _send(_with_spared(_frames(device, duration_s), last=1 + sensors), Link(faults, seed))


def stored(
    night: int,
    rate_hz: int,
    *,
    sound: Sound | None = None,
    duration_s: float = NIGHT_S,
    first_utc_s: float = FIRST_NIGHT_S,
) -> StoredRecording:
    """What a logger recorded in a night, in 16 bits, from the same time of day on: as :func:`simulate` sends it.

    Parameters
    ----------
    night
        Its number, 0 for the first.
    sound
        What it heard; by default noise of its own.
    first_utc_s
        When the first night's recording began, in seconds since 1970-01-01T00:00:00Z.
    """
    sent = list(simulate(duration_s=duration_s, rate_hz=rate_hz, sound=sound, seed=night))
    samples = sum(one.frame.body.count for one in sent if isinstance(one.frame.body, Audio))
    return StoredRecording(
        b"".join(one.wire for one in sent),
        start_utc_us=round(1e6 * (first_utc_s + night * DAY_S)),
        duration_ms=round(1000 * samples / rate_hz),
    )


def kept(night: int, data: bytes, *, first_utc_s: float = FIRST_NIGHT_S) -> StoredRecording:
    """Bytes of a link, however damaged, as what a logger recorded in a night."""
    length_s = max((piece.due_s for piece in pieces(data)), default=0.0)
    start_utc_us = round(1e6 * (first_utc_s + night * DAY_S))
    return StoredRecording(data, start_utc_us=start_utc_us, duration_ms=round(1000 * length_s))


def check_rate_and_seed(rate_hz: int, seed: int) -> None:
    """Refuse what is out of range with :class:`UsageError`."""
    if not 50 <= rate_hz <= 200000:
        raise UsageError(f"rate is {rate_hz}, expected 50 to 200000")
    check_seed(seed)


def _send(frames: Iterator[tuple[Frame, bool]], link: Link) -> Iterator[Sent]:
    for frame, spared in frames:
        # The delimiter ahead of the first frame ends whatever the line carried before.
        wire = DELIMITER + encode(frame) if frame.sequence == 0 else encode(frame)
        yield Sent(frame, *link.carry(wire, spared=spared))


def _frames(device: Device, duration_s: float) -> Iterator[Frame]:
    device.boot(0.0)
    for step in range(1, int(np.ceil(duration_s / FRAME_S - 1e-9)) + 1):
        yield from device.send(step * FRAME_S)


def _with_spared(frames: Iterator[Frame], *, last: int) -> Iterator[tuple[Frame, bool]]:
    """Each frame, and whether it is the first or one of the last."""
    ahead: list[Frame] = []
    first = True
    for frame in frames:
        ahead.append(frame)
        if len(ahead) > last:
            yield ahead.pop(0), first
            first = False
    yield from ((frame, True) for frame in ahead)
