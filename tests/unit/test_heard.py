"""Which recordings of a logger were heard is remembered, and nothing that was not heard is taken for heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from hydroear.capture.heard import HeardRecordings
from hydroear_bridge.frames import Recording

DEVICE = "a1b2"
NIGHT = Recording(recording=7, size=1000, crc32=0xC0FFEE)
OTHER = Recording(recording=8, size=1000, crc32=0xBEEF)
SAME_NUMBER = Recording(recording=7, size=1000, crc32=0xF00D)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heard.json"


def test_what_was_heard_is_remembered_over_a_restart(path: Path) -> None:
    heard = HeardRecordings(path)
    assert heard.last_utc_s is None
    heard.add(DEVICE, NIGHT, 1000.0)
    again = HeardRecordings(path)
    assert (DEVICE, NIGHT) in again
    assert (DEVICE, OTHER) not in again
    assert again.last_utc_s == 1000.0


def test_since_when_the_first_one_is_waited_for_is_remembered(path: Path) -> None:
    HeardRecordings(path).wait_from(1000.0)
    HeardRecordings(path).wait_from(2000.0)
    assert HeardRecordings(path).last_utc_s == 1000.0


def test_another_recording_of_that_number_was_not_heard_nor_that_of_another_device(path: Path) -> None:
    heard = HeardRecordings(path)
    heard.add(DEVICE, NIGHT, 1000.0)
    assert (DEVICE, SAME_NUMBER) not in heard
    assert ("c3d4", NIGHT) not in heard


def test_what_the_device_has_no_more_is_forgotten(path: Path) -> None:
    heard = HeardRecordings(path)
    heard.add(DEVICE, NIGHT, 1000.0)
    heard.add(DEVICE, OTHER, 2000.0)
    heard.keep_only(DEVICE, [OTHER])
    again = HeardRecordings(path)
    assert (DEVICE, NIGHT) not in again
    assert (DEVICE, OTHER) in again


def test_a_recording_that_was_begun_is_known_when_it_begins_again(path: Path) -> None:
    assert not HeardRecordings(path).begin(DEVICE, NIGHT)
    assert HeardRecordings(path).begin(DEVICE, NIGHT)
    assert not HeardRecordings(path).begin(DEVICE, SAME_NUMBER)
    assert not HeardRecordings(path).begin("c3d4", SAME_NUMBER)
    assert not HeardRecordings(path).begin(DEVICE, NIGHT), "another one was begun since"


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"schema": "other/1"}', '{"schema": "hydroear/recordings-heard/1"}']
)
def test_a_damaged_memory_is_forgotten_with_a_warning(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(damage)
    heard = HeardRecordings(path)
    assert (DEVICE, NIGHT) not in heard
    assert "what the logger still has is heard again" in caplog.text
    heard.add(DEVICE, NIGHT, 1000.0)
    assert (DEVICE, NIGHT) in HeardRecordings(path)


def test_a_disk_that_refuses_is_an_error(path: Path) -> None:
    heard = HeardRecordings(path / "gone" / "heard.json")
    with pytest.raises(OSError, match="No such file"):
        heard.add(DEVICE, NIGHT, 1000.0)
