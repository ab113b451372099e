"""What is said on each topic, as JSON; the JSON Schema of each kind is in ``schemas/``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from hydroear.health.clock import Clock

Availability = Literal["online", "offline"]
SensorState = Literal["learning", "quiet", "warning", "leak", "acknowledged", "noisy", "fault"]
SensorCondition = Literal["healthy", "degraded", "recovering", "failed"]
EventState = Literal["quiet", "leak", "acknowledged"]
Phase = Literal["open", "update", "close"]
StageResult = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Stamp:
    """Who speaks and when; part of every payload.

    Attributes
    ----------
    unit
        Name of the unit; None only in a self-test of a configuration that does not tell it, which no topic carries.
    time
        When it was said, with a time zone.
    clock
        Whether `time` can be trusted.
    boot_id
        Changes when the machine starts anew.
    seq
        Number of the message among those of its topic, from 0. An event's numbers go on over a restart
        of the daemon, so (event_id, seq) tells a repeated delivery from a new message; those of the other
        topics begin again.
    """

    unit: str | None
    time: datetime
    clock: Clock
    boot_id: str
    seq: int


@dataclass(frozen=True)
class Status:
    """Whether the unit is there."""

    kind: ClassVar = "status"
    status: Availability


@dataclass(frozen=True)
class Birth:
    """What the unit is made of.

    Attributes
    ----------
    versions
        Version of each software part, by name.
    runtime
        The interpreter that scores.
    bundle
        SHA-256 of the manifest of the model bundle, hexadecimal.
    sensors
        Identifiers of its sensors.
    """

    kind: ClassVar = "birth"
    versions: Mapping[str, str]
    runtime: str
    bundle: str
    sensors: Sequence[str]


@dataclass(frozen=True)
class EvidenceHealth:
    """What became of one sensor's evidence since the daemon started.

    Attributes
    ----------
    clips, pictures
        Clips and pictures written.
    evicted
        Files of this sensor removed to make room for others.
    refused
        Files not kept for want of room.
    failed
        Files that the disk did not take.
    dropped
        Events of which nothing was kept because too many waited for the disk, or something went wrong.
    """

    clips: int
    pictures: int
    evicted: int
    refused: int
    failed: int
    dropped: int


@dataclass(frozen=True)
class SensorHealth:
    """The work done for one sensor since the daemon started.

    Attributes
    ----------
    windows_scored, windows_skipped
        Windows scored, and windows left out because audio was lost or can't be that of a pipe or is not.
    windows_vetoed
        Those of the latter whose sound was in the air, by the reference channel.
    gaps
        Times that samples were lost.
    drift_ppm
        How much faster than its nominal rate the sensor's clock runs, in parts per million of the unit's; None until
        minutes without loss have told.
    score_p50_ms, score_p95_ms
        Median and 95th percentile of the time one window takes to score; None before the first.
    condition
        Whether the sensor can be believed.
    ailment
        What is wrong with its audio, in plain words; empty while it is healthy.
    evidence
        What became of its evidence; None where none is kept.
    """

    windows_scored: int
    windows_skipped: int
    windows_vetoed: int
    gaps: int
    drift_ppm: float | None
    score_p50_ms: float | None
    score_p95_ms: float | None
    condition: SensorCondition
    ailment: str
    evidence: EvidenceHealth | None


@dataclass(frozen=True)
class Health:
    """How the unit is doing.

    Attributes
    ----------
    uptime_s
        Time since the daemon started.
    rss_bytes
        Resident memory of the daemon.
    queue_depth
        Messages that wait in the outbox.
    drops
        Messages dropped over the outbox's size cap, by kind.
    refused
        Messages that the broker refused since the daemon started.
    sensors
        Health of each sensor, by identifier.
    """

    kind: ClassVar = "health"
    uptime_s: float
    rss_bytes: int
    queue_depth: int
    drops: Mapping[str, int]
    refused: int
    sensors: Mapping[str, SensorHealth]


@dataclass(frozen=True)
class State:
    """What one sensor hears.

    Attributes
    ----------
    score_decades
        Site score of the last window: minus log10 of the tail probability among normal windows; None
        before there is one.
    level_db
        Level of the last window relative to full scale; None for digital silence.
    position_s
        Place of the last window's end in the stream.
    windows_scored, windows_skipped
        As in :class:`SensorHealth`.
    event_id
        The open event, None when there is none.
    """

    kind: ClassVar = "state"
    sensor: str
    state: SensorState
    score_decades: float | None
    level_db: float | None
    position_s: float
    windows_scored: int
    windows_skipped: int
    event_id: str | None


@dataclass(frozen=True)
class Event:
    """One step of an event: it opens, changes, or closes.

    Attributes
    ----------
    event_id
        The same from open to close.
    opened_time
        When it opened, with a time zone.
    position_s
        Place in the stream of the window that made this step.
    score_decades, level_db
        As in :class:`State`.
    raise_decades, false_alarms_per_month
        The raise level the score was held against, and the budget of false alarms of a sensor.
    bundle
        SHA-256 of the manifest of the model bundle that scored, hexadecimal.
    horizon_decades
        What was held against the raise level: the rarity of the last horizon; None before there is one.
    reason
        Why this step was made, in plain words.
    evidence
        Of what opens: which band rose, how far the level, whether there are lines in it, in numbers and sentences.
    """

    kind: ClassVar = "event"
    event_id: str
    sensor: str
    phase: Phase
    state: EventState
    opened_time: datetime
    position_s: float
    score_decades: float
    horizon_decades: float | None
    level_db: float | None
    raise_decades: float
    false_alarms_per_month: float
    bundle: str
    reason: str
    evidence: Mapping[str, Any] | None


@dataclass(frozen=True)
class SelfTest:
    """What the unit found when it examined itself; ``hydroear selftest --json`` prints the same.

    Attributes
    ----------
    result
        The worst of the stages.
    stages
        Each with ``stage``, ``result``, ``measured``, ``expected``, ``fix`` and ``values``.
    """

    kind: ClassVar = "selftest"
    result: StageResult
    stages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Night:
    """The minimum-night level of one sensor.

    Attributes
    ----------
    night
        The day on which the night began, ``YYYY-MM-DD`` by the unit's time zone.
    start_time, end_time
        When it began and ended, with a time zone.
    clock_trusted
        Whether the clock could be trusted throughout.
    coverage, silent
        Share of the night that was heard, and share of that in which the audio stood still, 0 to 1.
    minimum_db, persistent_db, spread_db
        The quietest noise, the most persistent noise, and from the one to the other; None where nothing can be said.
    histogram_start_db, histogram
        Lower edge of the first bin, None without any, and windows in each bin of 1 dB.
    problem
        Why nothing can be said of the levels; empty if they can be trusted.
    """

    kind: ClassVar = "night"
    sensor: str
    night: str
    start_time: datetime
    end_time: datetime
    clock_trusted: bool
    coverage: float
    silent: float
    minimum_db: float | None
    persistent_db: float | None
    spread_db: float | None
    histogram_start_db: int | None
    histogram: Sequence[int]
    problem: str


Body = Status | Birth | Health | State | Event | SelfTest | Night


def encode(body: Body, stamp: Stamp) -> bytes:
    """One payload: the schema's name, the stamp, then the body, as UTF-8 JSON.

    Raises
    ------
    ValueError
        A time without a zone, or a number that JSON cannot say (NaN, infinity).
    """
    content = {"schema": f"hydroear/{body.kind}/1", **asdict(stamp), **asdict(body)}
    return json.dumps(content, allow_nan=False, ensure_ascii=False, default=_utc, separators=(",", ":")).encode()


def _utc(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} has no place in a payload")
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
