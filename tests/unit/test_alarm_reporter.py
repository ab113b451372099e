"""What devices report becomes messages, one alarm each, over restarts and however many sensors a device has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hydroear.app.alarms import UNTOLD, AlarmReporter
from hydroear.health.alarm import Alive, Report
from hydroear.health.clock import Clock
from hydroear.message import Kind
from hydroear.mqtt.payloads import Stamp
from hydroear.outbox import Outbox

DEVICE = ("tcp://device:1", 1)
NOW = datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC)
ALIVE = Alive(1.0, 7, "hydrophone", "00a1b2c3")
SCHEMA = Draft202012Validator(json.loads((files("hydroear.mqtt") / "schemas/alarm.json").read_text()))


class Site:
    """A unit's state folder; each :meth:`unit` is another run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "outbox.sqlite"
        self.clock: Clock = "synchronised"
        self.now = NOW

    @contextmanager
    def unit(self, **places: tuple[str, int]) -> Iterator[AlarmReporter]:
        places = places or {"pipe": DEVICE}
        with Outbox(self._path) as outbox:
            yield AlarmReporter(places, unit="high-street", outbox=outbox, stamp=self._stamp)

    @property
    def said(self) -> list[dict[str, Any]]:
        """All payloads so far."""
        with Outbox(self._path) as outbox:
            messages = [stored.message for stored in outbox.pending(1000)]
        payloads = [json.loads(message.payload) for message in messages]
        for message, payload in zip(messages, payloads, strict=True):
            SCHEMA.validate(payload)
            assert message.topic == f"hydroear/v1/high-street/alarm/{payload['alarm_id']}"
            assert (message.kind, message.retain) == (Kind.EVENT, False)
        return payloads

    @property
    def steps(self) -> list[tuple[str, str, int]]:
        return [(payload["sensor"], payload["phase"], payload["seq"]) for payload in self.said]

    def _stamp(self, seq: int) -> Stamp:
        return Stamp("high-street", self.now, self.clock, "boot", seq, None)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def report(*, begun: bool = True, ago_s: float = 60.0, **fields: Any) -> Report:
    return Report(**{"alarm": "tamper", "begun": begun, "time": time.monotonic() - ago_s, "number": 0, **fields})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def near(moment: datetime) -> Any:
    return pytest.approx(moment, abs=timedelta(seconds=0.5))


def test_an_alarm_is_told_with_its_true_times_and_its_device(site: Site) -> None:
    with site.unit() as unit:
        unit.take("pipe", [ALIVE, report(alarm="low-battery", battery_v=3.31)])
        assert [alarm.alarm for alarm in unit.of("pipe")] == ["low-battery"]
        unit.take("pipe", [report(alarm="low-battery", begun=False, ago_s=10.0)])
        assert unit.of("pipe") == []
    opened, closed = site.said
    assert (opened["phase"], opened["closed_time"], opened["battery_v"]) == ("open", None, 3.31)
    assert opened["device"] == {"model": "hydrophone", "uid": "00a1b2c3"}
    assert at(opened["opened_time"]) == near(NOW - timedelta(minutes=1))
    assert opened["alarm_id"].startswith("pipe-low-battery-20250301T0204")
    assert closed == {
        **opened,
        "phase": "close",
        "seq": 1,
        "closed_time": closed["closed_time"],
        "reason": "the device says that it is over",
    }
    assert at(closed["closed_time"]) == near(NOW - timedelta(seconds=10))


def test_an_alarm_goes_on_after_a_restart(site: Site) -> None:
    for _ in range(3):
        with site.unit() as unit:
            unit.take("pipe", [ALIVE, report()])
            (alarm,) = unit.of("pipe")
    with site.unit() as unit:
        unit.take("pipe", [report(begun=False, number=1)])
    opened, closed = site.said
    assert opened["alarm_id"] == closed["alarm_id"] == alarm.alarm_id
    assert site.steps == [("pipe", "open", 0), ("pipe", "close", 1)]
    assert closed["device"]["model"] == "hydrophone"
    with site.unit() as unit:
        unit.take("pipe", [replace(ALIVE, boot_id=8), report()])
    assert site.said[2]["alarm_id"] != alarm.alarm_id


