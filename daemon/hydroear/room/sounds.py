"""The sounds of events that the room has asked for, as they come."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydroear.audio import Stretch, open_recording
from hydroear.errors import HydroearError
from hydroear.mqtt import topics
from hydroear.room import said
from hydroear.room.parcel import Parcel
from hydroear.room.questions import Answer, Questions
from hydroear.room.said import UnreadableError, address, read

STALL_S = 10.0
"""So long without a piece, the missing ones are asked for again. A choice."""
KEPT = 8
"""Sounds that are kept; the oldest goes."""
MAX_SAMPLES = 2**24
"""More than any clip has: what is decoded must not fill the memory."""


@dataclass
class _Fetch:
    unit: str
    parcel: Parcel
    request_id: str
    stalls_s: float
    sound: Stretch | None = None
    failure: str = ""


class Sounds:
    """Fetches clips beside all else that happens; one that stalls is asked for again from where it stopped.

    Parameters
    ----------
    questions
        Asks for them.
    subscribe
        Hears a topic from now on.
    """

    def __init__(self, questions: Questions, subscribe: Callable[[str], None]) -> None:
        self._questions, self._subscribe = questions, subscribe
        self._fetches: dict[str, _Fetch] = {}

    def fetch(self, unit: str, event_id: str) -> None:
        """Ask for the sound of an event, unless it is there or on its way."""
        known = self._fetches.get(event_id)
        if known is not None and not known.failure:
            return
        self._subscribe(topics.clip(unit, event_id))
        parcel = Parcel(event_id) if known is None else known.parcel
        self._fetches[event_id] = _Fetch(unit, parcel, self._ask(unit, event_id, parcel), time.monotonic() + STALL_S)
        while len(self._fetches) > KEPT:
            del self._fetches[next(iter(self._fetches))]

    def hear(self, topic: str, payload: bytes) -> bool:
        """Take a message; whether it was a piece of a sound."""
        try:
            about = address(topic)
        except UnreadableError:
            return False
        if about is None or about.kind != "clip":
            return False
        fetch = self._fetches.get(about.subject)
        if fetch is None or fetch.unit != about.unit or fetch.sound is not None:
            return True
        try:
            piece = read(about, payload)
            assert isinstance(piece, said.Clip)
            if fetch.parcel.take(piece):
                fetch.stalls_s = time.monotonic() + STALL_S
            if fetch.parcel.whole:
                fetch.sound = _decoded(fetch.parcel)
        except UnreadableError:
            pass  # it is missing then, and asked for again
        except HydroearError as error:
            fetch.failure, fetch.parcel = str(error), Parcel(about.subject)
        return True

    def take(self, answer: Answer) -> None:
        """Take the answer to a request, if it was for a sound."""
        for fetch in self._fetches.values():
            if fetch.request_id == answer.request_id and answer.outcome != "done":
                fetch.failure = answer.error

    def tend(self) -> None:
        """Ask again for what has stalled."""
        now_s = time.monotonic()
        for event_id, fetch in self._fetches.items():
            if fetch.sound is None and not fetch.failure and now_s >= fetch.stalls_s:
                fetch.stalls_s = now_s + STALL_S
                if not self._questions.waits_for(fetch.request_id):
                    fetch.request_id = self._ask(fetch.unit, event_id, fetch.parcel)

    def of(self, event_id: str) -> Stretch | str | None:
        """A sound, or how far it is in words; None for one that nobody has asked for."""
        fetch = self._fetches.get(event_id)
        if fetch is None:
            return None
        if fetch.failure:
            return f"no sound: {fetch.failure}"
        return fetch.sound or f"fetching the sound: {100.0 * fetch.parcel.share:.0f} %"

    def _ask(self, unit: str, event_id: str, parcel: Parcel) -> str:
        return self._questions.ask(unit, "clip", {"event_id": event_id, "first": parcel.wanted})


def _decoded(parcel: Parcel) -> Stretch:
    with tempfile.TemporaryDirectory(prefix="hydroear-") as folder:
        path = Path(folder) / "clip"
        path.write_bytes(parcel.open())
        with open_recording(path) as recording:
            samples = recording.read(MAX_SAMPLES)[:, 0]
            return Stretch(recording.rate_hz, 0, samples, np.ones(len(samples), np.bool_))
