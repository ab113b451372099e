"""Alarms of a device open and close by what it says and by what it no longer says, and never while it is not heard."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroear.health.alarm import (
    APART_S,
    ENDED,
    FORGOTTEN,
    NOT_REPEATED,
    PATIENCE_S,
    Alarms,
    Alive,
    Report,
    Turn,
)

TAMPER = Report("tamper", True, 5.0, 0)
OVER = Report("tamper", False, 8.0, 1)
OPENED = Turn("open", 0, "tamper", 5.0, "the case of the device was opened")
GREETING_S, REPEAT_S = 2.0, 60.0


class Device:
    """A device in a time of the test's own, and the alarms that are known of it."""

    def __init__(self, alarms: Alarms | None = None) -> None:
        self._alarms = alarms or Alarms()
        self._boot_id, self.now_s = 1, 0.0
        self.turns: list[Turn] = []

    def say(self, *reports: Report) -> list[Turn]:
        """Report something; gives what turned."""
        turns = [turn for report in reports for turn in self._alarms.take(report)]
        self.turns += turns
        return turns

    def live(self, for_s: float, *, repeating: Report | None = None) -> list[Turn]:
        """Give signs of life, and repeat a report; gives what turned."""
        end_s, turns, due_s = self.now_s + for_s, list[Turn](), self.now_s + REPEAT_S
        while self.now_s < end_s:
            self.now_s += GREETING_S
            turns += self._alarms.take(Alive(self.now_s, self._boot_id))
            if repeating is not None and self.now_s >= due_s:
                due_s += REPEAT_S
                turns += self._alarms.take(repeating)
        self.turns += turns
        return turns

    def fall_silent(self, for_s: float) -> None:
        self.now_s += for_s

    def boot(self) -> None:
        self._boot_id += 1
        self.live(GREETING_S)


@pytest.fixture
def device() -> Device:
    """A device that is heard."""
    device = Device()
    device.live(10.0)
    return device


def test_an_alarm_opens_once_however_often_it_is_reported_and_closes_once(device: Device) -> None:
    assert device.say(TAMPER, TAMPER, replace(TAMPER, number=3, time=99.0)) == [OPENED]
    assert device.say(replace(OVER, number=4), replace(OVER, number=4)) == [Turn("close", 0, "tamper", 8.0, ENDED)]


def test_what_lasts_for_days_and_is_repeated_stays_open(device: Device) -> None:
    device.say(TAMPER)
    assert device.live(86400.0, repeating=TAMPER) == []


def test_what_is_not_repeated_although_the_device_is_heard_is_over_when_nobody_knows(device: Device) -> None:
    device.say(TAMPER)
    assert device.live(PATIENCE_S - GREETING_S) == []
    assert device.live(GREETING_S) == [Turn("close", 0, "tamper", None, NOT_REPEATED)]
    assert device.live(10 * PATIENCE_S) == []
    assert device.say(TAMPER) == [OPENED], "it lasts after all"


def test_while_the_link_is_down_nothing_is_concluded(device: Device) -> None:
    device.say(TAMPER)
    for _ in range(10):
        device.live(10.0)
        device.fall_silent(3600.0)
    assert device.turns == [OPENED]
    assert device.live(PATIENCE_S) == [Turn("close", 0, "tamper", None, NOT_REPEATED)]


def test_a_sign_of_life_or_two_may_be_lost(device: Device) -> None:
    device.say(TAMPER)
    while not device.live(GREETING_S):
        device.fall_silent(APART_S - GREETING_S)
    assert device.now_s == pytest.approx(10.0 + PATIENCE_S, abs=2 * APART_S)


def test_after_a_boot_what_is_reported_again_is_the_same_alarm(device: Device) -> None:
    device.say(TAMPER)
    device.boot()
    device.live(PATIENCE_S / 2)
    assert device.say(replace(TAMPER, time=300.0)) == []
    assert device.live(86400.0, repeating=TAMPER) == []
    assert device.say(OVER) == [Turn("close", 0, "tamper", 8.0, ENDED)]


def test_after_a_boot_what_is_not_reported_again_closes_and_says_why(device: Device) -> None:
    device.say(TAMPER)
    device.live(PATIENCE_S / 2)
    device.boot()
    assert device.live(PATIENCE_S - GREETING_S) == []
    assert device.live(GREETING_S) == [Turn("close", 0, "tamper", None, FORGOTTEN)]


def test_after_a_boot_reports_are_numbered_anew(device: Device) -> None:
    device.say(TAMPER, OVER)
    assert device.say(TAMPER) == [], "as a second sensor of the device tells it once more"
    device.boot()
    assert device.say(TAMPER) == [OPENED]


def test_what_was_open_before_the_start_goes_on() -> None:
    again = Device(Alarms([(0, "tamper"), (1, "water-ingress")]))
    assert again.say(TAMPER) == []
    assert again.live(PATIENCE_S + GREETING_S, repeating=TAMPER) == [
        Turn("close", 1, "water-ingress", None, NOT_REPEATED)
    ]
    assert again.say(OVER) == [Turn("close", 0, "tamper", 8.0, ENDED)]


def test_alarms_of_the_device_and_of_its_sensors_are_told_apart(device: Device) -> None:
    (opened,) = device.say(TAMPER)
    (other,) = device.say(replace(TAMPER, stream=2))
    (battery,) = device.say(Report("low-battery", True, 6.0, 2, battery_v=3.31))
    assert (opened.stream, other.stream, battery.battery_v) == (0, 2, 3.31)
    assert [turn.stream for turn in device.say(replace(OVER, stream=2))] == [2]


def test_the_end_of_what_never_began_is_nothing(device: Device) -> None:
    assert device.say(OVER) == []


def test_what_was_recorded_hours_ago_keeps_its_time(device: Device) -> None:
    night = datetime(2025, 3, 1, 2, 11, tzinfo=UTC)
    (opened,) = device.say(replace(TAMPER, time=night))
    assert opened.time == night


def test_an_alarm_of_its_makers_own_is_called_by_its_number(device: Device) -> None:
    (opened,) = device.say(Report("0x8001", True, 5.0, 0))
    assert opened.reason == "the device reports 0x8001"


NEWS = st.one_of(
    st.builds(
        Report,
        alarm=st.sampled_from(["tamper", "low-battery"]),
        begun=st.booleans(),
        time=st.floats(0.0, 1e6),
        number=st.integers(0, 5),
        stream=st.integers(0, 2),
    ),
    st.builds(Alive, time_s=st.floats(0.0, 1e4), boot_id=st.integers(0, 2)),
)


@given(st.lists(NEWS))
def test_whatever_comes_each_alarm_opens_and_closes_in_turn(news: list[Report | Alive]) -> None:
    alarms = Alarms()
    phases: dict[tuple[int, str], str] = {}
    for one in news:
        for turn in alarms.take(one):
            name = turn.stream, turn.alarm
            assert phases.get(name, "close") != turn.phase
            phases[name] = turn.phase


@given(st.lists(NEWS))
def test_what_two_sensors_of_one_device_tell_opens_and_closes_nothing_twice(news: list[Report | Alive]) -> None:
    boot = [
        replace(one, number=number) if isinstance(one, Report) else replace(one, boot_id=1)
        for number, one in enumerate(news)
    ]
    alarms = Alarms()
    for one in boot:
        alarms.take(one)
    assert [turn for one in boot for turn in alarms.take(one)] == []
