"""A source whose samples come from something that may hang or die, and is then started again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from hydroear.audio import Block, Gap, Samples, Scale, channels_of
from hydroear.capture.timeline import Timeline
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear.health.alarm import DeviceNews
from hydroear.health.device import DeviceHealth

_log = logging.getLogger(__name__)

State = Literal["healthy", "recovering", "failed"]


@dataclass(frozen=True)
class SourceStatus:
    """How a source is doing.

    Attributes
    ----------
    state
        ``healthy`` while samples arrive; ``recovering`` while they are waited for; ``failed`` once
        that has lasted so long that capture is tried only every 30 s.
    restarts
        How often capture was started again since the source was opened.
    last_error
        Why samples last ceased; empty if they never did.
    drift_ppm
        How much faster than its nominal rate the sensor's clock runs, by this machine's monotonic clock; None until
        minutes without loss have told.
    drift_error_ppm
        Standard error of that; None likewise.
    """

    state: State = "recovering"
    restarts: int = 0
    last_error: str = ""
    drift_ppm: float | None = None
    drift_error_ppm: float | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """Samples as they arrived.

    Attributes
    ----------
    samples
        float32, shape (n, channels), n at least 1; may hold what is not finite.
    end_s
        Monotonic time at which the last of them arrived, or was taken, where that is known.
    after_loss
        Whether samples before them were discarded.
    lost
        How many samples are missing before them, where the sensor counts them; None where nobody knows.
    loss
        Why, in plain words, where that is known.
    """

    samples: Samples
    end_s: float
    after_loss: bool = False
    lost: int | None = None
    loss: str = ""


class FeedEnd(Exception):  # noqa: N818 - no error
    """A feed has ended, and another one would be empty."""


class Supply(Protocol):
    """Where the frames of a source come from, for as long as it lives."""

    @property
    def starts(self) -> int:
        """Times that capture was begun."""
        ...

    @property
    def hopeless(self) -> bool:
        """Whether it has failed for so long that it is tried only now and then."""
        ...

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame until a monotonic time.

        Raises
        ------
        CaptureError
            If capture has failed; it is tried again.
        FeedEnd
            If there is no more to hear, for ever.
        """
        ...

    def kill(self) -> None:
        """End a wait in another thread, and all after it; harmless twice."""
        ...

    def end(self) -> None:
        """Free all that belongs to it; harmless twice."""
        ...


