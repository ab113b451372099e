"""What is known of every unit, from what it said: pure, so that a screen, a script and a page show the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypeVar

from hydroear.config.schema import Publish
from hydroear.room import said
from hydroear.room.alarm import Alarms, AlarmView
from hydroear.room.said import Said, UnreadableError, address, clean, read

STALE_AFTER = 3.0
"""How many healths in a row a unit may owe before it is held to be gone. A choice."""
HEALTH_EVERY_S = Publish().health_every_s
"""How often a unit tells its health, until it has shown another rhythm."""
MAX_HEALTH_EVERY_S = 86400.0
"""The longest that a unit can be told to wait between two."""
MIN_STALE_S = 60.0
"""However often a unit tells its health: networks pause."""
CLOSED_KEPT = 20
"""Events of a unit that are over and still shown."""
TOPICS_KEPT = EVENTS_KEPT = 256
"""Of one unit: more than any has, so that a broken one cannot fill the memory."""
STEPS_KEPT = 50
"""Steps of an event that are kept beside the first."""
UNREADABLE_KEPT = 20
"""Topics of a unit of which it is kept why they cannot be read."""
STRANGE = ""
"""In the place of a unit's name: what came on topics of no unit."""

AnySaid = TypeVar("AnySaid", bound=Said)


class Severity(StrEnum):
    """How soon somebody has to look, the worst first.

    ``leak`` is one that nobody has taken on. ``alarm`` is one of the device behind a sensor: it was opened, is wet or
    loses its power. ``deaf`` hears nothing, or nobody hears of it: quiet or not, nobody knows. ``unwell`` hears, with
    something wrong.
    """

    LEAK = "leak"
    ALARM = "alarm"
    DEAF = "deaf"
    WARNING = "warning"
    UNWELL = "unwell"
    ACKNOWLEDGED = "acknowledged"
    NOISY = "noisy"
    LEARNING = "learning"
    QUIET = "quiet"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]

    @property
    def needs_somebody(self) -> bool:
        """Whether a person has to do something: a warning becomes a leak or passes by itself."""
        return self in (Severity.LEAK, Severity.ALARM, Severity.DEAF, Severity.UNWELL)


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_OF_STATE = {
    "leak": Severity.LEAK,
    "fault": Severity.DEAF,
    "warning": Severity.WARNING,
    "acknowledged": Severity.ACKNOWLEDGED,
    "noisy": Severity.NOISY,
    "learning": Severity.LEARNING,
    "quiet": Severity.QUIET,
}
_OF_EVENT = ("leak", "acknowledged")
_EPOCH, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """One step of an event.

    Attributes
    ----------
    seq
        Its number within the event.
    time
        When it was said, by the unit's clock.
    phase, state, score_decades, level_db, reason
        As in :class:`hydroear.mqtt.payloads.Event`.
    """

    seq: int
    time: datetime
    phase: str
    state: str
    score_decades: float | None
    level_db: float | None
    reason: str


@dataclass(frozen=True)
class EventView:
    """One event, from open to close.

    Attributes
    ----------
    unit, sensor, event_id
        Whose it is.
    state
        ``leak``, ``acknowledged``, or ``quiet`` once it is over.
    opened_time
        When it opened, by the unit's clock; None while it is known from the sensor's state alone.
    low_hz, high_hz
        The band that rose most; None where the unit did not say.
    sentences
        Why it was raised, in plain words.
    steps
        What was said of it, in order.
    """

    unit: str
    sensor: str
    event_id: str
    state: str
    opened_time: datetime | None
    low_hz: float | None
    high_hz: float | None
    sentences: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class SensorView:
    """One sensor.

    Attributes
    ----------
    sensor
        Its identifier.
    severity
        How soon somebody has to look.
    state
        What it hears; None while it has not said.
    troubles
        What is wrong with it or with its unit, in plain words, the worst first.
    score_decades, level_db, heard_time, muted_s
        As in :class:`hydroear.mqtt.payloads.State`.
    event_id
        The open event; None when none is open.
    """

    sensor: str
    severity: Severity
    state: str | None
    troubles: tuple[str, ...]
    score_decades: float | None
    level_db: float | None
    heard_time: datetime | None
    muted_s: float | None
    event_id: str | None


