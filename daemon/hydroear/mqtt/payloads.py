"""What is said on each topic, as JSON; the JSON Schema of each kind is in ``schemas/``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from hydroear.health.clock import Clock
from hydroear.health.device import DeviceHealth
from hydroear.mqtt import topics

Availability = Literal["online", "offline"]
SensorState = Literal["learning", "quiet", "warning", "leak", "acknowledged", "noisy", "fault"]
SensorCondition = Literal["healthy", "degraded", "recovering", "failed"]
EventState = Literal["quiet", "leak", "acknowledged"]
Phase = Literal["open", "update", "close"]
AlarmPhase = Literal["open", "close"]
CalibrationPhase = Literal["none", "learning", "learned", "refused", "stopped"]
Outcome = Literal["done", "refused", "failed"]
StageResult = Literal["pass", "warn", "fail", "skip"]
ModelStep = Literal["installed", "shadowing", "shadowed", "withdrawn", "activated", "confirmed", "rolled-back"]
SourceKind = Literal["microphone", "pipe", "bridge", "logger", "wav"]

_NEWS = re.compile(rb'\A(\{"schema":"[^"]*","historical":)false')


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
        Number of the message among those of its topic, from 0. Those of an event and of an alarm go on over a
        restart of the daemon, so that id and number tell a repeated delivery from a new message; those of the other
        topics begin again.
    bundle
        SHA-256 of the manifest of the model bundle in force, hexadecimal; None where none is loaded.
    """

    unit: str | None
    time: datetime
    clock: Clock
    boot_id: str
    seq: int
    bundle: str | None


@dataclass(frozen=True)
class Status:
    """Whether the unit is there."""

    kind: ClassVar = "status"
    status: Availability


@dataclass(frozen=True)
class SensorBirth:
    """What one sensor is.

    Attributes
    ----------
    id
        Its identifier.
    source
        What kind of source it is.
    device
        Identity of the microphone, the program that a pipe is from, or the port of a bridge; None for recordings.
    rate_hz
        Samples a second.
    channels
        Numbers of the channels that are heard, counted from 1; a second one is the reference.
    calibrated
        Whether it has learned its own pipe.
    """

    id: str
    source: SourceKind
    device: str | None
    rate_hz: int
    channels: Sequence[int]
    calibrated: bool


@dataclass(frozen=True)
class Birth:
    """What the unit is made of.

    Attributes
    ----------
    versions
        Version of each software part, by name.
    runtime
        The interpreter that scores.
    model
        Name of the model bundle.
    sensors
        Its sensors.
    commands
        The commands that it takes.
    slots
        Which bundles are installed, and what became of them; None where none can be.
    schema_version
        Version of the topics and payloads.
    """

    kind: ClassVar = "birth"
    versions: Mapping[str, str]
    runtime: str
    model: str
    sensors: Sequence[SensorBirth]
    commands: Sequence[str]
    slots: Mapping[str, Any] | None
    schema_version: int = topics.VERSION


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
class OpenAlarm:
    """An alarm that is open, in the health of each sensor that it is about.

    Attributes
    ----------
    alarm_id, alarm, opened_time
        As in :class:`Alarm`.
    """

    alarm_id: str
    alarm: str
    opened_time: datetime


