"""What came on a topic, checked before anything believes it: a message as the control room reads it.

Of each payload only what the room uses is read. Fields that are not known here are ignored, and those that an older
unit may not say have a default, so that units of several ages get on with one room.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from hydroear.config.schema import NAME_PATTERN
from hydroear.mqtt import payloads, topics

MAX_BYTES = 2**20
"""The longest payload that is read at all."""
EVENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$"

_ROOT = f"{topics.ROOT}/"
_SCHEMA = re.compile(r"\Ahydroear/([a-z-]{1,40})/([0-9]{1,9})\Z")
# What moves the cursor, turns the reading direction round or breaks a line has no place in what people read.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time beyond the calendar") from None


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
EventId = Annotated[str, Field(pattern=EVENT_PATTERN)]
AlarmName = Annotated[str, Field(min_length=1, max_length=40)]
Count = Annotated[int, Field(ge=0, le=2**63)]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class UnreadableError(Exception):
    """A message that cannot be understood, and why."""


class Said(BaseModel):
    """Who said it and when, as :class:`hydroear.mqtt.payloads.Stamp`."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    unit: Name
    time: Time
    clock: str = "unknown"
    boot_id: str
    seq: Count
    historical: bool = False


class Status(Said):
    """Whether the unit is online."""

    status: payloads.Availability


class SensorBirth(BaseModel):
    """What one sensor is."""

    id: Name
    calibrated: bool = True


class Birth(Said):
    """What the unit is made of."""

    versions: dict[str, str] = {}
    model: str = ""
    sensors: tuple[SensorBirth, ...] = ()


class OpenAlarm(BaseModel):
    """An alarm that a unit knows to be open."""

    alarm_id: EventId
    alarm: AlarmName
    opened_time: Time


class SensorHealth(BaseModel):
    """How one sensor is doing."""

    windows_scored: Count = 0
    windows_skipped: Count = 0
    condition: payloads.SensorCondition
    ailment: str = ""
    alarms: tuple[OpenAlarm, ...] = ()
    resting: bool = False


class Health(Said):
    """How the unit is doing."""

    uptime_s: Annotated[float, Field(ge=0, le=1e9)]
    queue_depth: Count = 0
    drops: dict[str, Count] = {}
    refused: Count = 0
    sensors: dict[Name, SensorHealth] = {}


class State(Said):
    """What one sensor hears."""

    sensor: Name
    state: payloads.SensorState
    score_decades: Number | None = None
    level_db: Number | None = None
    heard_time: Time | None = None
    event_id: EventId | None = None
    muted_s: Number | None = None


class Evidence(BaseModel):
    """Why an event was raised; band and line where there are any."""

    low_hz: Number | None = None
    high_hz: Number | None = None
    sentences: tuple[str, ...] = ()


class Event(Said):
    """One step of an event."""

    event_id: EventId
    sensor: Name
    phase: payloads.Phase
    state: payloads.EventState
    opened_time: Time
    score_decades: Number | None = None
    level_db: Number | None = None
    reason: str = ""
    evidence: Evidence | None = None


class AlarmDevice(BaseModel):
    """Whom to look after."""

    model: str = ""
    uid: str = ""


class Alarm(Said):
    """An alarm of the device behind a sensor opens or closes."""

    alarm_id: EventId
    sensor: Name
    alarm: AlarmName
    phase: payloads.AlarmPhase
    opened_time: Time
    closed_time: Time | None = None
    battery_v: Number | None = None
    device: AlarmDevice = AlarmDevice()
    reason: str = ""


class Stage(BaseModel):
    """What one stage of a self-test found."""

    stage: str
    result: payloads.StageResult
    measured: str = ""
    fix: str = ""


class SelfTest(Said):
    """What the unit found when it examined itself."""

    result: Literal["pass", "warn", "fail"]
    stages: tuple[Stage, ...] = ()


class Model(Said):
    """What became of an installed bundle, the last time that anything did."""

    step: payloads.ModelStep
    name: str
    reason: str = ""


