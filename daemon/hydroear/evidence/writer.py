"""Writes what was heard of an event to disk, on a thread of its own: a slow card delays no ear."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Full, Queue
from typing import Any

from hydroear import __version__
from hydroear.audio import Scale, Stretch
from hydroear.codes import Code, coded
from hydroear.config.schema import Evidence
from hydroear.evidence import clip, picture
from hydroear.evidence.reasons import Reasons
from hydroear.evidence.store import EvidenceStore, Kind

log = logging.getLogger(__name__)

SCHEMA = "hydroear/evidence/1"
MAX_WAITING = 4
"""Events whose audio may wait in memory for a slow disk; what comes on top is counted and not kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """All that is known of an event once its clip has been heard.

    Attributes
    ----------
    unit, sensor, event_id
        Whose it is.
    opened_time, clock
        When it opened, and whether the clock can be trusted.
    open_index
        Index in the stream at that time.
    sound
        The clip.
    scores
        End of each window in the stream, in seconds, and its site score.
    score_hop_s
        Seconds from one window to the next.
    high_hz
        Highest frequency that the front end hears.
    reasons
        Why it was raised.
    bundle_sha256
        The bundle that scored.
    scale
        What the samples stand for; None where nobody knows.
    """

    unit: str
    sensor: str
    event_id: str
    opened_time: datetime
    clock: str
    open_index: int
    sound: Stretch
    scores: Sequence[tuple[float, float]]
    score_hop_s: float
    high_hz: float
    reasons: Reasons
    bundle_sha256: str
    scale: Scale | None

    @property
    def start_time(self) -> datetime:
        """When the first sample of the clip was heard."""
        before_s = (self.open_index - self.sound.first_index) / self.sound.rate_hz
        return self.opened_time - timedelta(seconds=before_s)

    def guano_fields(self, settings: Evidence) -> dict[str, str]:
        """What the clip says of itself."""
        fields = {
            "Timestamp": utc_text(self.start_time),
            "Make": "hydroear",
            "Firmware Version": __version__,
            "Serial": self.unit,
            "Samplerate": str(self.sound.rate_hz),
            "Length": f"{self.sound.length_s:.3f}",
            "Note": "\n".join(self.reasons.sentences),
            "HYDROEAR|Unit": self.unit,
            "HYDROEAR|Sensor": self.sensor,
            "HYDROEAR|Event": self.event_id,
            "HYDROEAR|Opened": utc_text(self.opened_time),
            "HYDROEAR|Clock": self.clock,
            "HYDROEAR|Score": f"{self.reasons.decades:.3f}",
            "HYDROEAR|Raise": f"{self.reasons.raise_decades:g}",
            "HYDROEAR|Bundle": self.bundle_sha256,
            "HYDROEAR|Lost": f"{self.sound.lost_share * self.sound.length_s:.3f}",
        }
        if self.scale is not None:
            fields["HYDROEAR|Full Scale"] = str(self.scale)
        if settings.band_limit is not None:
            fields["Filter HP"] = f"{settings.band_limit.low_hz / 1000:g}"
            fields["Filter LP"] = f"{settings.band_limit.high_hz / 1000:g}"
        return fields

    def record(self) -> dict[str, Any]:
        """What the record of the event holds."""
        return {
            "schema": SCHEMA,
            "unit": self.unit,
            "sensor": self.sensor,
            "event_id": self.event_id,
            "opened_time": utc_text(self.opened_time),
            "clock": self.clock,
            "score_decades": round(self.reasons.decades, 3),
            "bundle": self.bundle_sha256,
            "clip": {
                "start_time": utc_text(self.start_time),
                "rate_hz": self.sound.rate_hz,
                "length_s": round(self.sound.length_s, 3),
                "lost_share": round(self.sound.lost_share, 6),
            },
            "reasons": self.reasons.to_json(),
        }