def test_what_was_recorded_by_night_has_the_time_of_that_night_whatever_the_clock_says(site: Site) -> None:
    began = datetime(2025, 2, 27, 23, 0, tzinfo=UTC)
    site.clock = "unsynchronised"
    with site.unit() as unit:
        unit.take("pipe", [report(time=began)])
        site.clock = "synchronised"
        unit.take("pipe", [report(time=began + timedelta(hours=1), begun=False)])
    opened, closed = site.said
    assert at(opened["opened_time"]) == at(closed["opened_time"]) == began
    assert at(closed["closed_time"]) == began + timedelta(hours=1)


def test_a_recording_that_is_heard_again_tells_nothing_new(site: Site) -> None:
    began = datetime(2025, 2, 27, 23, 0, 0, 1250, tzinfo=UTC)
    for _ in range(2):
        with site.unit() as unit:
            unit.take("pipe", [report(time=began), report(time=began + timedelta(hours=1), begun=False, number=1)])
    assert site.steps == 2 * [("pipe", "open", 0), ("pipe", "close", 1)]
    assert len({payload["alarm_id"] for payload in site.said}) == 1


def test_a_clock_that_is_set_later_sets_the_time_right(site: Site) -> None:
    site.clock, site.now = "unsynchronised", datetime(1970, 1, 1, tzinfo=UTC)
    with site.unit() as unit:
        unit.take("pipe", [report()])
    assert at(site.said[0]["opened_time"]) == near(site.now - timedelta(minutes=1))
    site.clock, site.now = "synchronised", NOW
    with site.unit() as unit:
        assert unit.of("pipe")[0].opened_time == near(NOW - timedelta(minutes=1))
        unit.take("pipe", [report(begun=False)])
    assert at(site.said[1]["opened_time"]) == near(NOW - timedelta(minutes=1))


def test_an_alarm_of_a_device_with_two_sensors_is_one_and_about_both(site: Site) -> None:
    places = {"inlet": ("tcp://device:1", 1), "outlet": ("tcp://device:1", 2), "other": ("tcp://device:2", 1)}
    news = [ALIVE, report(), report(begun=False, number=1), report(number=2), report(stream=2, number=3)]
    with site.unit(**places) as unit:
        unit.take("inlet", news)
        unit.take("outlet", news)
        unit.take("outlet", [report(stream=3, number=4)])
        assert [len(unit.of(sensor)) for sensor in places] == [1, 2, 0]
        unit.take("other", [report()])
    assert site.steps == [
        ("inlet", "open", 0),
        ("inlet", "close", 1),
        ("inlet", "open", 0),
        ("outlet", "open", 0),
        ("other", "open", 0),
    ]


def test_an_alarm_stays_with_its_device_when_that_gets_another_sensor(site: Site) -> None:
    with site.unit(pipe=DEVICE) as unit:
        unit.take("pipe", [report()])
    with site.unit(first=DEVICE, pipe=DEVICE) as unit:
        unit.take("first", [report()])
        assert unit.of("first") == unit.of("pipe")
        unit.take("first", [report(begun=False)])
    assert site.steps == [("pipe", "open", 0), ("pipe", "close", 1)]


def test_an_alarm_that_nobody_would_end_any_more_is_ended_with_a_word(site: Site) -> None:
    before = {name: (f"tcp://device:{name}", 1) for name in ("inlet", "outlet", "gone", "moved")}
    with site.unit(**before) as unit:
        for sensor in before:
            unit.take(sensor, [report(stream=int(sensor == "moved"))])
    after = {"inlet": before["inlet"], "outlet": before["inlet"], "moved": ("tcp://device:moved", 2)}
    for _ in range(2):
        with site.unit(**after) as unit:
            (alarm,) = unit.open
    assert alarm.sensor in ("inlet", "outlet")
    assert sorted(site.steps[4:]) == [(sensor, "close", 1) for sensor in sorted({*before} - {alarm.sensor})]
    assert {(payload["reason"], payload["closed_time"]) for payload in site.said[4:]} == {(UNTOLD, None)}
