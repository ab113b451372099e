"""What is known of units follows from what they said, however often, in whatever order and amid whatever garbage."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.payloads import (
    Alarm,
    AlarmDevice,
    Body,
    Event,
    Health,
    OpenAlarm,
    SelfTest,
    SensorBirth,
    SensorHealth,
    Stamp,
    State,
    Status,
)
from hydroear.room.alarm import OVER_KEPT
from hydroear.room.ledger import CLOSED_KEPT, Change, Ledger, SensorView, Severity, UnitView
from hydroear.room.said import clean
from hydroear.room.table import table

START = datetime(2025, 3, 1, 2, 0, tzinfo=UTC)
UNIT, SENSOR = "high-street", "hydrant-7"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Street:
    """A unit as the ledger hears it; times are minutes."""

    def __init__(self, unit: str = UNIT) -> None:
        self.unit, self.ledger, self.boot_id = unit, Ledger(), "first"

    def message(self, body: Body, minutes: float = 0.0, seq: int = 0, clock: Any = "synchronised") -> tuple[str, bytes]:
        stamp = Stamp(self.unit, at(minutes), clock, self.boot_id, seq, None)
        return self.topic(body), payloads.encode(body, stamp)

    def topic(self, body: Body) -> str:
        match body:
            case Event():
                return topics.event(self.unit, body.event_id)
            case Alarm():
                return topics.alarm(self.unit, body.alarm_id)
            case State():
                return topics.state(self.unit, body.sensor)
        return f"{topics.ROOT}/{self.unit}/{body.kind}"

    def take(
        self, topic: str, payload: bytes, minutes: float = 0.0, *, historical: bool = False, retained: bool = False
    ) -> list[Change]:
        payload = payloads.as_historical(payload) if historical else payload
        return self.ledger.take(topic, payload, retained=retained, now=at(minutes))

    def say(self, body: Body, minutes: float = 0.0, seq: int = 0, **how: Any) -> list[Change]:
        return self.take(*self.message(body, minutes, seq), minutes, **how)

    def view(self, minutes: float = 0.0) -> UnitView:
        view = self.ledger.unit(self.unit, at(minutes))
        assert view is not None
        return view

    def sensor(self, minutes: float = 0.0) -> SensorView:
        return self.view(minutes).sensors[0]


def birth(*sensors: str) -> payloads.Birth:
    made = [SensorBirth(sensor, "microphone", "port:1-1", 16000, (1,), calibrated=True) for sensor in sensors]
    return payloads.Birth({"hydroear": "0.1.0"}, "litert", "cast-iron", made, ["ping"], None)


def health(
    scored: int, *, uptime_s: float, condition: Any = "healthy", ailment: str = "", alarms: Any = (), **changes: Any
) -> Health:
    sensor = SensorHealth(
        "quiet", -40.0, None, None, -44.0, scored, 0, 0, 0, 0, 0, None, None, None, condition, ailment, None, None,
        alarms,
    )  # fmt: skip
    whole = Health(uptime_s, 1, 0, {"event": 0}, 0, None, None, None, "cast-iron", None, {SENSOR: sensor})
    return replace(whole, **changes)


def state(name: Any, event_id: str | None = None, *, muted_s: float | None = None) -> State:
    return State(SENSOR, name, 1.0, -40.0, None, None, START, 0.0, 1, 0, event_id, muted_s)


def event(phase: Any, name: Any, event_id: str = "leak-1", *, reason: str = "over the raise level") -> Event:
    evidence = {"low_hz": 400.0, "high_hz": 900.0, "sentences": ["It is broadband."]} if phase == "open" else None
    return Event(
        event_id, SENSOR, phase, name, START, START, 0.0, 4.0, 3.5, -35.0, None, None, 3.0, 0.1, reason, evidence
    )


def alarm(phase: Any, alarm_id: str = "tamper-1", *, reason: str = "its case was opened", **changes: Any) -> Alarm:
    device = AlarmDevice("hydrophone", "00a1b2c3")
    return replace(Alarm(alarm_id, SENSOR, "tamper", phase, START, None, None, device, reason), **changes)


LISTED = OpenAlarm("tamper-1", "tamper", START)


@pytest.fixture
def street() -> Street:
    """A unit that is well."""
    street = Street()
    for body in (Status("online"), birth(SENSOR), health(10, uptime_s=0.0), state("quiet")):
        street.say(body)
    return street


def kinds(changes: list[Change]) -> list[str]:
    return [change.kind for change in changes]


def test_a_unit_that_is_well_needs_nobody(street: Street) -> None:
    view = street.view(1.0)
    assert (view.severity, view.online, view.troubles, view.unreadable) == (Severity.QUIET, True, (), 0)
    assert street.sensor(1.0).troubles == ()
    assert not view.severity.needs_somebody
    assert street.ledger.tick(at(1.0)) == []


def test_a_leak_is_one_alarm_however_often_and_by_whatever_topic_it_is_told(street: Street) -> None:
    told = [
        street.say(event("open", "leak"), 1.0),
        street.say(state("leak", "leak-1"), 1.0, seq=1),
        street.say(event("open", "leak"), 1.0, historical=True),
        street.say(event("update", "leak"), 2.0, seq=1),
        street.say(event("update", "leak"), 2.0, seq=1),
        street.say(state("leak", "leak-1"), 2.0, seq=2, retained=True),
    ]
    assert [kinds(changes).count("alarm") for changes in told] == [1, 0, 0, 0, 0, 0]
    assert [kinds(changes).count("event") for changes in told] == [0, 0, 0, 1, 0, 0]
    assert street.view(2.0).severity is Severity.LEAK
    (leak,) = street.view(2.0).events
    assert (leak.state, leak.low_hz, leak.sentences) == ("leak", 400.0, ("It is broadband.",))
    assert [step.seq for step in leak.steps] == [0, 1]


def test_a_leak_that_opened_before_the_room_listened_is_an_alarm_too() -> None:
    street = Street()
    assert "alarm" in kinds(street.say(state("leak", "leak-1"), 1.0, retained=True))
    assert street.say(state("leak", "leak-1"), 1.0, retained=True) == []
    assert kinds(street.say(event("update", "leak"), 2.0, seq=7)) == ["event"]


def test_an_acknowledged_leak_is_no_alarm_any_more_and_a_closed_one_is_over(street: Street) -> None:
    street.say(event("open", "leak"), 1.0)
    street.say(event("update", "acknowledged", reason="acknowledged by Ada"), 2.0, seq=1)
    assert street.view(2.0).severity is Severity.ACKNOWLEDGED
    street.say(event("close", "quiet"), 3.0, seq=2)
    assert street.view(3.0).severity is Severity.QUIET
    assert street.sensor(3.0).event_id is None
    assert street.view(3.0).events[0].state == "quiet"


def test_a_leak_whose_closing_was_missed_is_over_once_the_sensor_says_something_else(street: Street) -> None:
    street.say(event("open", "leak"), 1.0)
    street.say(state("quiet"), 9.0, seq=5)
    assert street.view(9.0).severity is Severity.QUIET
    assert street.view(9.0).events[0].state == "quiet"


def test_a_logger_that_has_nothing_to_be_heard_is_not_deaf(street: Street) -> None:
    told = health(10, uptime_s=300.0)
    street.say(replace(told, sensors={SENSOR: replace(told.sensors[SENSOR], resting=True)}), 5.0)
    assert street.view(5.0).severity is Severity.QUIET


def test_a_leak_stays_one_when_its_sensor_fails(street: Street) -> None:
    street.say(event("open", "leak"), 1.0)
    street.say(state("fault", "leak-1"), 2.0, seq=5)
    assert street.sensor(2.0).severity is Severity.LEAK
    assert "it hears nothing" in street.sensor(2.0).troubles


@pytest.mark.parametrize(
    ("minutes", "body", "word"),
    [
        (1.0, Status("offline"), "offline"),
        (1.0, state("fault"), "hears nothing"),
        (1.0, health(0, uptime_s=60.0, condition="failed", ailment="unplugged"), "it hears nothing: unplugged"),
        (5.0, health(10, uptime_s=300.0), "it has heard nothing for 5 minutes"),
        (16.0, state("quiet"), "silent since 2025-03-01 02:00 UTC"),
    ],
    ids=["last will", "fault", "failed", "no window between two healths", "no health"],
)
def test_a_unit_that_hears_nothing_is_loud(street: Street, minutes: float, body: Body, word: str) -> None:
    street.say(body, minutes, seq=5)
    assert street.view(minutes).severity is street.sensor(minutes).severity is Severity.DEAF
    assert word in "; ".join(street.sensor(minutes).troubles)


def test_a_unit_that_goes_silent_is_told_once_by_nothing_but_time(street: Street) -> None:
    assert street.ledger.tick(at(14.9)) == []
    (change,) = street.ledger.tick(at(15.1))
    assert (change.kind, change.about["severity"]) == ("unit", "deaf")
    assert street.ledger.tick(at(30.0)) == []
    assert kinds(street.say(health(20, uptime_s=1800.0), 30.0, seq=6)) == ["unit"]
    assert street.view(30.0).severity is Severity.QUIET


def test_a_unit_that_tells_its_health_seldom_may_be_silent_for_longer(street: Street) -> None:
    street.say(health(20, uptime_s=7200.0), 120.0, seq=2)
    assert street.view(295.0).severity is Severity.QUIET
    assert street.view(301.0).severity is Severity.DEAF


def test_what_a_broker_has_kept_of_a_unit_that_is_long_dead_is_old() -> None:
    street = Street()
    for body in (Status("online"), health(10, uptime_s=0.0), state("quiet")):
        street.take(*street.message(body, 0.0), 600.0, retained=True)
    assert street.view(600.0).severity is Severity.DEAF


def test_a_unit_that_never_said_that_it_is_there_is_deaf() -> None:
    street = Street()
    street.say(state("quiet"))
    assert street.sensor().severity is Severity.DEAF


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (health(20, uptime_s=60.0, condition="degraded", ailment="clipped"), "it hears, but: clipped"),
        (health(20, uptime_s=60.0, condition="recovering"), "it hears nothing at the moment"),
        (health(20, uptime_s=60.0, drops={"event": 2}), "2 of its messages about events were dropped"),
        (health(20, uptime_s=60.0, refused=3), "the broker refused 3"),
        (
            SelfTest("fail", [{"stage": "disk", "result": "fail", "measured": "full", "fix": "make room"}]),
            "self-test, disk: full; make room",
        ),
    ],
)
def test_what_is_wrong_with_a_unit_that_hears_is_told_in_words(street: Street, body: Body, word: str) -> None:
    street.say(body, 1.0, seq=1)
    view = street.view(1.0)
    assert view.severity is Severity.UNWELL
    assert word in "; ".join([*view.troubles, *street.sensor(1.0).troubles])


def test_an_alarm_of_a_device_is_loud_until_it_is_over_and_no_leak(street: Street) -> None:
    told = [
        street.say(alarm("open"), 1.0),
        street.say(alarm("open"), 1.0, historical=True),
        street.say(health(20, uptime_s=60.0, alarms=[LISTED]), 1.0, seq=1),
    ]
    assert [kinds(changes).count("device-alarm") for changes in told] == [1, 0, 0]
    assert [kinds(changes).count("alarm") for changes in told] == [0, 0, 0]
    assert street.view(1.0).severity is street.sensor(1.0).severity is Severity.ALARM
    assert Severity.ALARM.needs_somebody
    assert street.sensor(1.0).troubles == ("tamper since 2025-03-01 02:00 UTC: look after hydrophone 00a1b2c3",)
    assert street.sensor(1.0).event_id is None
    (change, _) = street.say(alarm("close", reason="it is over", closed_time=at(2.0)), 2.0, seq=1)
    assert (change.kind, change.about["open"]) == ("device-alarm", False)
    assert street.say(alarm("open"), 1.0, historical=True) == []
    assert street.view(2.0).severity is Severity.QUIET
    (over,) = street.view(2.0).alarms
    assert (over.open, over.closed_time, over.reason) == (False, at(2.0), "it is over")


def test_a_leak_is_worse_than_an_alarm_of_the_device_and_both_are_told(street: Street) -> None:
    street.say(alarm("open", alarm="low-battery", battery_v=3.306), 1.0)
    street.say(event("open", "leak"), 1.0)
    assert street.sensor(1.0).severity is Severity.LEAK
    assert "low-battery since 2025-03-01 02:00 UTC, 3.31 V: look after" in street.sensor(1.0).troubles[0]


def test_an_alarm_that_began_before_the_room_listened_is_known_from_the_health(street: Street) -> None:
    changes = street.say(health(20, uptime_s=60.0, alarms=[LISTED]), 1.0, seq=1, retained=True)
    assert kinds(changes) == ["device-alarm", "unit"]
    assert street.sensor(1.0).troubles == ("tamper since 2025-03-01 02:00 UTC: look after its device",)
    assert kinds(street.say(health(30, uptime_s=120.0, alarms=[LISTED]), 2.0, seq=2)) == []
    street.say(health(40, uptime_s=180.0), 3.0, seq=3)
    assert street.view(3.0).severity is Severity.QUIET


def test_an_alarm_whose_closing_was_missed_is_over_once_the_health_knows_it_no_more(street: Street) -> None:
    street.say(health(20, uptime_s=60.0), 1.0, seq=1)
    street.say(alarm("open"), 2.0)
    assert street.view(2.0).severity is Severity.ALARM
    street.say(health(30, uptime_s=120.0), 3.0, seq=2)
    assert street.view(3.0).severity is Severity.QUIET


def test_an_alarm_of_a_device_with_two_sensors_is_told_of_both(street: Street) -> None:
    street.say(birth(SENSOR, "outlet"))
    street.say(state("quiet"))
    street.say(alarm("open"), 1.0)
    whole = health(20, uptime_s=60.0, alarms=[LISTED])
    street.say(replace(whole, sensors={**whole.sensors, "outlet": whole.sensors[SENSOR]}), 1.0, seq=1)
    assert [sensor.severity for sensor in street.view(1.0).sensors] == [Severity.ALARM, Severity.ALARM]
    assert len(street.view(1.0).alarms) == 1


def test_alarms_that_are_over_do_not_pile_up(street: Street) -> None:
    for number in range(3 * OVER_KEPT):
        for seq, phase in enumerate(("open", "close")):
            street.say(alarm(phase, f"tamper-{number}", opened_time=at(number)), number, seq=seq)
    street.say(alarm("open", "tamper-0", opened_time=START), 99.0, historical=True)
    numbers = range(3 * OVER_KEPT - 1, 2 * OVER_KEPT - 1, -1)
    assert [over.alarm_id for over in street.view(99.0).alarms] == [f"tamper-{number}" for number in numbers]
    assert street.say(alarm("open", "tamper-0"), 99.0, historical=True) == []


def test_units_are_listed_by_how_soon_somebody_has_to_look() -> None:
    ledger = Ledger()
    tampered = Street("is-alarm")
    tampered.ledger = ledger
    for body in (Status("online"), state("noisy"), alarm("open")):
        tampered.say(body)
    for name in ("quiet", "learning", "noisy", "acknowledged", "warning", "fault", "leak"):
        street = Street(f"is-{name}")
        street.ledger = ledger
        street.say(Status("online"))
        street.say(state(name, "leak-1" if name in ("leak", "acknowledged") else None))
    assert [view.unit for view in ledger.units(START)] == [
        "is-leak", "is-alarm", "is-fault", "is-warning", "is-acknowledged", "is-noisy", "is-learning", "is-quiet",
    ]  # fmt: skip
    assert [line.split()[0] for line in table(ledger.units(START)).splitlines()] == [
        "severity", "leak", "alarm", "deaf", "warning", "acknowledged", "noisy", "learning", "quiet",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "severity"),
    [("withdrawn", Severity.UNWELL), ("rolled-back", Severity.UNWELL), ("confirmed", Severity.QUIET)],
)
def test_a_model_that_a_unit_would_not_keep_is_told_with_the_reason(
    street: Street, step: Any, severity: Severity
) -> None:
    street.say(payloads.Model(step, "spring", 64 * "0", 7, "on sensor hydrant-7 it says the same to all", START, {}))
    assert street.view().severity is severity
    told = [trouble for trouble in street.view().troubles if "spring" in trouble]
    assert bool(told) is (severity is Severity.UNWELL)
    assert all("says the same to all" in trouble for trouble in told)


def test_what_a_unit_says_again_after_an_outage_does_not_overwrite_what_is_newer(street: Street) -> None:
    street.say(state("warning"), 5.0, seq=5)
    assert street.take(*street.message(state("quiet"), 4.0, 9), 6.0, historical=True) == []
    assert street.sensor(6.0).state == "warning"
    street.take(*street.message(state("noisy"), 5.5, 6), 6.0, historical=True)
    assert street.sensor(6.0).state == "noisy"


def test_news_counts_whatever_a_clock_says_that_was_set_back(street: Street) -> None:
    street.say(state("quiet"), 60.0 * 24 * 365, seq=1)
    street.take(*street.message(state("leak", "leak-1"), 1.0, 2), 1.0)
    assert street.view(1.0).severity is Severity.LEAK
    street.boot_id = "second"
    street.take(*street.message(state("fault", "leak-1"), 0.0, 0), 2.0)
    assert street.sensor(2.0).state == "fault"


def test_a_sensor_that_was_taken_away_is_gone_and_so_is_a_unit_that_somebody_cleared(street: Street) -> None:
    street.say(birth("hydrant-8"), 5.0)
    street.say(Health(600.0, 1, 0, {}, 0, None, None, None, "cast-iron", None, {}), 5.0, seq=1)
    assert [sensor.sensor for sensor in street.view(5.0).sensors] == ["hydrant-8"]
    for topic in ("status", "birth", "health", f"sensor/{SENSOR}/state"):
        street.take(f"{topics.ROOT}/{UNIT}/{topic}", b"", 6.0)
    assert street.ledger.units(at(6.0)) == []


def test_events_that_are_over_do_not_pile_up_and_are_no_alarm_when_they_come_again(street: Street) -> None:
    for number in range(3 * CLOSED_KEPT):
        opened = replace(event("open", "leak", f"leak-{number}"), opened_time=at(number))
        street.say(opened, number)
        street.say(replace(opened, phase="close", state="quiet"), number, seq=1)
    assert len(street.view(99.0).events) == CLOSED_KEPT
    assert street.view(99.0).events[0].event_id == f"leak-{3 * CLOSED_KEPT - 1}"
    assert street.say(event("open", "leak", "leak-0"), 99.0, historical=True) == []


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"NaN", "no JSON"),
        (b"17", "it names no schema"),
        (b'{"schema": "hydroear/health/2"}', "version 2 of health, of which this program knows 1: update it"),
        (b'{"schema": "hydroear/state/1"}', "state where health belongs"),
        (b'{"schema": "hydroear/health/1"}', "unit: Field required"),
        (b" " * (2**20 + 1), "more than any message has"),
    ],
    ids=["bytes", "deep", "not a number", "number", "later version", "another kind", "fields missing", "long"],
)
def test_what_cannot_be_understood_is_counted_and_shown_until_something_better_comes(
    street: Street, payload: bytes, why: str
) -> None:
    unreadable, unit = street.take(topics.health(UNIT), payload, 1.0)
    assert (unreadable.kind, unit.kind) == ("unreadable", "unit")
    assert why in unreadable.about["why"]
    view = street.view(1.0)
    assert (view.unreadable, view.severity) == (1, Severity.UNWELL)
    assert why in view.troubles[0]
    street.say(health(20, uptime_s=60.0), 2.0, seq=1)
    assert (street.view(2.0).unreadable, street.view(2.0).severity) == (1, Severity.QUIET)


def test_a_message_that_speaks_of_another_unit_or_sensor_than_its_topic_is_not_believed(street: Street) -> None:
    _, payload = Street("low-street").message(Status("offline"))
    assert "another unit" in street.take(topics.status(UNIT), payload)[0].about["why"]
    _, payload = street.message(state("fault"))
    assert "another unit" in street.take(topics.state(UNIT, "other"), payload)[0].about["why"]
    assert street.sensor().state == "quiet"
    street.take("hydroear/v1/\x1b[2J/status", b"{}")
    street.take("elsewhere", b"{}")
    assert street.ledger.strange == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("time", "0001-01-01T00:00:00+14:00"),
        ("time", "9999-12-31T23:59:59-14:00"),
        ("seq", 10**400),
        ("uptime_s", 10**400),
        ("uptime_s", 1e300),
        ("sensors", {"\x1b[2J": {"condition": "failed"}}),
    ],
)
def test_what_no_number_or_calendar_can_hold_ends_nothing(street: Street, key: str, value: Any) -> None:
    topic, payload = street.message(health(20, uptime_s=60.0), 1.0, 1)
    street.take(topic, json.dumps({**json.loads(payload), key: value}).encode(), 1.0)
    json.dumps(street.ledger.snapshot(at(99.0)), allow_nan=False)
    assert street.ledger.tick(at(99.0))


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b1m\r\nnext\u202eline\u2028\x7f"


def test_control_characters_reach_no_terminal(street: Street) -> None:
    street.say(replace(event("open", "leak", reason=HOSTILE), evidence={"sentences": [HOSTILE]}), 1.0)
    street.say(alarm("open", reason=HOSTILE, alarm=HOSTILE, device=AlarmDevice(HOSTILE, HOSTILE)), 1.0)
    street.say(health(20, uptime_s=60.0, condition="degraded", ailment=HOSTILE), 1.0, seq=1)
    street.say(SelfTest("fail", [{"stage": HOSTILE, "result": "fail", "measured": HOSTILE, "fix": HOSTILE}]), 1.0)
    street.take(topics.status(UNIT), json.dumps({"schema": HOSTILE, HOSTILE: HOSTILE}).encode())
    changes = street.take(f"elsewhere/{HOSTILE}", b"")
    shown = [table(street.ledger.units(at(1.0))).replace("\n", ""), *texts(street.ledger.snapshot(at(1.0)))]
    shown += texts(changes[0].about)
    assert "owned" in "".join(shown)
    assert [c for text in shown for c in text if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}] == []
    assert clean("Grüße, 70 °C: 漏水") == "Grüße, 70 °C: 漏水"


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield from (*texts(key), *texts(item))
        case list():
            for item in value:
                yield from texts(item)


def one_day(street: Street) -> list[tuple[str, bytes]]:
    """What a unit says from its birth until a leak and an alarm are over."""
    said = [(birth(SENSOR), 0, 0), (state("learning"), 0, 0), (health(10, uptime_s=0.0), 0, 0)]
    said += [(state("warning"), 1, 1), (event("open", "leak"), 2, 0), (state("leak", "leak-1"), 2, 2)]
    said += [(health(20, uptime_s=300.0), 5, 1), (event("update", "acknowledged"), 6, 1)]
    said += [(state("acknowledged", "leak-1"), 6, 3), (health(30, uptime_s=600.0), 10, 2)]
    said += [(event("close", "quiet"), 12, 2), (state("quiet"), 12, 4), (alarm("open"), 13, 0)]
    said += [(health(30, uptime_s=900.0, alarms=[LISTED]), 15, 3), (alarm("close"), 15.5, 1)]
    return [street.message(body, minutes, seq) for body, minutes, seq in said]


@given(seed=st.integers(0, 2**32), until=st.integers(1, 15))
@example(seed=7, until=15)
def test_neither_order_nor_repetition_changes_the_picture(seed: int, until: int) -> None:
    rng = random.Random(seed)
    straight, mixed = Street(), Street()
    day = one_day(straight)[:until]
    again = day + rng.choices(day, k=rng.randrange(10))
    rng.shuffle(again)
    for street, messages in ((straight, day), (mixed, again)):
        street.say(Status("online"))
        alarms = [
            change.about["event_id"]
            for message in messages
            for change in street.take(*message, 16.0)
            if change.kind == "alarm"
        ]
        assert len(alarms) == len(set(alarms)) == (1 if until > 4 else 0)
    assert mixed.ledger.snapshot(at(16.0)) == straight.ledger.snapshot(at(16.0))


@fuzz(100)
@given(data=st.data())
def test_no_garbage_ends_it(data: st.DataObject) -> None:
    street = Street()
    day = one_day(street)
    for topic, payload in day:
        where = data.draw(st.sampled_from([topic, data.draw(st.text(max_size=30)), f"{topics.ROOT}/u/event/x"]))
        content = json.loads(payload)
        key = data.draw(st.sampled_from(sorted(content)))
        content[key] = data.draw(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({"a": [1]})
        )
        damaged = json.dumps(content).encode()
        street.take(where, data.draw(st.sampled_from([damaged, damaged[:-9], data.draw(st.binary())])), 1.0)
    json.dumps(street.ledger.snapshot(at(1.0)), allow_nan=False)
    table(street.ledger.units(at(1.0)))
    street.ledger.tick(at(100.0))
    for message in day:
        street.take(*message, 20.0)
    assert street.view(20.0).sensors