@dataclass(frozen=True)
class UnitView:
    """One unit.

    Attributes
    ----------
    unit
        Its name.
    severity
        The worst of its own and its sensors'.
    online
        What its status says; None where it has none.
    heard_time
        When it was last heard of; None if it never was.
    troubles
        What is wrong with the unit itself, in plain words, the worst first.
    sensors
        The worst first.
    events
        Those that are open, and the last that are over; the latest first.
    alarms
        Of its sensors' devices, likewise.
    model, version
        Of its bundle and of its program; empty while it has not said.
    unreadable
        How many of its messages could not be understood.
    """

    unit: str
    severity: Severity
    online: bool | None
    heard_time: datetime | None
    troubles: tuple[str, ...]
    sensors: tuple[SensorView, ...]
    events: tuple[EventView, ...]
    alarms: tuple[AlarmView, ...]
    model: str
    version: str
    unreadable: int


@dataclass(frozen=True)
class Change:
    """Something new.

    Attributes
    ----------
    kind
        ``alarm``: an event that was not known, told once; ``event``: another step of one; ``device-alarm``: an alarm of
        a device that was not known, or another step of one; ``unit``: how soon somebody has to look, what is wrong or
        what a sensor hears; ``unreadable``: a message that cannot be understood.
    unit
        Whom it is about; empty for a message on no unit's topic.
    about
        What it is now: an :class:`EventView`, an :class:`AlarmView` or a :class:`UnitView` as :func:`as_json` makes it,
        or ``topic`` and ``why``.
    """

    kind: Literal["alarm", "event", "device-alarm", "unit", "unreadable"]
    unit: str
    about: dict[str, Any]


@dataclass(frozen=True)
class _Heard:
    """Something that was said, and when that came: now, or as long ago as a trusted clock says."""

    said: Said
    time: datetime


@dataclass
class _Event:
    sensor: str
    opened_time: datetime | None = None
    evidence: said.Evidence | None = None
    steps: dict[int, Step] = field(default_factory=dict)

    @property
    def last(self) -> Step | None:
        return self.steps[max(self.steps)] if self.steps else None

    def add(self, event: said.Event) -> bool:
        """Take a step; False for one that was there."""
        if event.seq in self.steps:
            return False
        self.sensor, self.opened_time = event.sensor, event.opened_time
        self.evidence = event.evidence or self.evidence
        self.steps[event.seq] = Step(
            event.seq, event.time, event.phase, event.state, event.score_decades, event.level_db, event.reason
        )
        for seq in sorted(self.steps)[1:-STEPS_KEPT]:
            del self.steps[seq]
        return True


@dataclass
class _Unit:
    """What one unit said: of each topic the latest, of health the two latest."""

    name: str
    latest: dict[str, _Heard] = field(default_factory=dict)
    health_before: _Heard | None = None
    events: dict[str, _Event] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)
    forgotten: set[str] = field(default_factory=set)
    unreadable: Counter[str] = field(default_factory=Counter)
    unread: dict[str, str] = field(default_factory=dict)

    def last(self, kind: type[AnySaid], topic: str) -> AnySaid | None:
        """What was said last on a topic, as it begins after the unit's name."""
        heard = self.latest.get(topic)
        return heard.said if heard is not None and isinstance(heard.said, kind) else None

    @property
    def alarm_views(self) -> list[AlarmView]:
        """The alarms of its devices, the latest first."""
        return self.alarms.views(self.name, self.last(said.Health, "health"))

    @property
    def states(self) -> Iterator[said.State]:
        """The latest state of each sensor."""
        return (heard.said for heard in self.latest.values() if isinstance(heard.said, said.State))


