"""Capture that fails is tried again: soon at first, and ever more seldom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from hydroear.capture.supervised import Frame
from hydroear.errors import CaptureError

BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0
GOOD_RUN_S = 60.0
"""After samples have come for this long, the next failure counts as the first again."""


class BackOff:
    """When to try again: 0.5 s after a failure, twice as long after each one that follows, up to 30 s.

    Attributes
    ----------
    retry_s
        Monotonic time of the next attempt.
    """

    def __init__(self) -> None:
        self.retry_s = 0.0
        self._next_s = BACK_OFF_S

    @property
    def hopeless(self) -> bool:
        """Whether it has failed for so long that it is tried only every 30 s."""
        return self._next_s >= LONGEST_BACK_OFF_S

    def fail(self, now_s: float, *, heard_for_s: float) -> None:
        """Take note that an attempt has failed now, in which samples came for so long."""
        if heard_for_s >= GOOD_RUN_S:
            self._next_s = BACK_OFF_S
        self.retry_s = now_s + self._next_s
        self._next_s = min(2.0 * self._next_s, LONGEST_BACK_OFF_S)


class Feed(Protocol):
    """One attempt to capture."""

    @property
    def heard_for_s(self) -> float:
        """Time from the start to the last frame."""
        ...

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame until a monotonic time.

        Raises
        ------
        CaptureError
            If this attempt has failed.
        FeedEnd
            If there is no more to hear, for ever.
        """
        ...

    def check_stalled(self) -> None:
        """Raise CaptureError if what has been waited for has been silent for too long."""
        ...

    def kill(self) -> None:
        """End a wait in another thread; harmless twice."""
        ...

    def end(self) -> None:
        """Kill it and free all that belongs to it."""
        ...


class Attempts:
    """A supply of frames from one feed after the other.

    Parameters
    ----------
    start
        Begins an attempt; raises CaptureError if it cannot begin.

    Attributes
    ----------
    starts
        How many there were.
    """

    def __init__(self, start: Callable[[], Feed]) -> None:
        self.starts = 0
        self._start = start
        self._killed = threading.Event()
        self._back_off = BackOff()
        self._feed: Feed | None = None

    @property
    def hopeless(self) -> bool:
        """As in :class:`BackOff`."""
        return self._back_off.hopeless

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame until a monotonic time, with another attempt if one is due.

        Raises
        ------
        CaptureError
            If an attempt has failed.
        FeedEnd
            If there is no more to hear, for ever.
        """
        try:
            if self._feed is None:
                retry_s = self._back_off.retry_s
                self._killed.wait(min(retry_s, until_s) - time.monotonic())
                if self._killed.is_set() or time.monotonic() < retry_s:
                    return None
                self.starts += 1
                self._feed = self._start()
            if self._killed.is_set():  # in another thread, which may not have seen this feed yet
                return None
            frame = self._feed.receive(until_s)
            if frame is None and not self._killed.is_set():
                self._feed.check_stalled()
        except CaptureError:
            heard_for_s = self._feed.heard_for_s if self._feed is not None else 0.0
            self._end_feed()
            self._back_off.fail(time.monotonic(), heard_for_s=heard_for_s)
            raise
        return frame

    def kill(self) -> None:
        """End a wait in another thread, and all after it; harmless twice."""
        self._killed.set()
        if self._feed is not None:
            self._feed.kill()

    def end(self) -> None:
        """Kill the feed and free all that belongs to it."""
        self._killed.set()
        self._end_feed()

    def _end_feed(self) -> None:
        if self._feed is not None:
            self._feed.end()
            self._feed = None
