"""A signed request holds for one unit and one command, and not with a letter changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzz
from hydroear.errors import CommandError
from hydroear.model.signature import PublicKey, load_private_key
from hydroear.mqtt.signed import MAX_SIGNED_BYTES, open_request, sign_request
from signed import key_pair

REQUEST = '{"schema":"hydroear/command/1","request_id":"ask-1","time":"2025-03-01T02:05:06Z","by":"Ada \\"the\\" ear"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


def signed(folder: Path, *, unit: str = "u", verb: str = "restart", key: str = "room") -> bytes:
    return sign_request(REQUEST, unit=unit, verb=verb, key=load_private_key(key_pair(folder, key)[0]))


def opened(folder: Path, payload: bytes) -> bytes:
    keys = [PublicKey.load(key_pair(folder, name)[1]) for name in ("office", "room")]
    return open_request(payload, unit="u", verb="restart", trusted=keys)


def test_what_a_trusted_key_signed_is_what_was_asked(folder: Path) -> None:
    assert opened(folder, signed(folder)) == REQUEST.encode()


@pytest.mark.parametrize("changes", [{"unit": "v"}, {"verb": "ping"}, {"key": "stranger"}])
def test_what_was_signed_for_another_unit_or_command_or_by_a_stranger_is_refused(
    folder: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(CommandError, match="the signature is not that of a trusted key for restart of u") as caught:
        opened(folder, signed(folder, **changes))
    assert caught.value.request_id == "ask-1"


def test_what_is_not_signed_is_refused_and_told(folder: Path) -> None:
    with pytest.raises(CommandError, match="not signed; expected a signed request") as caught:
        opened(folder, REQUEST.encode())
    assert caught.value.request_id == "ask-1"


def test_a_bomb_is_refused_before_it_is_read(folder: Path) -> None:
    with pytest.raises(CommandError, match=f"expected {MAX_SIGNED_BYTES} at most"):
        opened(folder, b"x" * (MAX_SIGNED_BYTES + 1))


@fuzz(300)
@given(place=st.integers(0, 1000), junk=st.binary(min_size=1, max_size=8))
def test_nothing_else_passes_for_it(folder: Path, place: int, junk: bytes) -> None:
    whole = signed(folder)
    place %= len(whole)
    damaged = whole[:place] + junk + whole[place + len(junk) :]
    try:
        request = opened(folder, damaged)
    except CommandError:
        return
    assert json.loads(damaged)["request"] == REQUEST
    assert request == REQUEST.encode()
