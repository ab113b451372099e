"""The desk answers every request once; the outbox is a real one, the work is the tests' own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker import wait_for
from hydroear.app.desk import MAX_AT_A_TIME, Desk
from hydroear.errors import HydroearError
from hydroear.health.clock import Clock
from hydroear.mqtt.commands import Ping
from hydroear.mqtt.payloads import Stamp
from hydroear.outbox import Outbox
from hydroear.outbox.outbox import REPLIES

NOW = datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC)
PING = "hydroear/v1/u/cmd/ping"


class Office:
    """A desk, and what it replied."""

    def __init__(self, path: Path, work: Any, *, clock: Clock = "synchronised", limit_s: float = 5.0) -> None:
        self.outbox = Outbox(path)
        self.desk = Desk("u", {"ping": work}, outbox=self.outbox, stamp=self._stamp, limit_s=limit_s)
        self._clock = clock

    def _stamp(self, seq: int) -> Stamp:
        return Stamp(unit="u", time=NOW, clock=self._clock, boot_id="b", seq=seq, bundle=None)

    def ask(self, request_id: str = "ask-1", *, age_s: float = 0.0, topic: str = PING, retained: bool = False) -> None:
        asked = (NOW - timedelta(seconds=age_s)).isoformat()
        request = {"schema": "hydroear/command/1", "request_id": request_id, "time": asked}
        self.desk.take(topic, json.dumps(request).encode(), retained)

    @property
    def replies(self) -> list[dict[str, Any]]:
        """What waits to be sent, in order."""
        return [json.loads(stored.message.payload) for stored in self.outbox.pending(1000)]

    def wait(self, number: int) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.replies) >= number, f"{number} replies")
        return self.replies


@pytest.fixture
def make_office(tmp_path: Path) -> Iterator[Any]:
    made: list[Office] = []

    def make(work: Any, **options: Any) -> Office:
        made.append(Office(tmp_path / "outbox.sqlite", work, **options))
        return made[-1]

    yield make
    for office in made:
        office.outbox.close()


def test_a_request_that_comes_again_gets_the_same_reply_and_is_not_done_again(make_office: Any) -> None:
    done: list[str] = []

    def work(command: Ping) -> Mapping[str, Any]:
        done.append(command.request_id)
        return {"times": len(done)}

    office = make_office(work)
    for number in (1, 2):
        office.ask()
        office.wait(number)
    office.outbox.close()
    again = make_office(work)
    again.ask()
    first, second, third = again.wait(3)
    assert first == second == third
    assert first["values"] == {"times": 1}
    assert done == ["ask-1"]


def test_a_request_that_comes_again_while_it_is_in_work_is_answered_once(make_office: Any) -> None:
    began, go_on = threading.Event(), threading.Event()

    def work(_command: Ping) -> Mapping[str, Any]:
        began.set()
        assert go_on.wait(5.0)
        return {}

    office = make_office(work)
    office.ask()
    assert began.wait(5.0)
    office.ask()
    go_on.set()
    office.wait(1)
    time.sleep(0.1)
    assert len(office.replies) == 1


@pytest.mark.parametrize(
    ("clock", "age_s", "outcome"),
    [
        ("synchronised", 59.0, "done"),
        ("synchronised", 3600.0, "refused"),
        ("unknown", 3600.0, "refused"),
        ("synchronised", -3600.0, "refused"),
        ("unsynchronised", 3600.0, "done"),
    ],
)
def test_a_request_that_is_over_is_refused_where_the_clock_can_tell(
    make_office: Any, clock: Clock, age_s: float, outcome: str
) -> None:
    office = make_office(lambda _: {}, clock=clock)
    office.ask(age_s=age_s)
    (reply,) = office.wait(1)
    assert reply["outcome"] == outcome
    assert ("check both clocks" in reply["error"]) == (outcome == "refused")


def test_what_goes_wrong_is_told_in_words(make_office: Any) -> None:
    errors = [HydroearError("the disk is full", fix="empty it"), ZeroDivisionError("division by zero")]

    def work(_command: Ping) -> Mapping[str, Any]:
        raise errors.pop(0)

    office = make_office(work)
    office.ask("one")
    office.wait(1)
    office.ask("two")
    first, second = office.wait(2)
    assert (first["outcome"], first["error"]) == ("failed", "the disk is full; empty it")
    assert (second["outcome"], second["error"]) == (
        "failed",
        "unexpected ZeroDivisionError: division by zero; see the unit's log",
    )


def test_a_command_that_does_not_end_is_told_of_and_others_go_on(make_office: Any) -> None:
    go_on = threading.Event()

    def work(command: Ping) -> Mapping[str, Any]:
        if command.request_id == "slow":
            go_on.wait(10.0)
        return {}

    office = make_office(work, limit_s=0.3)
    office.ask("slow")
    office.ask("quick")
    quick, slow = office.wait(2)
    go_on.set()
    assert (quick["request_id"], quick["outcome"]) == ("quick", "done")
    assert (slow["outcome"], slow["error"]) == ("failed", "ping has not ended within 0.3 s; see the unit's log")


def test_more_commands_than_a_unit_can_work_on_are_refused(make_office: Any) -> None:
    go_on = threading.Event()
    office = make_office(lambda _: {"waited": go_on.wait(5.0)})
    for number in range(MAX_AT_A_TIME + 1):
        office.ask(f"ask-{number}")
    (refused,) = office.wait(1)
    go_on.set()
    assert (refused["request_id"], refused["outcome"]) == (f"ask-{MAX_AT_A_TIME}", "refused")
    office.wait(MAX_AT_A_TIME + 1)
    office.ask(f"ask-{MAX_AT_A_TIME}")
    assert office.wait(MAX_AT_A_TIME + 2)[-1]["outcome"] == "done", "one that was not tried may be asked again"


def test_a_retained_request_is_not_obeyed(make_office: Any, caplog: pytest.LogCaptureFixture) -> None:
    office = make_office(lambda _: {})
    office.ask(retained=True)
    office.ask("other")
    (reply,) = office.wait(1)
    assert reply["request_id"] == "other"
    assert "a retained request is not obeyed" in caplog.text


def test_replies_are_remembered_for_so_many_requests_and_no_more(make_office: Any) -> None:
    office = make_office(lambda _: {})
    office.ask("first")
    office.wait(1)
    message = office.outbox.pending(1)[0].message
    for number in range(REPLIES):
        assert office.outbox.reply_to("first") is not None
        office.outbox.put(message, answered=f"other-{number}")
    assert office.outbox.reply_to("first") is None
    assert office.outbox.reply_to(f"other-{REPLIES - 1}") == message.payload