@dataclass(frozen=True)
class SensorHealth:
    """How one sensor is doing, and the work done for it since the daemon started.

    Attributes
    ----------
    state
        What it hears.
    level_db
        Level of the last window relative to full scale; None for digital silence, lost audio, and before the first.
    level, level_unit
        The same as root mean square in the unit of what the sensor measures, and that unit: ``Pa``, ``m/s²``, ``m/s``
        or ``V``; None where it does not tell.
    floor_db
        Noise floor relative to full scale: what a few of the windows of the last ten minutes do not exceed; None where
        they had no level.
    windows_scored, windows_skipped
        Windows scored, and windows left out because audio was lost or can't be that of a pipe or is not.
    windows_vetoed
        Those of the latter whose sound was in the air, by the reference channel.
    gaps
        Times that samples were lost.
    samples_lost
        How many.
    overflows
        Times that the driver said that it had discarded samples.
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
    device
        How the device behind it is doing; None where it cannot tell.
    alarms
        What that device reports and has not ended.
    resting
        Whether it is not meant to listen now: a logger whose recordings were all heard.
    """

    state: SensorState
    level_db: float | None
    level: float | None
    level_unit: str | None
    floor_db: float | None
    windows_scored: int
    windows_skipped: int
    windows_vetoed: int
    gaps: int
    samples_lost: int
    overflows: int
    drift_ppm: float | None
    score_p50_ms: float | None
    score_p95_ms: float | None
    condition: SensorCondition
    ailment: str
    evidence: EvidenceHealth | None
    device: DeviceHealth | None
    alarms: Sequence[OpenAlarm] = ()
    resting: bool = False


@dataclass(frozen=True)
class ShadowHealth:
    """How far a model has come that hears beside the one at work.

    Attributes
    ----------
    windows, of
        Windows compared, of all sensors, and how many there must be.
    agreement
        Share of them of which both models say the same: over the raise level, or not; None before any.
    """

    windows: int
    of: int
    agreement: float | None


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
        Messages dropped over the outbox's size cap or for their age, by kind.
    refused
        Messages that the broker refused since the daemon started.
    disk_free_bytes
        Free space for the unit's state; None where the disk does not tell.
    cpu_temperature_c
        Temperature of the hottest part that the kernel knows; None where it tells none.
    clock_error_s
        The most that the kernel holds its clock to be off; None while the clock is not synchronised.
    model
        Name of the model bundle in force.
    shadow
        The model that hears beside it, before it may take over; None where none does.
    sensors
        Health of each sensor, by identifier.
    """

    kind: ClassVar = "health"
    uptime_s: float
    rss_bytes: int
    queue_depth: int
    drops: Mapping[str, int]
    refused: int
    disk_free_bytes: int | None
    cpu_temperature_c: float | None
    clock_error_s: float | None
    model: str
    shadow: ShadowHealth | None
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
    level, level_unit
        As in :class:`SensorHealth`.
    heard_time
        When what this tells of was heard, with a time zone; of what a logger recorded, hours before it is said.
    position_s
        Place of the last window's end in the stream.
    windows_scored, windows_skipped
        As in :class:`SensorHealth`.
    event_id
        The open event, None when there is none.
    muted_s
        For how long no leak will be called; None if one may be.
    """

    kind: ClassVar = "state"
    sensor: str
    state: SensorState
    score_decades: float | None
    level_db: float | None
    level: float | None
    level_unit: str | None
    heard_time: datetime
    position_s: float
    windows_scored: int
    windows_skipped: int
    event_id: str | None
    muted_s: float | None


