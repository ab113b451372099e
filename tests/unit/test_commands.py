"""Requests are read strictly: what is none is refused in words, whatever it is."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fuzzing import fuzz
from hydroear.errors import CommandError
from hydroear.mqtt.commands import COMMANDS, MAX_BYTES, Mute, parse, schema

TIME = "2025-03-01T04:05:06+02:00"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "ack": {"event_id": "hydrant-7-20250301T020506Z-3a1b8c2d"},
    "mute": {"sensor": "hydrant-7", "for_s": 3600},
    "unmute": {"sensor": "hydrant-7"},
    "calibrate-start": {"sensor": "hydrant-7", "for_s": 86400},
    "calibrate-stop": {"sensor": "hydrant-7"},
    "calibrate-status": {"sensor": "hydrant-7"},
    "clip": {"event_id": "hydrant-7-20250301T020506Z-3a1b8c2d", "first": 3},
    "config-set": {"changes": {"decision": {"horizon_s": 900}}},
    "model-piece": {"sha256": 64 * "a", "size_bytes": 3, "piece": 0, "data": "UklG"},
    "model-install": {"sha256": 64 * "a"},
}
"""What commands need that need anything."""


def request(verb: str, **changes: Any) -> bytes:
    content = {"schema": "hydroear/command/1", "request_id": "ask-1", "time": TIME, **ARGUMENTS.get(verb, {})}
    return json.dumps({**content, **changes}).encode()


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_request_is_what_its_schema_in_the_package_promises(verb: str) -> None:
    packaged = json.loads((files("hydroear.mqtt") / "schemas" / "commands" / f"{verb}.json").read_text())
    assert packaged == schema(verb), "write hydroear.mqtt.commands.schema(verb) into the package's schemas/commands"
    Draft202012Validator.check_schema(packaged)
    Draft202012Validator(packaged).validate(json.loads(request(verb)))
    assert parse(verb, request(verb)).request_id == "ask-1"


def test_arguments_arrive_and_have_defaults() -> None:
    command = parse("mute", request("mute", by="Ada"))
    assert isinstance(command, Mute)
    assert (command.sensor, command.for_s, command.by, command.valid_s) == ("hydrant-7", 3600.0, "Ada", 60.0)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (request("mute", for_s=0), "for_s: Input should be greater than or equal to 1"),
        (request("mute", for_s="soon"), "for_s: "),
        (request("mute", sensor="../etc"), "sensor: "),
        (request("mute", loud=True), "loud: Extra inputs are not permitted"),
        (request("mute", time="2025-03-01T04:05:06"), "time: "),
        (request("mute", schema="hydroear/command/2"), "schema: "),
        (request("mute", valid_s=1e9), "valid_s: "),
    ],
)
def test_what_is_wrong_with_a_request_is_told_to_the_one_who_asked(payload: bytes, words: str) -> None:
    with pytest.raises(CommandError, match=words) as caught:
        parse("mute", payload)
    assert caught.value.request_id == "ask-1"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"online",
        b"[]",
        b"\xff\xfe",
        b"NaN",
        b"[" * MAX_BYTES,
        b'{"a":' * 3000,
        request("ping", request_id="../../cmd/restart"),
        request("ping", request_id="a/b"),
        request("ping", request_id="+"),
        request("ping", request_id="x" * 64),
        request("ping", request_id=7),
    ],
)
def test_what_cannot_be_answered_is_refused_without_a_name(payload: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        parse("ping", payload)
    assert caught.value.request_id is None


def test_a_bomb_is_refused_before_it_is_read() -> None:
    bomb = b'{"request_id":"ask-1","x":"' + b"x" * 10 * 2**20 + b'"}'
    tracemalloc.start()
    try:
        with pytest.raises(CommandError, match="a request of 10485789 bytes; expected 65536 at most"):
            parse("ping", bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10**5


def test_an_unknown_verb_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(CommandError, match=r"no command 'dig'; expected one of ping, selftest") as caught:
        parse("dig", request("dig"))
    assert caught.value.request_id == "ask-1"


@pytest.mark.parametrize(("age_s", "holds"), [(-70, False), (-50, True), (0, True), (59, True), (61, False)])
def test_a_request_holds_for_its_time_and_no_longer(age_s: float, holds: bool) -> None:
    command = parse("ping", request("ping"))
    now = datetime(2025, 3, 1, 2, 5, 6, tzinfo=UTC) + timedelta(seconds=age_s)
    if holds:
        command.check_time(now)
    else:
        with pytest.raises(CommandError, match="asked at 2025-03-01T04:05:06\\+02:00, but here it is"):
            command.check_time(now)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@fuzz(400)
@given(
    verb=st.sampled_from([*COMMANDS, "dig", "", "#"]), key=st.sampled_from([*Mute.model_fields, "x"]), value=json_values
)
def test_a_request_is_read_or_refused_whatever_is_in_it(verb: str, key: str, value: Any) -> None:
    with suppress(CommandError):
        command = parse(verb, json.dumps({**json.loads(request(verb)), key: value}).encode())
        Draft202012Validator(schema(verb)).validate(command.model_dump(mode="json", by_alias=True))


@fuzz(400)
@given(verb=st.sampled_from([*COMMANDS]), place=st.integers(0, 300), junk=st.binary(max_size=12))
def test_a_request_that_was_damaged_on_its_way_is_read_or_refused(verb: str, place: int, junk: bytes) -> None:
    payload = request(verb)
    place %= len(payload)
    with suppress(CommandError):
        parse(verb, payload[:place] + junk + payload[place + len(junk) :])