class Ledger:
    """Takes messages, in the order in which they came, and tells what is known.

    MQTT delivers at least once: what comes twice changes nothing. An event is known by its id and its steps by their
    numbers, whatever order they come in. Of all else the latest counts: what a unit says again after an outage is
    marked as historical, and does not take the place of something newer. What cannot be understood is counted and
    told.
    """

    def __init__(self) -> None:
        self._units: dict[str, _Unit] = {}
        self._strange: Counter[str] = Counter()
        self._told: dict[str, object] = {}

    def take(self, topic: str, payload: bytes, *, retained: bool, now: datetime) -> list[Change]:
        """Take a message.

        Parameters
        ----------
        topic, payload
            As they came.
        retained
            Whether the broker had kept it.
        now
            When it came, with a time zone.

        Returns
        -------
        list
            What is new.
        """
        try:
            about = address(topic)
        except UnreadableError as error:
            self._strange[clean(topic)[:120] if len(self._strange) < UNREADABLE_KEPT else "others"] += 1
            return [_unreadable(STRANGE, topic, str(error))]
        if about is None or about.kind in ("reply", "clip"):
            return []
        place = topic.split("/", 3)[3]
        if not payload:  # somebody has cleared what was retained, as for a unit that is gone for good
            self._clear(about.unit, place)
            return self._news(about.unit, now)
        unit = self._units.setdefault(about.unit, _Unit(about.unit))
        try:
            message = read(about, payload)
        except UnreadableError as error:
            unit.unreadable[about.kind] += 1
            if place in unit.unread or len(unit.unread) < UNREADABLE_KEPT:
                unit.unread[place] = str(error)
            return [_unreadable(about.unit, topic, str(error)), *self._news(about.unit, now)]
        if isinstance(message, said.Event):
            unit.unread.pop(place, None)
            changes = self._take_event(unit, message)
        elif isinstance(message, said.Alarm):
            unit.unread.pop(place, None)
            changes = self._take_alarm(unit, message)
        else:
            changes = self._take_latest(unit, place, _Heard(message, _when(message, retained=retained, now=now)))
        self._forget(unit)
        return changes + self._news(about.unit, now)

    def tick(self, now: datetime) -> list[Change]:
        """What has become new by nothing but time: units that went silent."""
        return [change for name in list(self._units) for change in self._news(name, now)]

    def units(self, now: datetime) -> list[UnitView]:
        """All units, the worst first."""
        views = [self._view(unit, now) for unit in self._units.values()]
        return sorted(views, key=lambda view: (view.severity.rank, view.unit))

    def unit(self, name: str, now: datetime) -> UnitView | None:
        """One unit; None if nothing is known of it."""
        unit = self._units.get(name)
        return None if unit is None else self._view(unit, now)

    @property
    def strange(self) -> int:
        """How many messages came on topics of no unit."""
        return self._strange.total()

    def snapshot(self, now: datetime) -> dict[str, Any]:
        """All that is known, as JSON can say it."""
        return {"kind": "snapshot", "time": as_json(now), "strange": self.strange, "units": as_json(self.units(now))}

    def _take_event(self, unit: _Unit, message: said.Event) -> list[Change]:
        if message.event_id in unit.forgotten:
            return []
        known = message.event_id in unit.events
        event = unit.events.setdefault(message.event_id, _Event(message.sensor))
        if not event.add(message):
            return []
        return [_event_change("event" if known else "alarm", self._event_view(unit, message.event_id))]

    def _take_alarm(self, unit: _Unit, message: said.Alarm) -> list[Change]:
        if not unit.alarms.take(message):
            return []
        return [_alarm_change(view) for view in unit.alarm_views if view.alarm_id == message.alarm_id]

    def _take_latest(self, unit: _Unit, place: str, heard: _Heard) -> list[Change]:
        before = unit.latest.get(place)
        if before is not None and not _supersedes(heard.said, before.said):
            if isinstance(heard.said, said.Health) and heard.said.time < before.said.time:
                _keep_newest(unit, heard)
            return []
        if before is None and len(unit.latest) >= TOPICS_KEPT:
            return []
        unit.unread.pop(place, None)
        if isinstance(heard.said, said.Health):
            return self._take_health(unit, place, heard)
        unit.latest[place] = heard
        state = heard.said
        if not isinstance(state, said.State) or state.event_id is None:
            return []
        if state.event_id in unit.events or state.event_id in unit.forgotten:
            return []
        unit.events[state.event_id] = _Event(state.sensor)
        return [_event_change("alarm", self._event_view(unit, state.event_id))]

    def _take_health(self, unit: _Unit, place: str, heard: _Heard) -> list[Change]:
        known = {view.alarm_id for view in unit.alarm_views}
        if (before := unit.latest.get(place)) is not None:
            _keep_newest(unit, before)
        unit.latest[place] = heard
        return [_alarm_change(view) for view in unit.alarm_views if view.alarm_id not in known]

    def _clear(self, name: str, place: str) -> None:
        unit = self._units.get(name)
        if unit is None:
            return
        unit.latest.pop(place, None)
        unit.unread.pop(place, None)
        if not unit.latest and not any(self._is_open(unit, event_id) for event_id in unit.events):
            del self._units[name]
            self._told.pop(name, None)

    def _forget(self, unit: _Unit) -> None:
        if len(unit.events) <= CLOSED_KEPT:
            return
        oldest_first = sorted(unit.events, key=lambda event_id: unit.events[event_id].opened_time or _EPOCH)
        over = [event_id for event_id in oldest_first if not self._is_open(unit, event_id)]
        for event_id in over[:-CLOSED_KEPT] or oldest_first[:-EVENTS_KEPT]:
            del unit.events[event_id]
            unit.forgotten.add(event_id)

    def _news(self, name: str, now: datetime) -> list[Change]:
        """A change of the unit, if there is one beyond the numbers that change all the time."""
        unit = self._units.get(name)
        if unit is None:
            return []
        view = self._view(unit, now)
        sensors = {
            each.sensor: (each.severity, each.state, each.troubles, each.muted_s is None, each.event_id)
            for each in view.sensors
        }
        telling = (view.severity, view.online, view.troubles, sensors)
        if self._told.get(name) == telling:
            return []
        self._told[name] = telling
        return [Change("unit", name, as_json(view))]

    def _view(self, unit: _Unit, now: datetime) -> UnitView:
        status, birth = unit.last(said.Status, "status"), unit.last(said.Birth, "birth")
        deaf, unwell = self._deafness(unit, status, now), _ailments(unit)
        alarms = unit.alarm_views
        sensors = [self._sensor_view(unit, sensor, deaf, alarms) for sensor in _sensors(unit)]
        sensors.sort(key=lambda view: (view.severity.rank, view.sensor))
        own = Severity.DEAF if deaf else Severity.UNWELL if unwell else Severity.QUIET
        events = [self._event_view(unit, event_id) for event_id in unit.events]
        events.sort(key=lambda event: (event.opened_time or _NEVER, event.event_id))
        times = [heard.time for heard in unit.latest.values() if not isinstance(heard.said, said.Status)]
        return UnitView(
            unit=unit.name,
            severity=min([own, *(view.severity for view in sensors)], key=lambda severity: severity.rank),
            online=None if status is None else status.status == "online",
            heard_time=max(times, default=None),
            troubles=(*deaf, *unwell),
            sensors=tuple(sensors),
            events=tuple(reversed(events)),
            alarms=tuple(alarms),
            model=birth.model if birth else "",
            version=birth.versions.get("hydroear", "") if birth else "",
            unreadable=unit.unreadable.total(),
        )

    def _deafness(self, unit: _Unit, status: said.Status | None, now: datetime) -> list[str]:
        """Why nothing can be known of what the unit hears."""
        if status is None:
            return ["it has never said that it is online"]
        if status.status == "offline":
            return ["it is offline"]
        heard = unit.latest.get("health")
        if heard is None:
            since = unit.latest["status"].time
            return [f"it is online since {_minute(since)}, and silent"] if now - since > _patience(None) else []
        assert isinstance(heard.said, said.Health)
        if now - heard.time > _patience(heard.said):
            return [f"it is silent since {_minute(heard.time)}, though it has not said goodbye"]
        return []

    def _sensor_view(self, unit: _Unit, sensor: str, unit_deaf: list[str], alarms: Sequence[AlarmView]) -> SensorView:
        state = unit.last(said.State, f"sensor/{sensor}/state")
        event_id = self._open_event(unit, sensor)
        name: str | None = None if state is None else state.state
        told_of = event_id or (state.event_id if state else None)
        if told_of in unit.events and (step := unit.events[told_of].last) and (not state or step.time >= state.time):
            name = step.state
        deaf, unwell = _sensor_troubles(unit, sensor)
        if name is None and not unit_deaf:
            deaf.append("it has not said what it hears")
        elif name == "fault" and not deaf:
            deaf.append("it hears nothing")
        worst = [_OF_STATE[name]] if name else []
        if event_id is not None and self._event_state(unit, event_id) == "leak":
            worst.append(Severity.LEAK)  # also if the sensor has failed since
        raised = [alarm.words for alarm in alarms if alarm.open and sensor in alarm.sensors]
        worst += [Severity.ALARM] if raised else []
        worst += [Severity.DEAF] if deaf or unit_deaf else []
        worst += [Severity.UNWELL] if unwell else []
        return SensorView(
            sensor=sensor,
            severity=min(worst, key=lambda severity: severity.rank),
            state=name,
            troubles=(*raised, *unit_deaf, *deaf, *unwell),
            score_decades=None if state is None else state.score_decades,
            level_db=None if state is None else state.level_db,
            heard_time=None if state is None else state.heard_time,
            muted_s=None if state is None else state.muted_s,
            event_id=event_id,
        )

    def _open_event(self, unit: _Unit, sensor: str) -> str | None:
        """The open event of a sensor, the latest if there are several."""
        mine = (event_id for event_id, event in unit.events.items() if event.sensor == sensor)
        return max(
            (event_id for event_id in mine if self._is_open(unit, event_id)),
            key=lambda event_id: (unit.events[event_id].opened_time or _NEVER, event_id),
            default=None,
        )

    def _is_open(self, unit: _Unit, event_id: str) -> bool:
        """Whether an event is not over: it was not closed, and the sensor has said nothing else since."""
        event = unit.events[event_id]
        if any(step.phase == "close" for step in event.steps.values()):
            return False
        state = unit.last(said.State, f"sensor/{event.sensor}/state")
        if state is None or state.event_id == event_id:
            return True
        return event.last is not None and event.last.time > state.time

    def _event_state(self, unit: _Unit, event_id: str) -> str:
        """What the latest word says of an event: its own, or the state of its sensor."""
        event = unit.events[event_id]
        if not self._is_open(unit, event_id):
            return "quiet"
        state = unit.last(said.State, f"sensor/{event.sensor}/state")
        if event.last is not None and (state is None or event.last.time >= state.time or state.state not in _OF_EVENT):
            return event.last.state
        return "acknowledged" if state is not None and state.state == "acknowledged" else "leak"

    def _event_view(self, unit: _Unit, event_id: str) -> EventView:
        event = unit.events[event_id]
        evidence = event.evidence or said.Evidence()
        return EventView(
            unit=unit.name,
            sensor=event.sensor,
            event_id=event_id,
            state=self._event_state(unit, event_id),
            opened_time=event.opened_time,
            low_hz=evidence.low_hz,
            high_hz=evidence.high_hz,
            sentences=evidence.sentences,
            steps=tuple(event.steps[seq] for seq in sorted(event.steps)),
        )


