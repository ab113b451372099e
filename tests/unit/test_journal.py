"""What the journal is sent, read from a real datagram socket."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroear.codes import Code, coded, current_sensor
from hydroear.service.journal import JournalHandler, stderr_is_journal


def decode(datagram: bytes) -> dict[str, str]:
    """The fields of a datagram, each NAME, line feed, length, value, line feed."""
    fields = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        (length,) = struct.unpack_from("<Q", rest)
        fields[name.decode()] = rest[8 : 8 + length].decode()
        assert rest[8 + length : 9 + length] == b"\n"
        datagram = rest[9 + length :]
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """The journal's end of its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "journal"))
        end.settimeout(5.0)
        yield end


@pytest.fixture
def log(journal: socket.socket) -> Iterator[logging.Logger]:
    """A logger that writes to it."""
    handler = JournalHandler(Path(journal.getsockname()))
    handler.unit = "high-street"
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    yield logger
    handler.close()


def test_a_record_has_its_fields_whatever_its_text(log: logging.Logger, journal: socket.socket) -> None:
    text = "two\nlines, CODE=event-opened\nPRIORITY=0\nand ü"
    log.warning("%s", text, extra=coded(Code.SENSOR_DEAF, sensor="valve", event_id="e-1"))
    fields = decode(journal.recv(1 << 16))
    assert fields.pop("CODE_FILE") == __file__
    assert int(fields.pop("CODE_LINE")) > 0
    assert fields == {
        "MESSAGE": text,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "hydroear",
        "UNIT": "high-street",
        "SENSOR": "valve",
        "EVENT_ID": "e-1",
        "CODE": "sensor-deaf",
        "MESSAGE_ID": Code.SENSOR_DEAF.message_id,
        "CODE_FUNC": "test_a_record_has_its_fields_whatever_its_text",
    }


def test_what_a_thread_says_is_of_the_sensor_that_it_hears(log: logging.Logger, journal: socket.socket) -> None:
    def hear() -> None:
        current_sensor.set("valve")
        log.info("heard", extra=coded(Code.SENSOR_HEARD))

    thread = threading.Thread(target=hear)
    thread.start()
    thread.join()
    log.info("of none", extra=coded(Code.BROKER_CONNECTED))
    assert decode(journal.recv(1 << 16))["SENSOR"] == "valve"
    assert "SENSOR" not in decode(journal.recv(1 << 16))


def test_a_traceback_that_is_too_long_is_cut_off_rather_than_lost(log: logging.Logger, journal: socket.socket) -> None:
    log.error("x" * 10**6)
    fields = decode(journal.recv(1 << 20))
    assert fields["PRIORITY"] == "3"
    assert set(fields["MESSAGE"]) == {"x"}


def test_a_journal_that_hangs_keeps_nobody_waiting(log: logging.Logger, journal: socket.socket) -> None:
    for number in range(10_000):  # far more than the socket holds
        log.info("%d", number)
    assert decode(journal.recv(1 << 16))["MESSAGE"] == "0"


def test_without_a_journal_the_text_goes_to_standard_error(
    log: logging.Logger, journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(journal.getsockname()).unlink()
    log.error("nobody reads the journal")
    assert "nobody reads the journal" in capsys.readouterr().err


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        status = os.fstat(stderr.fileno())
        monkeypatch.setattr("sys.stderr", stderr)
        assert stderr_is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not stderr_is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not stderr_is_journal({})