class Reply(Said):
    """What became of a request."""

    request_id: Name
    verb: str
    outcome: payloads.Outcome
    error: str = ""
    values: dict[str, Any] = {}


class Clip(Said):
    """One piece of the sound of an event."""

    event_id: EventId
    file: str
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    piece: Count
    pieces: Annotated[int, Field(ge=1)]
    data: Base64Bytes


FORMS: Mapping[str, type[Said]] = {
    "status": Status,
    "birth": Birth,
    "health": Health,
    "state": State,
    "event": Event,
    "alarm": Alarm,
    "selftest": SelfTest,
    "model": Model,
    "reply": Reply,
    "clip": Clip,
}
VERSION = 1
"""Of the payloads that are understood."""


@dataclass(frozen=True)
class Address:
    """What a topic is about.

    Attributes
    ----------
    unit, kind
        Who speaks, and of what: a key of :data:`FORMS`.
    subject
        Which sensor, event, alarm or request; empty where the unit itself is meant.
    """

    unit: str
    kind: str
    subject: str


def address(topic: str) -> Address | None:
    """What a topic is about; None for one that the room does not read.

    Raises
    ------
    UnreadableError
        If it is none of a unit.
    """
    unit, _, rest = topic.removeprefix(_ROOT).partition("/")
    if not topic.startswith(_ROOT) or not re.fullmatch(NAME_PATTERN, unit):
        raise UnreadableError("not a topic of a unit")
    match rest.split("/"):
        case ["status" | "birth" | "health" | "selftest" | "model" as kind]:
            return Address(unit, kind, "")
        case ["sensor", sensor, "state"] if re.fullmatch(NAME_PATTERN, sensor):
            return Address(unit, "state", sensor)
        case ["event" | "alarm" | "clip" as kind, event_id] if re.fullmatch(EVENT_PATTERN, event_id):
            return Address(unit, kind, event_id)
        case ["reply", request_id] if re.fullmatch(NAME_PATTERN, request_id):
            return Address(unit, "reply", request_id)
        case ["sensor", _, "state"] | ["event" | "alarm" | "clip" | "reply", _]:
            raise UnreadableError("a name that none can have")
    return None


def read(about: Address, payload: bytes) -> Said:
    """What was said.

    Raises
    ------
    UnreadableError
        If it is no JSON, of another kind or version, lacks something, or speaks of somebody else.
    """
    if len(payload) > MAX_BYTES:
        raise UnreadableError(f"{len(payload)} bytes, which is more than any message has")
    try:
        content = cleaned(from_json(payload, allow_inf_nan=False))
    except ValueError:
        raise UnreadableError("no JSON") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    named = _SCHEMA.match(schema) if isinstance(schema, str) else None
    if named is None:
        raise UnreadableError("no message of a unit: it names no schema")
    if named[1] != about.kind:
        raise UnreadableError(f"{named[1]} where {about.kind} belongs")
    if int(named[2]) != VERSION:
        raise UnreadableError(
            f"version {int(named[2])} of {about.kind}, of which this program knows {VERSION}: update it"
        )
    try:
        said = FORMS[about.kind].model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))[:80]
        raise UnreadableError(f"{place}: {clean(problem['msg'])[:120]}") from None
    if said.unit != about.unit or about.subject not in ("", _subject(said)):
        raise UnreadableError("it speaks of another unit, sensor, event or alarm than its topic")
    return said


def _subject(said: Said) -> str:
    match said:
        case State():
            return said.sensor
        case Event() | Clip():
            return said.event_id
        case Alarm():
            return said.alarm_id
        case Reply():
            return said.request_id
    return ""


def clean(text: str) -> str:
    """Text from the network as a terminal may show it: without control characters, in one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNPRINTABLE else c for c in text)


def cleaned(value: Any) -> Any:
    """A JSON value in which every text is :func:`clean`."""
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {clean(key): cleaned(item) for key, item in value.items()}
        case Sequence():
            return [cleaned(item) for item in value]
    return value