def as_json(value: Any) -> Any:
    """Views as JSON can say them."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case EventView() | AlarmView() | UnitView():
            return as_json(asdict(value))
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [as_json(item) for item in value]
    return value


def _event_change(kind: Literal["alarm", "event"], event: EventView) -> Change:
    return Change(kind, event.unit, as_json(event))


def _alarm_change(alarm: AlarmView) -> Change:
    return Change("device-alarm", alarm.unit, as_json(alarm))


def _unreadable(unit: str, topic: str, why: str) -> Change:
    return Change("unreadable", unit, {"topic": clean(topic)[:200], "why": why})


def _when(message: Said, *, retained: bool, now: datetime) -> datetime:
    """When something came to be known: what was kept may be old, and says so if the unit's clock is right."""
    if (retained or message.historical) and message.clock != "unsynchronised":
        return min(now, message.time)
    return now


def _supersedes(new: Said, old: Said) -> bool:
    """Whether something said takes the place of something else, on the same topic.

    A broker keeps the order of what a unit says, so that news is always newer than what came before it, whatever a
    clock says that was set; unless both number and time say that it is a repetition. A status has no number, and its
    last will is as old as the connection: there only the order counts.
    """
    if isinstance(new, said.Status):
        return True
    if new.historical or (new.boot_id == old.boot_id and new.seq <= old.seq):
        return new.time > old.time
    return True


