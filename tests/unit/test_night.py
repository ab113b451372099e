"""Minimum-night levels are what was heard in the small hours by the clock on the wall, or say why they are none."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from hydroear.app import night as app
from hydroear.app.night import SAVE_EVERY_S, NoiseLogger, night_message
from hydroear.mqtt.payloads import Stamp
from hydroear.score.night import Night, NightHours, NightWatch
from hydroear.score.sitefile import site_file

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


DAY = date(2025, 7, 3)
BEGIN, END = HOURS.bounds(DAY)


def logger(folder: Path, hours: NightHours = HOURS, *, hop_s: float = HOP_S) -> NoiseLogger:
    return NoiseLogger(folder / "site" / "pipe.night.json", hours, window_hop_s=hop_s)


def log_levels(
    noise: NoiseLogger, begin: datetime, levels_db: Sequence[float | None], *, clock_trusted: bool = True
) -> list[Night]:
    """Let it hear a window every ten seconds; the nights that are over meanwhile."""
    nights = []
    for number, level_db in enumerate(levels_db):
        night = noise.hear(begin + number * timedelta(seconds=HOP_S), level_db, clock_trusted=lambda: clock_trusted)
        nights += [] if night is None else [night]
    return nights


@pytest.mark.parametrize("ends_in_time", [True, False], ids=["stopped", "killed"])
def test_a_restart_loses_nothing_of_a_night_and_a_kill_five_minutes_at_most(tmp_path: Path, ends_in_time: bool) -> None:
    levels_db: list[float | None] = np.random.default_rng(2).normal(-60.0, 3.0, 720).tolist()
    levels_db[100:120] = [None] * 20
    first = logger(tmp_path)
    assert log_levels(first, BEGIN, levels_db[:400], clock_trusted=False) == []
    if ends_in_time:
        first.save()
    second = logger(tmp_path)
    assert log_levels(second, BEGIN + 400 * timedelta(seconds=HOP_S), levels_db[400:]) == []
    (night,) = log_levels(second, END, [-20.0, -20.0])
    whole = night_of(levels_db)
    assert not night.clock_trusted
    lost = 0 if ends_in_time else 400 % 30
    assert sum(night.histogram) == sum(whole.histogram) - lost
    assert night.coverage == pytest.approx(whole.coverage - lost / 720)
    if ends_in_time:
        assert night == replace(whole, clock_trusted=False)


def test_a_night_that_ended_while_the_unit_was_away_is_told_when_it_is_back_and_again_after_the_next_restart(
    tmp_path: Path,
) -> None:
    first = logger(tmp_path)
    log_levels(first, BEGIN, [-60.5] * 500)
    first.save()
    for _ in range(2):
        noise = logger(tmp_path)
        (night,) = log_levels(noise, END + timedelta(hours=3), [-20.0, -30.0])
        assert (night.night, night.histogram) == (DAY, (500,))
        noise.save()
    next_begin, next_end = HOURS.bounds(DAY + timedelta(days=1))
    noise = logger(tmp_path)
    (again,) = log_levels(noise, next_begin, [-50.5] * 720)
    assert again.night == DAY
    (night,) = log_levels(noise, next_end, [-20.0])
    assert (night.night, night.histogram) == (DAY + timedelta(days=1), (720,))


def test_a_night_of_other_hours_or_windows_is_not_gone_on_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = logger(tmp_path)
    log_levels(first, BEGIN, [-60.5] * 100)
    first.save()
    assert log_levels(logger(tmp_path, NightHours(time(1), time(4), BERLIN)), END, [-20.0]) == []
    assert log_levels(logger(tmp_path, NightHours(time(2), time(4), UTC)), END + timedelta(days=0.5), [-20.0]) == []
    assert log_levels(logger(tmp_path, hop_s=5.0), END, [-20.0]) == []
    assert not caplog.records
    assert len(log_levels(logger(tmp_path), END, [-20.0])) == 1


def test_a_damaged_file_is_set_aside_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = logger(tmp_path)
    log_levels(first, BEGIN, [-60.5, -59.5])
    first.save()
    file = tmp_path / "site" / "pipe.night.json"
    whole = file.read_bytes()
    for damaged in (
        b"",
        b"[]",
        b"\xff",
        whole[:-9],
        whole.replace(b"night-watch/1", b"night-watch/7"),
        whole.replace(b"[1, 1]", b"[1, -1]"),
        whole.replace(b"[1, 1]", b"[0, 0]"),
        whole.replace(b"[1, 1]", b'[1, "x"]'),
        whole.replace(b"[1, 1]", b"[1e400, 1]"),
        whole.replace(b"-61", b"-9999"),
        whole.replace(b"-61", b"20"),
        whole.replace(b"2025-07-03", b"2025-17-03"),
        whole.replace(b'"silent": 0', b'"silent": null'),
    ):
        assert damaged != whole
        file.write_bytes(damaged)
        noise = logger(tmp_path)
        assert "the night begins anew" in caplog.records.pop().message
        assert [path.name for path in file.parent.iterdir()] == ["pipe.night.json.corrupt"]
        assert (file.parent / "pipe.night.json.corrupt").read_bytes() == damaged
        assert log_levels(noise, END, [-20.0]) == []


def test_a_day_costs_a_card_little_and_a_quiet_one_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    @contextmanager
    def counting(path: Path, *, fix: str) -> Iterator[BinaryIO]:
        with site_file(path, fix=fix) as out:
            yield out
            written.append(out.tell())

    monkeypatch.setattr(app, "site_file", counting)
    all_day = NightHours(time(2), time(1, 59), UTC)
    begin, _ = all_day.bounds(DAY)
    loud: list[float | None] = np.random.default_rng(3).uniform(-200.0, 20.0, 8640).tolist()
    log_levels(logger(tmp_path / "all", all_day), begin, loud)
    assert max(written) < 4096
    assert len(written) <= 86400.0 / SAVE_EVERY_S
    assert 4096 * len(written) < 5e6, "in whole blocks of a disk"
    written.clear()
    noise = logger(tmp_path / "usual")
    log_levels(noise, BEGIN, [-60.5] * 720)
    assert len(written) <= 7200.0 / SAVE_EVERY_S
    written.clear()
    log_levels(noise, END, [-60.5] * 7000)
    assert len(written) <= 1
    wild = [BEGIN, END] * 4000  # a clock that does not know what time it is
    written.clear()
    for moment in wild:
        noise.hear(moment, -60.5, clock_trusted=lambda: False)
    assert len(written) <= len(wild) * HOP_S / SAVE_EVERY_S + 1


def test_a_disk_that_refuses_is_told_and_stops_no_night(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "site").write_text("no folder")
    noise = logger(tmp_path)
    caplog.clear()
    log_levels(noise, BEGIN, [-60.5] * 720)
    assert "cannot be written" in caplog.text
    (night,) = log_levels(noise, END, [-20.0])
    assert night.histogram == (720,)


@pytest.mark.parametrize("levels_db", [[-60.5] * 720, [None] * 720, [-60.5] * 10])
def test_a_night_is_told_as_its_schema_promises(levels_db: list[float | None]) -> None:
    stamp = Stamp("u", datetime(2025, 7, 3, 3, tzinfo=UTC), "synchronised", "boot", 0, None)
    message = night_message("u", "s", night_of(levels_db), stamp)
    assert (message.topic, message.retain) == ("hydroear/v1/u/sensor/s/night", True)
    schema = json.loads((files("hydroear.mqtt") / "schemas" / "night.json").read_text())
    Draft202012Validator(schema).validate(json.loads(message.payload))
