"""Minimum-night levels are what was heard in the small hours by the clock on the wall, or say why they are none."""

import json
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from hydroear.app.night import night_message
from hydroear.mqtt.payloads import Stamp
from hydroear.score.night import Night, NightHours, NightWatch

BERLIN = ZoneInfo("Europe/Berlin")
HOURS = NightHours(time(2), time(4), BERLIN)
HOP_S = 10.0


def listen(watch: NightWatch, begin: datetime, levels_db: list[float | None], *, clock_trusted: bool = True) -> None:
    for number, level_db in enumerate(levels_db):
        moment = begin + number * timedelta(seconds=HOP_S)
        assert watch.hear(moment, level_db, clock_trusted=lambda: clock_trusted) is None


def night_of(levels_db: list[float | None], *, hours: NightHours = HOURS, day: date = date(2025, 7, 3)) -> Night:
    watch = NightWatch(hours, window_hop_s=HOP_S)
    begin, end = hours.bounds(day)
    listen(watch, begin, levels_db)
    night = watch.hear(end, -60.0, clock_trusted=lambda: True)
    assert night is not None
    return night


def test_level_spread_and_histogram_are_those_of_a_noise_logger() -> None:
    levels_db = np.random.default_rng(0).permutation(np.repeat([-60.5, -58.5, -57.5, -30.5], [72, 500, 100, 48]))
    night = night_of(levels_db.tolist())
    assert night.problem == ""
    assert night.coverage == 1.0
    assert (night.histogram_start_db, night.histogram[:4], night.histogram[-1]) == (-61, (72, 0, 500, 100), 48)
    assert sum(night.histogram) == 720
    assert night.persistent_db == -58.5
    assert night.minimum_db == pytest.approx(-61.0 + 36 / 72)
    assert night.spread_db == pytest.approx(2.0)


def test_a_leak_raises_the_minimum_and_narrows_the_spread() -> None:
    healthy = 10.0 * np.log10(np.random.default_rng(1).gamma(2.0, 1e-6, 720))
    leaking = 10.0 * np.log10(10.0 ** (healthy / 10.0) + 1e-4)
    before, after = night_of(healthy.tolist()), night_of(leaking.tolist())
    assert before.minimum_db is not None
    assert after.minimum_db is not None
    assert before.spread_db is not None
    assert after.spread_db is not None
    assert after.minimum_db > before.minimum_db + 10.0
    assert after.spread_db < before.spread_db - 3.0


def test_what_is_heard_by_day_does_not_count() -> None:
    watch = NightWatch(HOURS, window_hop_s=HOP_S)
    begin, end = HOURS.bounds(date(2025, 7, 3))
    listen(watch, begin - timedelta(hours=1), [-20.0] * 360)
    listen(watch, begin, [-60.5] * 720)
    night = watch.hear(end, -20.0, clock_trusted=lambda: True)
    assert night is not None
    assert night.histogram == (720,)
    assert watch.hear(end + timedelta(minutes=1), -20.0, clock_trusted=lambda: True) is None


@pytest.mark.parametrize(
    ("levels_db", "problem"), [([-60.0] * 200, "28 % of the night"), ([None] * 720, "stood still")]
)
def test_a_night_that_was_hardly_heard_or_silent_says_so(levels_db: list[float | None], problem: str) -> None:
    night = night_of(levels_db)
    assert problem in night.problem
    assert (night.minimum_db, night.persistent_db, night.spread_db) == (None, None, None)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2025, 3, 30), 1.0), (date(2025, 10, 26), 3.0), (date(2025, 7, 3), 2.0)]
)
def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is(day: date, hours: float) -> None:
    begin, end = HOURS.bounds(day)
    duration_h = (end - begin).total_seconds() / 3600.0
    assert duration_h == hours
    night = night_of([-60.0] * round(duration_h * 3600.0 / HOP_S), day=day)
    assert (night.night, night.coverage, night.problem) == (day, 1.0, "")


def test_hours_over_midnight_belong_to_the_day_they_began_on() -> None:
    hours = NightHours(time(23), time(1), UTC)
    assert hours.night_of(datetime(2025, 7, 4, 0, 59, tzinfo=UTC)) == date(2025, 7, 3)
    assert hours.night_of(datetime(2025, 7, 4, 1, 0, tzinfo=UTC)) is None
    assert hours.night_of(datetime(2025, 7, 4, 23, 0, tzinfo=UTC)) == date(2025, 7, 4)


def test_the_clock_is_asked_in_the_night_alone() -> None:
    asked: list[None] = []

    def trusted() -> bool:
        asked.append(None)
        return True

    watch = NightWatch(HOURS, window_hop_s=HOP_S)
    begin, end = HOURS.bounds(date(2025, 7, 3))
    for moment in (begin - timedelta(seconds=HOP_S), end):
        watch.hear(moment, -60.0, clock_trusted=trusted)
    assert not asked
    watch.hear(begin, -60.0, clock_trusted=trusted)
    assert len(asked) == 1


def test_a_clock_that_jumps_ends_the_night_and_tells_that_it_cannot_be_trusted() -> None:
    watch = NightWatch(HOURS, window_hop_s=HOP_S)
    begin, _ = HOURS.bounds(date(1970, 1, 2))
    listen(watch, begin, [-60.0] * 100, clock_trusted=False)
    night = watch.hear(datetime(2025, 7, 3, 0, 30, tzinfo=UTC), -60.0, clock_trusted=lambda: True)
    assert night is not None
    assert not night.clock_trusted
    assert "of the night was heard" in night.problem
    back = watch.hear(begin, -60.0, clock_trusted=lambda: False)
    assert back is not None
    assert back.night == date(2025, 7, 3)


@pytest.mark.parametrize("levels_db", [[-60.5] * 720, [None] * 720, [-60.5] * 10])
def test_a_night_is_told_as_its_schema_promises(levels_db: list[float | None]) -> None:
    stamp = Stamp("u", datetime(2025, 7, 3, 3, tzinfo=UTC), "synchronised", "boot", 0)
    message = night_message("u", "s", night_of(levels_db), stamp)
    assert (message.topic, message.retain) == ("hydroear/v1/u/sensor/s/night", True)
    schema = json.loads((files("hydroear.mqtt") / "schemas" / "night.json").read_text())
    Draft202012Validator(schema).validate(json.loads(message.payload))
