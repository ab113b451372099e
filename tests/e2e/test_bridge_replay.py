"""``hydroear-bridge replay``: what was captured is heard again as the device was, to the sample."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge_tool import BRIDGE, Serving, bridge, recordings
from hydroear.audio import Block, Gap
from hydroear.capture.bridge import BridgeSource
from hydroear.config import schema
from hydroear_bridge.frames import Capabilities, Frame, Hello
from hydroear_bridge.link import Decoder
from hydroear_bridge.simulator import simulate

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def taped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what was recorded of a device behind a bad link, that booted, and the bytes in ``capture.bin``."""
    folder = tmp_path_factory.mktemp("taped")
    faults = "loss=0.05,corrupt=0.03,duplicate=0.03,reboot=2.5"
    with Serving("simulate", "--at", "tcp:0", "--rate", RATE_HZ, "--faults", faults, "--seed", 5) as device:
        bridge("record", device.port, "--out", folder, "--seconds", 6, "--capture", folder / "capture.bin", "--quiet")
    return folder


def without_device(folder: Path) -> list[dict[str, Any]]:
    """What is told of each recording, but what depends on the time at which it was made."""
    return [{key: told[key] for key in told if key not in ("file", "began", "ended")} for told, _ in recordings(folder)]


def sniffed(capture: Path) -> list[dict[str, Any]]:
    """What a stream says, but what its HELLO offers, and answers."""
    told = [json.loads(line) for line in bridge("sniff", "--json", capture, code=1).stdout.splitlines()]
    for one in told:
        one.pop("capabilities", None)
        one.pop("offset", None)  # of bad bytes: an empty piece is not played
    answers = ("time", "result", "0x02", "0x07")
    return [one for one in told if one["kind"] != "summary" and one.get("type") not in answers]


@pytest.mark.parametrize(("kind", "speed"), [("tcp", 0), ("tcp", 2), ("terminal", 0), ("terminal", 2)])
def test_what_is_recorded_of_a_replay_is_what_was_recorded_of_the_device(
    kind: str, speed: float, taped: Path, tmp_path: Path
) -> None:
    place = "tcp:0" if kind == "tcp" else tmp_path / "line"
    again = tmp_path / "again"
    with Serving("replay", taped / "capture.bin", "--at", place, "--speed", speed, "--quiet") as replay:
        record = ["--out", again, "--seconds", 60, "--capture", tmp_path / "capture.bin", "--quiet"]
        began_s = time.monotonic()
        assert "gone" in bridge("record", replay.port, *record, code=1).stderr
        replay.wait()
        if speed:
            assert time.monotonic() - began_s > 4.0 / speed
    assert without_device(again) == without_device(taped)
    assert len(recordings(taped)) >= 2
    assert any(told["gaps"] for told, _ in recordings(taped))
    for (_, heard), (_, expected) in zip(recordings(again), recordings(taped), strict=True):
        np.testing.assert_array_equal(heard, expected)
    assert sniffed(tmp_path / "capture.bin") == sniffed(taped / "capture.bin")


def test_a_unit_hears_it_as_it_heard_the_device(tmp_path: Path) -> None:
    capture = tmp_path / "capture.bin"
    with Serving("simulate", "--at", "tcp:0", "--faults", "loss=0.1,corrupt=0.05", "--seed", 6) as device:
        record = ["--out", tmp_path / "tape", "--seconds", 4, "--rate", RATE_HZ, "--capture", capture, "--quiet"]
        bridge("record", device.port, *record)
    ((told, samples),) = recordings(tmp_path / "tape")
    with Serving("replay", capture, "--at", "tcp:0", "--quiet") as replay:
        source = BridgeSource(schema.BridgeSource.model_validate({"type": "bridge", "port": replay.port}))
        pieces: list[Block | Gap] = []
        while sum(piece.length if isinstance(piece, Gap) else len(piece.samples) for piece in pieces) < len(samples):
            piece = source.read()
            assert piece is not None
            if pieces or isinstance(piece, Block):
                pieces.append(piece)
        source.close()
    begin = pieces[0].first_index
    gaps = [(piece.first_index - begin, piece.length) for piece in pieces if isinstance(piece, Gap)]
    assert gaps == [(gap["first"], gap["count"]) for gap in told["gaps"]] != []
    for block in (piece for piece in pieces if isinstance(piece, Block)):
        expected = samples[block.first_index - begin : block.end_index - begin]
        np.testing.assert_array_equal(block.samples, (expected / 2**23).astype(np.float32))
    assert source.device.model == "hydroear simulator"
    assert source.device.frames_bad > 0


