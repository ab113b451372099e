"""A request is checked before it is sent, sent again until it is answered, and answered once; clips come whole."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from hydroear.errors import HydroearError, UsageError
from hydroear.mqtt import commands, payloads, topics
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.room import questions, said
from hydroear.room.parcel import Parcel
from hydroear.room.questions import Answer, Questions, compose, fields_of

STAMP = payloads.Stamp("high-street", datetime.now(UTC), "synchronised", "boot", 0, None)


class Line:
    """A connection that may be down, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.up, self.now_s = True, 0.0
        monkeypatch.setattr(questions.time, "monotonic", lambda: self.now_s)
        self.questions = Questions(self._publish, by="Ada")

    def _publish(self, topic: str, payload: bytes) -> bool:
        if self.up:
            self.sent.append((topic, payload))
        return self.up

    def reply(self, request_id: str, outcome: payloads.Outcome = "done", unit: str = "high-street") -> Answer | None:
        body = payloads.Reply(request_id, "ping", outcome, "", {"uptime_s": 1.0})
        return self.questions.hear(topics.reply(unit, request_id), payloads.encode(body, STAMP))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch)


def test_a_request_is_repeated_under_its_id_until_it_is_answered_once(line: Line) -> None:
    request_id = line.questions.ask("high-street", "ping", {}, timeout_s=60.0)
    for line.now_s in (4.0, 5.0, 9.0, 10.0):
        assert line.questions.tend() == []
    assert len(line.sent) == 3
    assert len(set(line.sent)) == 1
    topic, payload = line.sent[0]
    assert topic == "hydroear/v1/high-street/cmd/ping"
    request = commands.parse("ping", payload)
    assert (request.request_id, request.by, request.valid_s) == (request_id, "Ada", 60.0)
    assert line.reply("somebody-elses") is None
    assert line.reply(request_id, unit="low-street") is None
    answer = line.reply(request_id)
    assert answer is not None
    assert (answer.outcome, answer.values) == ("done", {"uptime_s": 1.0})
    assert line.reply(request_id) is None
    line.now_s = 100.0
    assert line.questions.tend() == []
    assert len(line.sent) == 3


def test_a_request_waits_for_a_connection_and_is_given_up_when_its_time_is_over(line: Line) -> None:
    line.up = False
    line.questions.ask("high-street", "ping", {}, timeout_s=10.0)
    line.now_s, line.up = 1.0, True
    assert line.questions.tend() == []
    assert len(line.sent) == 1
    line.now_s = 10.0
    (answer,) = line.questions.tend()
    assert answer.outcome == "unanswered"
    assert "no reply; look whether the unit is online" in answer.error
    assert line.questions.tend() == []


def test_a_reply_that_cannot_be_understood_ends_the_waiting(line: Line) -> None:
    request_id = line.questions.ask("high-street", "ping", {})
    answer = line.questions.hear(topics.reply("high-street", request_id), b"{}")
    assert answer is not None
    assert (answer.outcome, answer.error) == (
        "failed", "its reply cannot be understood: no message of a unit: it names no schema",
    )  # fmt: skip


def test_fields_may_be_cut_short_and_are_what_the_form_wants() -> None:
    assert fields_of("mute", ["sensor=007", "for=90"]) == {"sensor": "007", "for_s": 90}
    assert fields_of("clip", ["event=true"]) == {"event_id": "true"}
    changes = {"decision": {"horizon_s": 7}}
    assert fields_of("config-set", [f"changes={json.dumps(changes)}", "reset=true"]) == {
        "changes": changes, "reset": True,
    }  # fmt: skip
    assert "exclude" not in compose("clip", {"event_id": "e"})


@pytest.mark.parametrize(
    ("verb", "pairs", "words"),
    [
        ("mut", [], "no command 'mut'; expected one of ping.*; did you mean mute?"),
        ("ping", ["loud=1"], "bad field 'loud=1'; expected nothing: ping takes no fields"),
        ("mute", ["sensor"], "bad field 'sensor'; expected one of sensor=…, for_s=…"),
        ("mute", ["sensor=a"], "mute: for_s: Field required"),
        ("mute", ["sensor=a", "for=0"], "mute: for_s: Input should be greater than or equal to 1"),
        ("mute", ["sensor=+", "for=1"], "mute: sensor: String should match"),
        ("clip", ["event=#"], "clip: event_id: String should match"),
        ("calibrate-start", ["sensor=a", "for=90", "nights=1"], "give either for_s or nights"),
        ("config-set", ["changes={"], "bad field 'changes={'; expected JSON"),
        ("mute", ["sensor=a", "for=NaN"], "mute: "),
    ],
)
def test_what_a_unit_would_refuse_is_not_even_sent(verb: str, pairs: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        compose(verb, fields_of(verb, pairs))


CLIP = os.urandom(2 * PIECE_BYTES + 100)


def piece(number: int, content: bytes = CLIP, **changes: Any) -> said.Clip:
    body = payloads.Clip(
        "leak-1", "pipe", "leak-1.wav", len(content), hashlib.sha256(content).hexdigest(), number, 3,
        base64.b64encode(content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]).decode(),
    )  # fmt: skip
    fields = {**json.loads(payloads.encode(body, STAMP)), **changes}
    clip = said.read(said.Address("high-street", "clip", "leak-1"), json.dumps(fields).encode())
    assert isinstance(clip, said.Clip)
    return clip


def test_a_clip_is_taken_in_the_order_of_its_pieces() -> None:
    parcel = Parcel("leak-1")
    assert [parcel.take(piece(number)) for number in (1, 0, 0, 2, 1, 2, 2)] == [
        False, True, False, False, True, True, False,
    ]  # fmt: skip
    assert parcel.whole
    assert parcel.share == 1.0
    assert parcel.open() == CLIP


@pytest.mark.parametrize("length", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, len(CLIP)])
def test_a_clip_goes_on_where_it_was(length: int) -> None:
    parcel = Parcel("leak-1", CLIP[:length], hashlib.sha256(CLIP).hexdigest())
    for number in range(parcel.wanted, 3):
        assert parcel.take(piece(number))
    assert parcel.open() == CLIP


def test_a_clip_that_was_written_anew_begins_anew() -> None:
    parcel = Parcel("leak-1", CLIP, hashlib.sha256(CLIP).hexdigest())
    assert parcel.wanted == 2
    other = CLIP[::-1]
    assert not parcel.take(piece(2, other))
    assert parcel.wanted == 0
    assert all(parcel.take(piece(number, other)) for number in range(3))
    assert parcel.open() == other


def test_a_damaged_clip_is_not_handed_out() -> None:
    parcel = Parcel("leak-1")
    for number in range(3):
        parcel.take(piece(number, sha256="0" * 64))
    with pytest.raises(HydroearError, match="the pieces make a clip with SHA-256"):
        parcel.open()
    with pytest.raises(HydroearError, match="a piece of 3 bytes"):
        Parcel("leak-1").take(piece(0, data="YWJj"))
    with pytest.raises(HydroearError, match="a clip of"):
        Parcel("leak-1").take(piece(0, size_bytes=2**40))
