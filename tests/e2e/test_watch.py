"""A running unit seen by those who watch it: through its socket, by processes of their own."""

from __future__ import annotations

import os
import pty
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hydroear.model import SHIPPED_BUNDLE
from listening import DECISION, command, hydroear, json_lines, said, scene, write

SENSOR = "hydrant-7"


@pytest.fixture
def config(tmp_path: Path, site: Path) -> Path:
    """A unit that hears a minute in twelve seconds."""
    source = {"type": "wav", "files": [str(write(tmp_path / "main.wav", scene()))], "speed": 5.0}
    path = tmp_path / "unit.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "unit": "high-street",
                "bundle": str(SHIPPED_BUNDLE),
                "state_dir": str(tmp_path / "state"),
                "sensors": [{"id": SENSOR, "source": source, "site": str(site)}],
                "decision": DECISION,
            }
        )
    )
    return path


@pytest.fixture
def unit(config: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The running unit."""
    process = subprocess.Popen(
        command("run", "-c", config, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 30.0
    while not (tmp_path / "state" / "live.sock").exists():
        assert time.monotonic() < deadline_s, "no socket"
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


def test_watchers_see_what_the_unit_sees_until_it_ends(
    unit: subprocess.Popen[str], config: Path, tmp_path: Path
) -> None:
    assert stat.S_IMODE((tmp_path / "state" / "live.sock").stat().st_mode) == 0o660
    watchers = [
        subprocess.Popen(command("watch", "-c", config, "--json"), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    own, complaints = unit.communicate(timeout=60.0)
    assert (unit.returncode, said(complaints)) == (0, [])
    told = json_lines(own)
    for watcher in watchers:
        seen = json_lines(watcher.communicate(timeout=10.0)[0])
        assert watcher.returncode == 0
        assert len(seen) > 20
        assert seen == told[-len(seen) :]
        assert "leak" in {line["state"] for line in seen}
    assert not (tmp_path / "state" / "live.sock").exists()


def test_one_who_does_not_read_is_let_go_and_holds_nobody_up(
    unit: subprocess.Popen[str], config: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        lazy.connect(os.fspath(tmp_path / "state" / "live.sock"))
        done = hydroear("watch", "-c", config)
        assert done.returncode == 0
        assert [line.split()[1] for line in done.stdout.splitlines()][-3:] == ["warning", "leak", "quiet"]
        unit.communicate(timeout=60.0)
        assert unit.returncode == 0


def test_a_terminal_shows_a_line_a_sensor_with_state_level_and_score(unit: subprocess.Popen[str], config: Path) -> None:
    shown, terminal = pty.openpty()
    watcher = subprocess.Popen(command("watch", "-c", config), stdout=terminal)
    os.close(terminal)
    text = b""
    deadline_s = time.monotonic() + 60.0
    while b"\x1b[31;1mleak" not in text and time.monotonic() < deadline_s:
        text += os.read(shown, 4096)
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(10.0) == 130
    os.close(shown)
    row = next(line for line in text.decode().splitlines() if "dBFS" in line)
    assert SENSOR in row
    assert "[" in row
    assert unit.poll() is None


def test_without_a_running_unit_it_says_so(config: Path, tmp_path: Path) -> None:
    done = hydroear("watch", "-c", config)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = said(done.stderr)
    assert "no unit is running; expected a running 'hydroear run' with this configuration" in line
    # What a unit that was killed leaves behind.
    (tmp_path / "state").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(os.fspath(tmp_path / "state" / "live.sock"))
    assert hydroear("watch", "-c", config).returncode == 2
    assert hydroear("run", "-c", config, timeout_s=60.0).returncode == 0