class SupervisedSource:
    """One channel of a live sensor, for ever, with its reference channel if there is one.

    Capture begins with the first :meth:`read`. Whatever stops it becomes gaps whose lengths follow
    the monotonic clock, while capture is tried again after 0.5 s, doubling up to 30 s.

    Parameters
    ----------
    name
        What a person calls it in a log.
    settings
        Rate, channels, and how patient to be.
    supply
        Where its frames come from.

    Attributes
    ----------
    overflows
        Times that the driver said that it had discarded samples.
    """

    def __init__(self, name: str, settings: schema.LiveSource, supply: Supply) -> None:
        self.name = name
        self.rate_hz = settings.rate_hz
        self.overflows = 0
        self._live, self._supply = settings, supply
        self._state: State = "recovering"
        self._last_error = ""
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._heard_s = 0.0  # when a sample last came, or was first waited for
        self._timeline: Timeline | None = None
        self._ready: deque[Block | Gap] = deque()

    @property
    def device(self) -> DeviceHealth | None:
        """How the device behind the sensor is doing; None where it cannot tell."""
        return None

    def news(self) -> list[DeviceNews]:
        """Take what the device behind the sensor has told of itself since the last time."""
        return []

    @property
    def scale(self) -> Scale | None:
        """What the samples stand for; None where nobody knows."""
        return None

    @property
    def status(self) -> SourceStatus:
        """How the source is doing, as of the last read."""
        drift = self._timeline.drift if self._timeline else None
        return SourceStatus(
            self._state,
            max(0, self._supply.starts - 1),
            self._last_error,
            drift.ppm if drift else None,
            drift.error_ppm if drift else None,
        )

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than its nominal rate the sensor's clock runs; None until that is known."""
        return self.status.drift_ppm

    @property
    def trouble(self) -> str:
        """Why nothing is heard at the moment; empty where something is."""
        return "" if self._state == "healthy" else self._last_error

    def read(self) -> Block | Gap | None:
        """Wait for what comes next, for at most about ``stall_s``.

        Returns
        -------
        Block, Gap or None
            A block of shape (n, 1), or (n, 2) with a reference channel, or a gap, each beginning
            where the one before ended; None when closed, or at the end of a source that has one. The
            length of a gap is the time that passed times the rate, also where the driver reports an
            overflow, because it does not say how much it discarded; unless the sensor counts its samples.

        Raises
        ------
        CaptureError
            If nothing was heard for ``give_up_after_s``.
        """
        with self._reading:
            if self._timeline is None:
                self._heard_s = time.monotonic()
                self._timeline = Timeline(self.rate_hz, self._heard_s)
            timeline = self._timeline
            due_s = time.monotonic() + self._live.stall_s
            while not (self._closed.is_set() or self._ready):
                self._give_up_in_time()
                # An index may be a little ahead of the clock, and what did not sound yet cannot be lost.
                due_s = max(due_s, timeline.end_s + 1.0 / self.rate_hz)
                try:
                    self._listen(timeline, due_s)
                except FeedEnd:
                    self._closed.set()
                    self._supply.end()
            return None if self._closed.is_set() else self._ready.popleft()

    def close(self) -> None:
        """End capture; a read that waits in another thread returns None. Harmless twice.

        Not for signal handlers: one that interrupts :meth:`read` would wait for it for ever.
        """
        self._closed.set()
        self._supply.kill()
        with self._reading:
            self._supply.end()
            self._ready.clear()

    def _listen(self, timeline: Timeline, due_s: float) -> None:
        """Hear the next frame, or make a gap at a failure or when one is due."""
        try:
            frame = self._supply.receive(due_s)
        except CaptureError as error:
            reason = str(error)
            self._become("failed" if self._supply.hopeless else "recovering", reason)
        else:
            if frame is not None:
                self._hear(timeline, frame)
                return
            if self._closed.is_set():
                return
            reason = self._last_error or "waiting for samples"
            if self._state == "healthy":
                reason = f"{self.name}: no samples for {self._live.stall_s:g} s"
                self._become("recovering", reason)
        self._lose(timeline, time.monotonic(), reason)

    def _hear(self, timeline: Timeline, frame: Frame) -> None:
        self._heard_s = time.monotonic()
        samples = channels_of(frame.samples, self._live.heard_channels)
        if not np.isfinite(samples).all():
            reason = f"{self.name}: samples that are not numbers"
            self._become("recovering", reason)
            self._lose(timeline, frame.end_s, reason)
            return
        self.overflows += frame.after_loss
        loss = frame.loss or ("driver overflow, length by the clock" if frame.after_loss else "")
        self._ready += timeline.place(samples, frame.end_s, loss=loss, lost=frame.lost)
        self._become("healthy", self._last_error)

    def _lose(self, timeline: Timeline, until_s: float, reason: str) -> None:
        if gap := timeline.lose(until_s, reason):
            self._ready.append(gap)

    def _give_up_in_time(self) -> None:
        silence_s = time.monotonic() - self._heard_s
        if 0.0 < self._live.give_up_after_s <= silence_s:
            raise CaptureError(
                f"given up: nothing heard for {silence_s:.0f} s; {self._last_error or f'{self.name} sent nothing'}"
            )

    def _become(self, state: State, error: str) -> None:
        """Take on a state, and log it unless it was logged already."""
        before = self._state, self._last_error
        self._state, self._last_error = state, error
        if (state, error) == before:
            return
        if state == "healthy":
            _log.info("%s: hearing", self.name, extra=coded(Code.SENSOR_HEARD))
        else:
            _log.warning("%s (%s)", error, state, extra=coded(Code.SENSOR_DEAF))
