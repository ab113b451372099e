"""``hydroear-bridge`` and a simulated sensor that answers, at a TCP port and at a terminal."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge_tool import BRIDGE, Serving, bridge, recordings
from hydroear_bridge.simulator import noise

RATE_HZ = 8000
SEED = 3

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a simulated sensor; gives its port."""
    with ExitStack() as running:

        def start(place: str, *options: str) -> str:
            serving = Serving("simulate", "--at", place, "--rate", RATE_HZ, "--seed", SEED, *options)
            return running.enter_context(serving).port

        yield start


def sent(count: int) -> NDArray[np.int64]:
    """The first samples of the simulated sensor."""
    size = RATE_HZ // 50
    sound = noise(SEED)
    heard = np.concatenate([sound(size) for _ in range(-(-count // size))])[:count]
    return np.floor(heard * 2**23).astype(np.int64)


def test_a_device_says_who_it_is(serve: Serve) -> None:
    port = serve("tcp:0")
    told = json.loads(bridge("hello", port, "--json").stdout)
    assert (told["model"], told["boot_id"], told["uid"]) == ("hydroear simulator", SEED, b"simulated".hex())
    said = bridge("hello", port).stdout
    assert "hydroear simulator" in said
    assert f"stream 1: hydrophone, 1 channel(s), {RATE_HZ} Hz, int16 or int24" in said


@pytest.mark.parametrize("kind", ["tcp", "terminal"])
def test_a_recording_is_what_was_sent_with_zeros_for_what_was_lost(kind: str, serve: Serve, tmp_path: Path) -> None:
    place = "tcp:0" if kind == "tcp" else str(tmp_path / "line")
    port = serve(place, "--faults", "loss=0.1,corrupt=0.05,drift=100")
    out, capture = tmp_path / "out", tmp_path / "capture.bin"
    bridge("record", port, "--out", str(out), "--seconds", "4", "--capture", str(capture), "--quiet")
    ((told, samples),) = recordings(out)
    lost = np.zeros(len(samples), bool)
    for gap in told["gaps"]:
        assert gap["place"] == "link"
        lost[gap["first"] : gap["first"] + gap["count"]] = True
    assert 0.02 < lost.mean() < 0.5
    assert len(samples) == told["samples"] > 2 * RATE_HZ
    first = told["first_sample_index"]
    np.testing.assert_array_equal(samples[~lost, 0], sent(first + len(samples))[first:][~lost])
    assert not samples[lost].any()
    assert told["device"]["model"] == "hydroear simulator"
    assert told["gains"] == [{"first": 0, "gain_db": 0.0}]

    replayed = json.loads(bridge("sniff", "--json", str(capture), code=1).stdout.splitlines()[-1])
    assert replayed["samples_lost"]["link"] == lost.sum()


def test_each_boot_has_a_recording_of_its_own(serve: Serve, tmp_path: Path) -> None:
    port = serve("tcp:0", "--faults", "reboot=2")
    done = bridge("record", port, "--out", str(tmp_path), "--seconds", "5", "--quiet")
    boots = [told["device"]["boot_id"] for told, _ in recordings(tmp_path)]
    assert len(boots) >= 2
    assert boots == sorted(set(boots))
    assert len(done.stdout.splitlines()) == len(boots)


def test_a_recording_that_is_broken_off_is_whole(serve: Serve, tmp_path: Path) -> None:
    port = serve("tcp:0")
    command = [BRIDGE, "record", port, "--out", str(tmp_path), "--seconds", "600", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not any(path.stat().st_size > 3 * RATE_HZ for path in tmp_path.glob("*.wav")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert "0 of them lost" in process.communicate(timeout=10)[0]
    assert process.returncode == 0
    ((told, samples),) = recordings(tmp_path)
    assert len(samples) == told["samples"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["hello", "tcp://127.0.0.1:1"], 1, "no connection"),
        (["hello", "nowhere"], 1, "not there"),
        (["hello", "tcp://"], 2, "expected tcp://HOST:PORT"),
        (["simulate", "--at", "tcp:x"], 2, "expected tcp:PORT"),
        (["simulate", "--at", "/nowhere/line"], 2, "name a link that is to be made"),
        (["record", "nowhere", "--out", "/proc/x", "--seconds", "1"], 2, "/proc/x"),
        (["record", "nowhere", "--out", ".", "--seconds", "0"], 2, "expected above 0"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = bridge(*arguments, code=code)
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_sensor_that_is_not_there_is_told_with_those_that_are(serve: Serve, tmp_path: Path) -> None:
    done = bridge(
        "record", serve("tcp:0"), "--out", str(tmp_path), "--seconds", "5", "--stream", "9", "--quiet", code=2
    )
    assert "has no stream 9; there is 1" in done.stderr
