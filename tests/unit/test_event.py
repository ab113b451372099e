"""An open event outlives a restart, and learns when it opened once the clock is set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hydroear.decide import OpenEvent

OPENED = OpenEvent("pipe-1", datetime(1970, 1, 1, 0, 1, tzinfo=UTC), False, 60.0, "boot-a")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_it_is_remembered_whole() -> None:
    event = replace(OPENED.told(), acknowledged=True)
    assert OpenEvent.from_json(event.to_json()) == event


def test_an_event_from_before_the_clock_was_set_gets_its_time_from_how_long_ago_it_was() -> None:
    right = OPENED.set_right(NOW, monotonic_s=3660.0, boot_id="boot-a")
    assert right.opened_time == NOW - timedelta(hours=1)
    assert right.clock_set
    assert right.set_right(NOW + timedelta(days=1), monotonic_s=4000.0, boot_id="boot-a") == right


def test_after_another_start_of_the_machine_nobody_knows_how_long_ago_it_was() -> None:
    assert OPENED.set_right(NOW, monotonic_s=10.0, boot_id="boot-b") == OPENED