def _keep_newest(unit: _Unit, heard: _Heard) -> None:
    """Keep a health that is not the latest, if it is the last but one."""
    if unit.health_before is None or heard.said.time > unit.health_before.said.time:
        unit.health_before = heard


def _patience(health: said.Health | None) -> timedelta:
    """How long a unit may be silent: by how many healths it has told since it started, if that is known."""
    every_s = health.uptime_s / health.seq if health is not None and health.seq else HEALTH_EVERY_S
    return timedelta(seconds=max(MIN_STALE_S, STALE_AFTER * min(every_s, MAX_HEALTH_EVERY_S)))


def _sensors(unit: _Unit) -> list[str]:
    """The sensors that a unit has now: those of its birth and its health, and those that spoke since."""
    birth, health = unit.last(said.Birth, "birth"), unit.last(said.Health, "health")
    found = {sensor.id for sensor in birth.sensors} if birth else set()
    found |= set(health.sensors) if health and not (birth and health.time < birth.time) else set()
    found |= {state.sensor for state in unit.states if not birth or not birth.sensors or state.time >= birth.time}
    if not birth or not birth.sensors:
        found |= {event.sensor for event in unit.events.values()}
        found |= {sensor for alarm in unit.alarm_views for sensor in alarm.sensors}
    return sorted(found)


