"""A file comes whole or not at all, whatever order its pieces come in and whenever the unit ends."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from hydroear.app.delivery import MAX_BYTES, Delivery
from hydroear.errors import HydroearError
from hydroear.mqtt.commands import PIECE_BYTES

CONTENT = os.urandom(2 * PIECE_BYTES + 100)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def piece(number: int, content: bytes = CONTENT) -> bytes:
    return content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]


def test_pieces_make_a_file_once_each_has_come_in_its_turn(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path / "incoming")
    wanted = [delivery.take(SHA256, len(CONTENT), number, piece(number)) for number in (1, 0, 0, 2, 1, 2, 2)]
    assert wanted == [0, 1, 1, 1, 2, 3, 3]
    path = delivery.whole(SHA256)
    assert path is not None
    assert path.read_bytes() == CONTENT
    delivery.forget(SHA256)
    assert list(tmp_path.rglob("*.*")) == []


def test_it_goes_on_after_a_restart_also_when_the_power_went_in_the_middle_of_a_piece(tmp_path: Path) -> None:
    Delivery(tmp_path).take(SHA256, len(CONTENT), 0, piece(0))
    part = tmp_path / f"{SHA256}.part"
    part.write_bytes(part.read_bytes() + b"half of a piece")
    delivery = Delivery(tmp_path)
    assert delivery.take(SHA256, len(CONTENT), 2, piece(2)) == 1
    assert delivery.take(SHA256, len(CONTENT), 1, piece(1)) == 2
    assert delivery.take(SHA256, len(CONTENT), 2, piece(2)) == 3
    assert (tmp_path / SHA256).read_bytes() == CONTENT


def test_another_file_takes_the_place_of_one_that_never_came_whole(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path)
    delivery.take(SHA256, len(CONTENT), 0, piece(0))
    other = b"x"
    delivery.take(hashlib.sha256(other).hexdigest(), 1, 0, other)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [other]


def test_a_file_that_is_not_what_was_announced_is_forgotten(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path)
    damaged = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    for number in (0, 1):
        delivery.take(SHA256, len(CONTENT), number, piece(number, damaged))
    with pytest.raises(HydroearError, match="the pieces make a file with SHA-256"):
        delivery.take(SHA256, len(CONTENT), 2, piece(2, damaged))
    assert delivery.whole(SHA256) is None
    assert list(tmp_path.iterdir()) == []
    assert delivery.take(SHA256, len(CONTENT), 0, piece(0)) == 1


@pytest.mark.parametrize(
    ("size_bytes", "number", "data", "complaint"),
    [
        (MAX_BYTES + 1, 0, b"x", "a file of 67108865 bytes"),
        (0, 0, b"", "a file of 0 bytes"),
        (len(CONTENT), 0, piece(0)[:-1], "piece 0 of 32767 bytes; expected 3 pieces, this one of 32768 bytes"),
        (100, 0, b"x" * 101, "piece 0 of 101 bytes; expected 1 pieces, this one of 100 bytes"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, size_bytes: int, number: int, data: bytes, complaint: str
) -> None:
    with pytest.raises(HydroearError, match=complaint):
        Delivery(tmp_path).take(SHA256, size_bytes, number, data)
    assert list(tmp_path.iterdir()) == []
