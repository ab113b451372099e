"""What the service manager is told, read from a real datagram socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroear.service import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The manager's end of the socket and its address as in NOTIFY_SOCKET."""
    name = str(tmp_path / "notify")
    abstract = request.param == "abstract"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name if abstract else name)
        end.settimeout(5.0)
        yield end, "@" + name if abstract else name


def test_the_manager_receives_each_assignment(manager: tuple[socket.socket, str]) -> None:
    end, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("hearing pipe\nand valve")
    notifier.status("leak at pipe")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()
    received = [end.recv(1000) for _ in range(5)]
    reloading, _, began_us = received.pop(2).partition(b"\nMONOTONIC_USEC=")
    assert reloading == b"RELOADING=1"
    assert 0.0 <= time.monotonic() - 1e-6 * int(began_us) < 60.0
    assert received == [
        b"READY=1\nSTATUS=hearing pipe and valve",
        b"STATUS=leak at pipe",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    notifier = Notifier.from_environment()
    notifier.ready("hearing")
    notifier.watchdog()
    assert notifier == Notifier()


def test_a_manager_that_hangs_does_not_stop_the_unit(
    manager: tuple[socket.socket, str], caplog: pytest.LogCaptureFixture
) -> None:
    _, address = manager
    notifier = Notifier(address)
    begun_s = time.monotonic()
    while not caplog.text:
        notifier.watchdog()
        assert time.monotonic() - begun_s < 30.0
    assert "timed out" in caplog.text


def test_a_manager_that_went_away_does_not_stop_the_unit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(str(tmp_path / "gone")).watchdog()
    assert "gone" in caplog.text


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_watchdog_interval_is_the_one_meant_for_this_process(
    environment: dict[str, str], interval_s: float | None
) -> None:
    assert Notifier.from_environment(environment).watchdog_interval_s == interval_s
