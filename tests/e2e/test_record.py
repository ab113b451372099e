"""Labelled sessions of a real device: exact, whole between gaps, valid however they end, and read by the trainer."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hydroear.app.record import COLUMNS, Meter
from hydroear.audio import Scale, open_recording
from hydroear_train.corpus import read_manifest
from hydroear_train.scan.layouts import LAYOUTS
from virtual_microphone import virtual_microphone

RATE_HZ = 16_000
COUNTING = (np.arange(60 * RATE_HZ) + 1) / 2**24
"""A minute in which every sample says which one it is."""
CONFIG = """
unit: hill-street
bundle: none
sensors: [{id: valve, source: {type: microphone, device: "alsa:leakmic", stall_s: 0.5}}]
"""


def command(folder: Path, *more: str, duration: str = "2s") -> list[str]:
    (folder / "unit.yaml").write_text(CONFIG)
    verb = [sys.executable, "-m", "hydroear.cli", "record", "-c", str(folder / "unit.yaml"), "--sensor", "valve"]
    return [*verb, "--for", duration, "--label", "normal", "--out", str(folder / "corpus"), "--json", *more]


@contextmanager
def recording(folder: Path, duration: str) -> Iterator[subprocess.Popen[str]]:
    """A session in its own process, from when its first recording holds samples."""
    with subprocess.Popen(
        command(folder, duration=duration), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline_s = time.monotonic() + 20.0
        while not any(path.stat().st_size > 10_000 for path in folder.glob("corpus/*/*/*.wav")):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        yield process
        process.kill()


def numbers(path: Path) -> np.ndarray:
    """Which samples of the counting sound a recording holds; they follow each other."""
    with open_recording(path) as recording:
        assert recording.rate_hz == RATE_HZ
        found = np.rint(recording.read(recording.frames)[:, 0].astype(np.float64) * 2**24).astype(int)
    assert (np.diff(found) == 1).all()
    return found


def test_a_session_is_exact_and_the_trainer_reads_it(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path, COUNTING):
        for label in ("normal", "leak"):
            done = subprocess.run(
                [*command(tmp_path), "--label", label], capture_output=True, text=True, check=False, timeout=30
            )
            assert done.returncode == 0, done.stderr
    session = json.loads(done.stdout)
    assert (session["heard_s"], session["gaps"], session["interrupted"]) == (2.0, [], False)
    normal, leak = read_manifest(tmp_path / "corpus/manifest.csv")
    assert tuple(normal.columns) == COLUMNS
    assert (normal.label, leak.label) == ("normal", "leak")
    assert leak.columns["file"] == session["files"][0]
    assert len(numbers(normal.path)) == len(numbers(leak.path)) == 2 * RATE_HZ
    class_folders = next(layout for layout in LAYOUTS if layout.name == "class-folders")
    assert class_folders.read(Path(leak.columns["file"])) == {"label": "leak", "site": "hill-street"}


def test_a_gap_is_noted_and_begins_the_next_recording(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path, COUNTING) as device, recording(tmp_path, "5s") as process:
        device.stall()
        time.sleep(1.5)
        device.resume()
        output, notes = process.communicate(timeout=30)
    session = json.loads(output)
    assert len(session["files"]) == 2
    assert session["heard_s"] + session["lost_s"] == pytest.approx(5.0, abs=0.001)
    assert session["lost_s"] > 1.0
    assert "stopped sending" in notes
    assert all(note in notes for note in session["gaps"])
    before, after = (numbers(tmp_path / "corpus" / file) for file in session["files"])
    assert (after[0] - before[-1]) / RATE_HZ == pytest.approx(session["lost_s"], abs=0.3)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_recorded_stays_valid_however_the_session_ends(tmp_path: Path, sent: signal.Signals) -> None:
    with virtual_microphone(tmp_path, COUNTING), recording(tmp_path, "10m") as process:
        process.send_signal(sent)
        output, _ = process.communicate(timeout=30)
    (path,) = tmp_path.glob("corpus/*/*/*.wav")
    assert len(numbers(path)) >= 1_600
    if sent is not signal.SIGKILL:
        assert process.returncode == 0
        assert json.loads(output)["interrupted"]
        assert [entry.path for entry in read_manifest(tmp_path / "corpus/manifest.csv")] == [path]


def test_a_session_in_which_nothing_was_heard_is_a_failure_that_says_why(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path, COUNTING, name="other"):
        done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "valve: nothing was heard: alsa:leakmic: no such device; inputs are: alsa:other" in done.stderr
    assert not list(tmp_path.glob("corpus/*/*/*.wav"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sensor", "hydrant"], "no sensor 'hydrant'; expected one of valve"),
        (["--for", "10"], "bad duration '10'; expected a number over 0 with a unit: s, m, h or d"),
    ],
)
def test_a_session_that_cannot_be_is_refused(tmp_path: Path, options: list[str], says: str) -> None:
    done = subprocess.run([*command(tmp_path), *options], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_manifest_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/manifest.csv").write_text("file,label\na.wav,leak\n")
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    assert "a manifest of other columns; expected file,label,site,sensor,date,time" in done.stderr
    assert (tmp_path / "corpus/manifest.csv").read_text() == "file,label\na.wav,leak\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_time_and_level_and_keeps_what_is_noted() -> None:
    terminal = Terminal()
    meter = Meter(terminal, 60.0)
    meter.hear(1.0, np.full(1_600, 0.01, np.float32), Scale("Pa", 2000.0))
    meter.hear(2.0, np.zeros(1_600, np.float32), Scale("Pa", 2000.0))
    meter.hear(3.0, np.ones(1_600, np.float32), None)
    meter.note("a gap")
    meter.close()
    quiet, silent, loud, kept, left = (line.removeprefix("\x1b[K") for line in terminal.getvalue().split("\r")[1:])
    assert quiet == "    1.0 of 60 s  [############............]  -40.0 dBFS  20 Pa"
    assert silent == f"    2.0 of 60 s  [{'.' * 24}] silence"
    assert loud == f"    3.0 of 60 s  [{'#' * 24}]    0.0 dBFS  CLIPPED"
    assert (kept, left) == ("a gap\n", "")


def test_devices_are_listed_by_the_names_that_a_sensor_takes(tmp_path: Path) -> None:
    verb = [sys.executable, "-m", "hydroear.cli", "devices"]
    with virtual_microphone(tmp_path, COUNTING):
        (device,) = json.loads(subprocess.run([*verb, "--json"], capture_output=True, check=True, timeout=30).stdout)
        table = subprocess.run(verb, capture_output=True, text=True, check=True, timeout=30).stdout
    assert (device["name"], device["identities"]) == ("leakmic", ["alsa:leakmic"])
    assert device["channels"] >= 1
    assert table.splitlines()[1].split()[0] == "alsa:leakmic"
    (tmp_path / "asound.conf").write_text("</usr/share/alsa/alsa.conf>\n")
    environment = os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}
    none = subprocess.run(verb, capture_output=True, text=True, check=False, timeout=30, env=environment)
    assert none.returncode == 1
    assert "no device that can be heard; plug in a sensor" in none.stderr