def test_who_connects_late_hears_the_rest_and_nothing_is_called_bad(tmp_path: Path) -> None:
    bridge("simulate", "--out", tmp_path / "bytes.bin", "--seconds", 6, "--rate", RATE_HZ)
    with Serving("replay", tmp_path / "bytes.bin", "--at", "tcp:0", "--quiet") as replay:
        bridge("hello", replay.port)  # listens for a moment, and leaves
        bridge("record", replay.port, "--out", tmp_path, "--seconds", 2, "--capture", tmp_path / "rest.bin", "--quiet")
        ((told, samples),) = recordings(tmp_path)
        assert told["first_sample_index"] > 0
        assert told["gaps"] == []
        assert len(samples) > RATE_HZ
        assert "0 bad frames" in bridge("sniff", tmp_path / "rest.bin").stdout


def test_it_is_written_at_once_with_faults_as_one_likes(taped: Path, tmp_path: Path) -> None:
    bridge("replay", taped / "capture.bin", "--out", tmp_path / "same.bin")
    assert sniffed(tmp_path / "same.bin") == sniffed(taped / "capture.bin")
    offered = [
        frame.body.capabilities
        for frame in Decoder().receive((tmp_path / "same.bin").read_bytes())
        if isinstance(frame, Frame) and isinstance(frame.body, Hello)
    ]
    assert set(offered) == {Capabilities.STATUS | Capabilities.EVENT | Capabilities.LOG}
    for name in ("one", "two"):
        bridge("replay", taped / "capture.bin", "--faults", "loss=0.5", "--seed", 3, "--out", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert 0.3 < (tmp_path / "one").stat().st_size / (tmp_path / "same.bin").stat().st_size < 0.7
    piped = subprocess.run(
        [BRIDGE, "replay", "-"], input=(tmp_path / "one").read_bytes(), capture_output=True, check=True
    )
    assert Decoder().receive(b"\0" + piped.stdout) == Decoder().receive(b"\0" + (tmp_path / "one").read_bytes())


def test_ctrl_c_ends_it_in_order(taped: Path) -> None:
    with Serving("replay", taped / "capture.bin", "--at", "tcp:0", "--quiet") as replay:
        bridge("hello", replay.port)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.bin"], 2, "nowhere.bin: No such file"),
        (["/dev/null", "--out", "x"], 1, "/dev/null: no frame in 0 bytes"),
        (["junk", "--at", "tcp:0"], 1, "junk: no frame in 9 bytes"),
        (["junk", "--at", "tcp:x"], 1, "no frame"),
        (
            ["junk", "--faults", "reboot=3", "--out", "x"],
            2,
            "'reboot'; there are loss, corrupt, duplicate, noise, stall",
        ),
        (["junk", "--speed", "2", "--out", "x"], 2, "speed is 2, expected 0 to 1e+06, with --at"),
        (["bytes", "--seed", "-1", "--out", "x"], 2, "seed is -1, expected at least 0"),
        (["junk", "--speed", "-1", "--at", "tcp:0"], 2, "speed is -1"),
        (["bytes", "--at", "tcp:x"], 2, "tcp:x is no place"),
        (["bytes", "--out", "/nowhere/x"], 2, "/nowhere/x: No such file"),
        (["bytes", "--out", "/dev/full"], 1, "No space left"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk").write_bytes(b"\0no frame")
    (tmp_path / "bytes").write_bytes(b"".join(one.wire for one in simulate(duration_s=0.1)))
    done = bridge("replay", *arguments, code=code)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