@dataclass(frozen=True)
class Event:
    """One step of an event: it opens, changes, or closes.

    Attributes
    ----------
    event_id
        The same from open to close.
    opened_time
        When it opened, with a time zone.
    heard_time
        As in :class:`State`.
    position_s
        Place in the stream of the window that made this step.
    score_decades, level_db, level, level_unit
        As in :class:`State`.
    raise_decades, false_alarms_per_month
        The raise level the score was held against, and the budget of false alarms of a sensor.
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
    heard_time: datetime
    position_s: float
    score_decades: float
    horizon_decades: float | None
    level_db: float | None
    level: float | None
    level_unit: str | None
    raise_decades: float
    false_alarms_per_month: float
    reason: str
    evidence: Mapping[str, Any] | None


@dataclass(frozen=True)
class AlarmDevice:
    """The device that an alarm is from.

    Attributes
    ----------
    model, uid
        What it calls itself, and its number in hexadecimal; empty where it does not tell, or has not told yet.
    """

    model: str = ""
    uid: str = ""


@dataclass(frozen=True)
class Alarm:
    """An alarm of the device behind a sensor opens or closes.

    Attributes
    ----------
    alarm_id
        The same from open to close.
    sensor
        The sensor it is about; the first of a device with several where it is about the device.
    alarm
        ``tamper``, ``water-ingress``, ``low-battery``, or a number in hexadecimal: the maker's own.
    opened_time
        When it began by the clock of the device, with a time zone.
    closed_time
        When it ended, likewise; None while it is open, and where nobody knows.
    battery_v
        Voltage of a battery that is low, when that began; None for all else.
    device
        Whom to look after.
    reason
        Why it opens or closes, in plain words.
    """

    kind: ClassVar = "alarm"
    alarm_id: str
    sensor: str
    alarm: str
    phase: AlarmPhase
    opened_time: datetime
    closed_time: datetime | None
    battery_v: float | None
    device: AlarmDevice
    reason: str


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


@dataclass(frozen=True)
class Calibration:
    """How the calibration of a sensor stands, or how the last one ended.

    Attributes
    ----------
    phase
        Whether one is under way, was ended, or what came of it.
    share
        How much of it is done, 0 to 1.
    heard_s
        Length of the audio heard.
    left
        What is still to be heard, in words.
    left_out
        Windows that a unit would not score and that were not learned from, by why, in a word.
    reason
        Why it ended so, in plain words; empty while it is under way.
    """

    kind: ClassVar = "calibration"
    sensor: str
    phase: CalibrationPhase
    share: float
    heard_s: float
    left: str
    left_out: Mapping[str, int]
    reason: str


@dataclass(frozen=True)
class Model:
    """What became of an installed bundle, the last time that anything did.

    Attributes
    ----------
    step
        What became of it: it was installed, is scored beside the model at work, has stood that, or was withdrawn before
        it ran; runs on probation, was confirmed, or was left behind after it ran.
    name, sha256, release
        Which bundle; the release is None where no signature was asked for.
    reason
        Why it was withdrawn or left behind, in plain words; empty otherwise.
    changed_time
        When that was, with a time zone.
    shadow
        How it compared with the model at work, by sensor: see :class:`hydroear.decide.comparison.Compared`.
    """

    kind: ClassVar = "model"
    step: ModelStep
    name: str
    sha256: str
    release: int | None
    reason: str
    changed_time: datetime
    shadow: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """What became of a request.

    Attributes
    ----------
    request_id, verb
        The request.
    outcome
        Whether it was done, or not even tried, or went wrong.
    error
        Why, in plain words; empty when it was done.
    values
        What was asked for.
    """

    kind: ClassVar = "reply"
    request_id: str
    verb: str
    outcome: Outcome
    error: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Clip:
    """One piece of the sound of an event.

    Attributes
    ----------
    event_id, sensor
        Of what it is.
    file
        Name of the file, which tells its format.
    size_bytes, sha256
        Of the whole file.
    piece, pieces
        Which piece, from 0, of how many. All but the last are equally long.
    data
        The bytes, in base64.
    """

    kind: ClassVar = "clip"
    event_id: str
    sensor: str
    file: str
    size_bytes: int
    sha256: str
    piece: int
    pieces: int
    data: str


Body = Status | Birth | Health | State | Event | Alarm | SelfTest | Night | Calibration | Model | Reply | Clip


def encode(body: Body, stamp: Stamp) -> bytes:
    """One payload: the schema's name, that it is news, the stamp, then the body, as UTF-8 JSON.

    Raises
    ------
    ValueError
        A time without a zone, or a number that JSON cannot say (NaN, infinity).
    """
    content = {"schema": f"hydroear/{body.kind}/1", "historical": False, **asdict(stamp), **asdict(body)}
    return json.dumps(content, allow_nan=False, ensure_ascii=False, default=_utc, separators=(",", ":")).encode()


def as_historical(payload: bytes) -> bytes:
    """A payload of :func:`encode` that is no news any more; any other is left as it is."""
    return _NEWS.sub(rb"\1true", payload)


def _utc(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} has no place in a payload")
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
