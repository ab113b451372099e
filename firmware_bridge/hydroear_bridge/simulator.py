"""A simulated device that sends noise, behind a link that loses and damages frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hydroear_bridge.errors import UsageError
from hydroear_bridge.frames import Audio, Frame, Hello, SampleFormat
from hydroear_bridge.link import DELIMITER, encode

FRAME_S = 0.02
HELLO_EVERY_S = 2.0
SENSOR_STREAM = 1
NOISE_RMS = 0.1
"""Level of the noise, full scale 1: peaks stay well below clipping."""


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


def simulate(
    *, duration_s: float, rate_hz: int = 16000, loss: float = 0.0, corrupt: float = 0.0, seed: int = 0
) -> Iterator[Sent]:
    """Send white noise as int16 AUDIO frames of 20 ms, with a HELLO every 2 s.

    Parameters
    ----------
    duration_s
        Length of the audio in seconds, above 0.
    rate_hz
        Sample rate in Hz, 50 to 200000.
    loss
        Probability that the link loses a frame, 0 to 1.
    corrupt
        Probability that one byte of a frame that is not lost arrives as another, 0 to 1.
    seed
        Same seed, same stream, at least 0; the samples are the same whatever the faults.

    Yields
    ------
    Sent
        Every frame in order. The first frame and the last two are spared, so that every loss lies between
        frames that arrive and shows.

    Raises
    ------
    UsageError
        If an argument is out of range.
    """
    for name, value, low, high in [
        ("rate", rate_hz, 50, 200000),
        ("loss", loss, 0, 1),
        ("corrupt", corrupt, 0, 1),
        ("seed", seed, 0, np.inf),
        ("seconds", duration_s, 1 / rate_hz if rate_hz > 0 else 0, 1e9),
    ]:
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}, expected {low:g} to {high:g}")
    return _send(duration_s, rate_hz, loss, corrupt, seed)


def _send(duration_s: float, rate_hz: int, loss: float, corrupt: float, seed: int) -> Iterator[Sent]:
    faults = np.random.default_rng([seed, 1])
    run_together = False
    for frame, frames_after in _frames(round(duration_s * rate_hz), rate_hz, seed):
        first = frame.sequence == 0
        # The delimiter ahead of the first frame ends whatever the line carried before.
        wire = DELIMITER + encode(frame) if first else encode(frame)
        spared = first or frames_after < 2
        if not spared and faults.random() < loss:
            yield Sent(frame, b"", arrives=False)
            continue
        arrives, run_together = not run_together, False
        if not spared and faults.random() < corrupt:
            place = int(faults.integers(len(wire)))
            wire = wire[:place] + bytes([wire[place] ^ int(faults.integers(1, 256))]) + wire[place + 1 :]
            arrives, run_together = False, not wire.endswith(DELIMITER)
        yield Sent(frame, wire, arrives)


def _frames(samples: int, rate_hz: int, seed: int) -> Iterator[tuple[Frame, int]]:
    """Frames of a device without faults, each with the number of frames after it."""
    signal = np.random.default_rng([seed, 0])
    hello = Hello(boot_id=seed % 2**32, uid=b"simulated", model="hydroear simulator")
    count = round(FRAME_S * rate_hz)
    firsts = range(0, samples, count)
    audio_per_hello = round(HELLO_EVERY_S / FRAME_S)
    last = len(firsts) + math.ceil(len(firsts) / audio_per_hello) - 1
    sequence = 0
    for number, first in enumerate(firsts):
        time_us = first * 1_000_000 // rate_hz
        if number % audio_per_hello == 0:
            yield Frame(sequence=sequence, device_time_us=time_us, body=hello), last - sequence
            sequence += 1
        noise = NOISE_RMS * signal.standard_normal(min(count, samples - first))
        audio = Audio(
            sample_index=first,
            rate_millihz=1000 * rate_hz,
            sample_format=SampleFormat.INT16,
            data=(2**15 * noise).astype("<i2").tobytes(),
        )
        yield Frame(sequence=sequence, device_time_us=time_us, stream=SENSOR_STREAM, body=audio), last - sequence
        sequence += 1