class Writer:
    """Files cases in a store, one after the other, in the background. All sensors of a unit share one.

    Parameters
    ----------
    store
        Where the evidence goes.
    settings
        What is written, and how.

    Attributes
    ----------
    dropped
        By sensor, events of which nothing was kept because too many waited for the disk, or something went wrong.

    Raises
    ------
    UsageError
        If FLAC is asked for and cannot be written here.
    """

    def __init__(self, store: EvidenceStore, settings: Evidence) -> None:
        self.store = store
        self.dropped: Counter[str] = Counter()
        self._mutex = threading.Lock()
        self._settings = settings
        self._format = clip.choose_format(settings.format)
        self._cases: Queue[Case | None] = Queue(MAX_WAITING)
        # A daemon thread: a disk that hangs must not keep the unit from stopping.
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)
        self._thread.start()

    def submit(self, case: Case) -> None:
        """File a case soon; never waits."""
        try:
            self._cases.put_nowait(case)
        except Full:
            self._drop(case)
            log.warning(
                "%s: no evidence is kept of %s: the disk is too slow",
                case.sensor,
                case.event_id,
                extra=coded(Code.EVIDENCE_LOST, sensor=case.sensor, event_id=case.event_id),
            )

    def close(self, within_s: float) -> bool:
        """File what waits; gives whether all of it was filed in this time."""
        deadline_s = time.monotonic() + within_s
        try:
            self._cases.put(None, timeout=within_s)
        except Full:
            return False
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def _work(self) -> None:
        self.store.clean()
        while (case := self._cases.get()) is not None:
            try:
                self._file(case)
            except Exception:
                # Whatever is wrong with one event's evidence must not cost that of the next.
                self._drop(case)
                log.exception(
                    "%s: no evidence is kept of %s",
                    case.sensor,
                    case.event_id,
                    extra=coded(Code.EVIDENCE_LOST, sensor=case.sensor, event_id=case.event_id),
                )

    def _drop(self, case: Case) -> None:
        with self._mutex:  # the sensors' threads and the writer's own
            self.dropped[case.sensor] += 1

    def _file(self, case: Case) -> None:
        """Write the record first: it is small, and holds the score by which the rest is kept."""
        self._put(case, ".json", json.dumps(case.record(), allow_nan=False, indent=1).encode())
        samples, limit = case.sound.samples, self._settings.band_limit
        if not len(samples):
            return
        if limit is not None:
            samples = clip.band_limited(samples, case.sound.rate_hz, low_hz=limit.low_hz, high_hz=limit.high_hz)
        sound = Stretch(case.sound.rate_hz, case.sound.first_index, samples, case.sound.heard)
        if self.store.wants(Kind.CLIP):
            fields = case.guano_fields(self._settings)
            self._put(case, f".{self._format}", clip.encode(samples, sound.rate_hz, fields, self._format))
        if self.store.wants(Kind.PICTURE):
            self._put(case, ".png", self._picture(case, sound))

    def _picture(self, case: Case, sound: Stretch) -> bytes:
        reasons = case.reasons
        opened = f"{case.opened_time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return picture.draw(
            sound,
            high_hz=case.high_hz,
            open_index=case.open_index,
            scores=case.scores,
            score_hop_s=case.score_hop_s,
            raise_decades=reasons.raise_decades,
            band_hz=(reasons.low_hz, reasons.high_hz) if reasons.stands_out else None,
            title=f"{case.sensor}  {opened}  score {reasons.decades:.1f}",
            texts={
                "Title": case.event_id,
                "Description": "\n".join(reasons.sentences),
                "Creation Time": utc_text(case.opened_time),
                "Software": f"hydroear {__version__}",
            },
        )

    def _put(self, case: Case, suffix: str, data: bytes) -> None:
        self.store.put(case.sensor, case.event_id, case.reasons.decades, suffix, data)


def utc_text(time: datetime) -> str:
    """A time with a zone as GUANO and RFC 3339 write it, in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