def _sensor_troubles(unit: _Unit, sensor: str) -> tuple[list[str], list[str]]:
    """Why a sensor hears nothing, and what else is wrong with it."""
    health = unit.last(said.Health, "health")
    now = health.sensors.get(sensor) if health else None
    if health is None or now is None:
        return [], []
    why = f": {now.ailment}" if now.ailment else ""
    if now.condition == "failed":
        return [f"it hears nothing{why}"], []
    before = unit.health_before.said if unit.health_before else None
    if isinstance(before, said.Health) and before.boot_id == health.boot_id and before.uptime_s < health.uptime_s:
        then = before.sensors.get(sensor)
        counts = (now.windows_scored, now.windows_skipped)
        if not now.resting and then is not None and (then.windows_scored, then.windows_skipped) == counts:
            return [f"it has heard nothing for {_duration(health.uptime_s - before.uptime_s)}{why}"], []
    if now.condition == "recovering":
        return [], [f"it hears nothing at the moment{why}"]
    return [], [f"it hears, but{why}"] if now.condition == "degraded" else []


def _ailments(unit: _Unit) -> list[str]:
    """What is wrong with a unit that hears."""
    troubles = [f"what it says on {place} cannot be understood: {why}" for place, why in unit.unread.items()]
    health, selftest = unit.last(said.Health, "health"), unit.last(said.SelfTest, "selftest")
    before = unit.health_before.said if unit.health_before else None
    if health is not None and isinstance(before, said.Health):  # a unit counts them for good
        dropped = health.drops.get("event", 0) - before.drops.get("event", 0)
        troubles += [f"{dropped} of its messages about events were dropped lately"] if dropped > 0 else []
    if health is not None and health.refused:
        troubles.append(f"the broker refused {health.refused} of its messages")
    if selftest is not None:
        failed = (stage for stage in selftest.stages if stage.result == "fail")
        troubles += [f"self-test, {stage.stage}: {stage.measured}; {stage.fix}".rstrip("; ") for stage in failed]
    model = unit.last(said.Model, "model")
    if model is not None and model.step in ("withdrawn", "rolled-back"):
        troubles.append(f"the model {model.name} was {model.step.replace('-', ' ')}: {model.reason}")
    return troubles


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _duration(seconds: float) -> str:
    """A length of time as people say it, coarse."""
    for unit_s, word in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2.0 * unit_s:
            return f"{seconds // unit_s:.0f} {word}"
    return f"{seconds:.0f} seconds"
