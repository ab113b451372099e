"""Recordings played as if they were a sensor."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from hydroear.audio import Block, Samples, channels_of, open_recording
from hydroear.errors import AudioError, UsageError
from hydroear.health.alarm import DeviceNews

PACED_BLOCK_S = 0.1
"""Length of a block that is played by the clock, about that of a sensor's."""

BLOCK_S = 2.0
"""Length of one that is played as fast as possible. What is done once a block is little beside what is done once a
sample then, and the models, which score two windows of it in a row, find themselves in the cache.
"""


class RecordingSource:
    """One or two channels of recordings, one after the other with continuous indices.

    Every file is opened once on construction, so that a bad one is reported before anything is
    played.

    Parameters
    ----------
    files
        Recordings of one sample rate, at least one.
    channel
        Which channel to hear, counted from 1.
    reference_channel
        Which one is that of a microphone in the air; None if none is.
    speed
        Times real time by the monotonic clock; 0 is as fast as possible.
    block_s
        Length of a block in seconds; the last of each file may be shorter. Left out, :data:`PACED_BLOCK_S` or, at
        speed 0, :data:`BLOCK_S`.

    Raises
    ------
    AudioError
        If a file cannot be read, lacks a channel, or has another rate than the first.
    UsageError
        If there are no files, the speed is negative or not finite, or both channels are the same.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        channel: int = 1,
        reference_channel: int | None = None,
        speed: float = 0.0,
        block_s: float | None = None,
    ) -> None:
        if not files:
            raise UsageError("no recordings to play", expected="at least one file", fix="name a recording")
        if not (math.isfinite(speed) and speed >= 0.0):
            raise UsageError(f"speed {speed}", expected="0 (as fast as possible) or more", fix="use 1 for real time")
        if reference_channel == channel:
            raise UsageError(
                f"channel and reference channel are both {channel}",
                expected="two channels",
                fix="the reference is another microphone",
            )
        channels = (channel,) if reference_channel is None else (channel, reference_channel)
        self.name = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
        self.rate_hz = _common_rate_hz(files, channels)
        self._speed = speed
        if block_s is None:
            block_s = PACED_BLOCK_S if speed > 0.0 else BLOCK_S
        self._blocks = _stream(tuple(files), channels, max(1, round(block_s * self.rate_hz)))
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._next_index = 0
        self._start_s = 0.0

    @property
    def drift_ppm(self) -> None:
        """A recording does not tell how fast the clock ran that it was made with."""

    @property
    def trouble(self) -> str:
        """Nothing: a recording sounds."""
        return ""

    @property
    def overflows(self) -> int:
        """A recording has no driver."""
        return 0

    @property
    def scale(self) -> None:
        """A recording does not tell what its samples stand for."""

    @property
    def device(self) -> None:
        """A recording has no device."""

    def news(self) -> list[DeviceNews]:
        """None: a recording has no device."""
        return []

    def read(self) -> Block | None:
        """Wait for the next block, shape (n, 1) or (n, 2); None at the end or when closed."""
        with self._reading:
            if self._next_index == 0:
                self._start_s = time.monotonic()
            samples = next(self._blocks, None)
            if samples is None or not self._wait_until_heard(self._next_index + len(samples)):
                return None
            block = Block(samples, self._next_index, time.monotonic())
            self._next_index = block.end_index
            return block

    def close(self) -> None:
        """End the playing; a read that waits in another thread returns None at once."""
        self._closed.set()
        with self._reading:
            self._blocks.close()

    def _wait_until_heard(self, end_index: int) -> bool:
        """Wait until a sensor would have heard all samples before an index; False when closed."""
        delay_s = 0.0
        if self._speed > 0.0:
            due_s = self._start_s + end_index / self.rate_hz / self._speed
            delay_s = max(0.0, due_s - time.monotonic())
        return not self._closed.wait(delay_s)


def _stream(files: Sequence[Path], channels: Sequence[int], block_frames: int) -> Generator[Samples, None, None]:
    for file in files:
        with open_recording(file) as recording:
            while len(samples := recording.read(block_frames)):
                yield channels_of(samples, channels)


def _common_rate_hz(files: Sequence[Path], channels: Sequence[int]) -> int:
    rates_hz: dict[int, Path] = {}
    for file in files:
        with open_recording(file) as recording:
            for channel in channels:
                if not 1 <= channel <= recording.channels:
                    raise AudioError(
                        f"no channel {channel}",
                        where=file,
                        expected=f"1 to {recording.channels}",
                        fix="choose a channel that the recording has",
                    )
            rates_hz.setdefault(recording.rate_hz, file)
    if len(rates_hz) > 1:
        (first_hz, first), (other_hz, other) = list(rates_hz.items())[:2]
        raise AudioError(
            f"sample rate {other_hz} Hz",
            where=other,
            expected=f"{first_hz} Hz as in {first}",
            fix="play recordings of different rates one at a time",
        )
    return next(iter(rates_hz))
