"""Remembers what one sensor hears, and makes evidence of it when an event opens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hydroear.audio import Block, Gap, Ring, Scale
from hydroear.config.schema import Evidence
from hydroear.dsp import FrontEndSpec
from hydroear.evidence.reasons import Abnormal, Normal, Reasons, explain
from hydroear.evidence.writer import Case, Writer

PAUSE_S = 10.0
"""After this long without a high score, the next one counts as a new beginning."""

KEPT_WINDOWS = 1024
"""How many of the latest windows the reasons are drawn from."""

_SLACK_S = 3.0
"""How far the audio may be ahead of the report that opens an event: a block, and what a resampler holds back."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Hearing:
    """What the path made of one window that was scored.

    Attributes
    ----------
    end_s
        Where the window ends in the stream.
    decades
        Site score.
    level_db
        Level; None for digital silence.
    band_db
        float32, shape (n_mels,): mean of each band over the window, of the front end's features.
    """

    end_s: float
    decades: float
    level_db: float | None
    band_db: NDArray[np.float32]


class Recorder:
    """Sits in the path of one sensor; nothing of it waits for a disk.

    Parameters
    ----------
    unit, sensor
        Their names.
    rate_hz
        Sample rate of the source.
    spec, bundle_sha256
        The front end and the hash of the bundle that scores.
    normal
        What the sensor sounds like when its pipe is well.
    raise_decades
        The raise level.
    settings
        How much is recorded.
    writer
        Files it; shared by the sensors of a unit.
    event_id
        The event that was open when the unit last stopped, whose evidence is held on to; None without one.
    """

    def __init__(
        self,
        *,
        unit: str,
        sensor: str,
        rate_hz: int,
        spec: FrontEndSpec,
        bundle_sha256: str,
        normal: Normal,
        raise_decades: float,
        settings: Evidence,
        writer: Writer,
        event_id: str | None = None,
    ) -> None:
        self._unit, self._sensor, self._bundle_sha256 = unit, sensor, bundle_sha256
        self._spec, self._normal, self._raise_decades = spec, normal, raise_decades
        self._settings, self._writer = settings, writer
        self._ring = Ring(rate_hz, settings.before_s + settings.after_s + _SLACK_S)
        self._after = round(settings.after_s * rate_hz)
        self._before = round(settings.before_s * rate_hz)
        self._hearings: deque[Hearing] = deque(maxlen=KEPT_WINDOWS)
        self._high_since_s: float | None = None
        self._last_high_s = 0.0
        self._pending: Case | None = None
        self._event_id = event_id
        if event_id is not None:
            writer.store.hold(event_id)

    def hear(self, piece: Block | Gap) -> None:
        """Take the next piece of audio, of shape (n, 1), before the front end does."""
        rest: Block | Gap | None = piece
        if self._pending is not None and piece.end_index >= (end := self._pending.open_index + self._after):
            before, rest = _split(piece, end)
            if before is not None:
                self._ring.push(before)
            self._file()
        if rest is not None:
            self._ring.push(rest)

    def take(self, hearing: Hearing) -> None:
        """Take what the path made of a window."""
        self._hearings.append(hearing)
        if hearing.decades >= self._raise_decades:
            if self._high_since_s is None or hearing.end_s - self._last_high_s > PAUSE_S:
                self._high_since_s = hearing.end_s
            self._last_high_s = hearing.end_s

    def explain(self) -> Reasons:
        """Why an event opens with the window that was taken last."""
        latest_s = self._hearings[-1].end_s
        since_s = latest_s if self._high_since_s is None else self._high_since_s
        windows = [hearing for hearing in self._hearings if hearing.end_s >= since_s]
        levels_db = [hearing.level_db for hearing in windows if hearing.level_db is not None]
        decades = np.array([hearing.decades for hearing in windows])
        abnormal = Abnormal(
            band_db=np.mean([hearing.band_db for hearing in windows], axis=0, dtype=np.float64),
            level_db=float(np.mean(levels_db)) if levels_db else None,
            decades=float(np.median(decades)),
            raise_decades=self._raise_decades,
            lasted_s=latest_s - since_s + self._spec.window_s,
            share_over=float(np.mean(decades >= self._raise_decades)),
        )
        index = self._judged_index()
        return explain(self._spec, self._normal, abnormal, self._ring.between(index - self._before, index))

    def open(
        self, event_id: str, opened_time: datetime, reasons: Reasons, *, clock: str, scale: Scale | None = None
    ) -> None:
        """An event opens where the window that was taken last ends; its evidence is filed once the audio after it has
        been heard.

        Parameters
        ----------
        event_id
            The event.
        opened_time, clock
            The time now, with a time zone, and whether it can be trusted.
        reasons
            Why: from :meth:`explain`.
        scale
            What the samples stand for; None where nobody knows.
        """
        self._file()
        self._event_id = event_id
        self._writer.store.hold(event_id)
        index = self._judged_index()
        self._pending = Case(
            unit=self._unit,
            sensor=self._sensor,
            event_id=event_id,
            opened_time=opened_time,
            clock=clock,
            open_index=index,
            sound=self._ring.between(index, index),
            scores=(),
            score_hop_s=self._spec.window_hop_s,
            high_hz=self._spec.high_hz,
            reasons=reasons,
            bundle_sha256=self._bundle_sha256,
            scale=scale,
        )
        if self._ring.end_index >= index + self._after:
            self._file()

    def close_event(self) -> None:
        """The open event is closed: its evidence may go before that of open ones."""
        if self._event_id is not None:
            self._writer.store.release(self._event_id)
            self._event_id = None

    def close(self) -> None:
        """The sensor is heard no more: file what was heard so far."""
        self._file()

    def _judged_index(self) -> int:
        """Where the window that was taken last ends; the audio is ahead of it by a part of a block."""
        return round(self._hearings[-1].end_s * self._ring.rate_hz)

    def _file(self) -> None:
        case = self._pending
        if case is None:
            return
        self._pending = None
        sound = self._ring.between(case.open_index - self._before, case.open_index + self._after)
        start_s = sound.first_index / sound.rate_hz
        scores = [(hearing.end_s, hearing.decades) for hearing in self._hearings if hearing.end_s > start_s]
        self._writer.submit(replace(case, sound=sound, scores=scores))


def _split(piece: Block | Gap, index: int) -> tuple[Block | Gap | None, Block | Gap | None]:
    """What of a piece lies before an index of the stream, and what from it on."""
    if index <= piece.first_index:
        return None, piece
    if index >= piece.end_index:
        return piece, None
    count = index - piece.first_index
    if isinstance(piece, Gap):
        return replace(piece, length=count), replace(piece, first_index=index, length=piece.length - count)
    return (
        replace(piece, samples=piece.samples[:count]),
        replace(piece, samples=piece.samples[count:], first_index=index),
    )
