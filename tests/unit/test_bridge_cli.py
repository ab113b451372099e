"""``hydroear-bridge`` as its users call it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BRIDGE = str(Path(sys.executable).with_name("hydroear-bridge"))


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([BRIDGE, *arguments], input=stdin, capture_output=True, check=False)


def summary_of(sniff: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    summary: dict[str, object] = json.loads(sniff.stdout.splitlines()[-1])
    assert summary["kind"] == "summary"
    return summary


def test_what_the_simulator_says_cannot_arrive_is_what_the_sniffer_misses() -> None:
    simulated = run("simulate", "--seconds", "20", "--faults", "loss=0.05,corrupt=0.05", "--seed", "4")
    said = re.fullmatch(rb"simulated (\d+) frames; (\d+) of them, (\d+) samples, cannot arrive\n", simulated.stderr)
    assert said
    frames, frames_lost, samples_lost = map(int, said.groups())
    assert frames_lost > 50

    sniff = run("sniff", "--json", "-", stdin=simulated.stdout)
    summary = summary_of(sniff)
    assert sniff.returncode == 1
    assert summary["frames"] == frames - frames_lost
    assert summary["frames_lost"] == frames_lost
    assert summary["samples_lost"] == {"device": 0, "link": samples_lost, "unknown": 0}
    assert summary["samples"] == 20 * 16000 - samples_lost
    assert summary["bytes"] == len(simulated.stdout)

    kinds = [json.loads(line)["kind"] for line in sniff.stdout.splitlines()]
    assert kinds.count("frame") == summary["frames"]
    assert kinds.count("bad_frame") == summary["bad_frames"] != 0


def test_loss_alone_is_told_but_is_no_bad_frame(tmp_path: Path) -> None:
    capture = tmp_path / "capture.bin"
    assert (
        run("simulate", "--out", str(capture), "--seconds", "2", "--rate", "8000", "--faults", "loss=0.3").returncode
        == 0
    )
    sniff = run("sniff", str(capture))
    lines = sniff.stdout.decode().splitlines()
    assert sniff.returncode == 0
    assert re.fullmatch(
        r"frame 0 stream 0 0\.000000 s HELLO boot 00000000, uid \w+, 'hydroear simulator', 1 sensors", lines[0]
    )
    audio = (
        r"frame \d+ stream 1 \d+\.\d{6} s AUDIO samples \d+\.\.\d+, 8000 Hz, int16 x 1, gain 0 dB, level -\d\d\.\d dB"
    )
    assert any(re.fullmatch(audio, line) for line in lines)
    assert any(re.fullmatch(r"lost on the link: \d+ frames from \d+", line) for line in lines)
    assert any(re.fullmatch(r"lost, place link: \d+ samples of stream 1 from \d+", line) for line in lines)
    assert lines[-1].startswith("summary: ")


def test_each_loss_of_several_sensors_shows() -> None:
    simulated = run("simulate", "--seconds", "10", "--sensors", "3", "--faults", "loss=0.1", "--seed", "1")
    said = re.search(rb" (\d+) samples, cannot arrive", simulated.stderr)
    assert said
    sniff = run("sniff", "--json", "-", stdin=simulated.stdout)
    samples_lost = summary_of(sniff)["samples_lost"]
    assert samples_lost == {"device": 0, "link": int(said[1]), "unknown": 0}
    streams = {told["stream"] for told in map(json.loads, sniff.stdout.splitlines()) if told.get("type") == "audio"}
    assert streams == {1, 2, 3}


def test_a_capture_cut_short_tells_what_is_unfinished() -> None:
    stream = run("simulate", "--seconds", "0.1").stdout
    sniff = run("sniff", "--json", "-", stdin=stream[:-100])
    assert sniff.returncode == 0
    whole, rest = stream[:-100].rsplit(b"\x00", 1)
    assert summary_of(sniff)["unfinished_bytes"] == len(rest)
    assert summary_of(sniff)["frames"] == whole.count(b"\x00")


@pytest.mark.parametrize("junk", [b"", b"no frames in here\n", b"\x00two\x00words\x00"])
def test_bytes_without_a_frame_are_a_failure_in_one_line(junk: bytes) -> None:
    sniff = run("sniff", "-", stdin=junk)
    assert sniff.returncode == 1
    assert re.fullmatch(rb"hydroear-bridge: error: -: no frame in \d+ bytes; check the baud rate, .*\n", sniff.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "VERB"),
        (["sniff", "/nonexistent/capture.bin"], "/nonexistent/capture.bin: No such file or directory"),
        (["sniff", "/"], "/: Is a directory"),
        (["simulate", "--faults", "loss=1.5"], "loss is 1.5, expected 0 to 1"),
        (["simulate", "--faults", "corrupt=nan"], "corrupt is nan"),
        (["simulate", "--faults", "rain=1"], "no fault is called 'rain'; there are loss, "),
        (["simulate", "--faults", "loss"], "loss is '', expected a number"),
        (["simulate", "--faults", "cut=0.5"], "cut is 0.5, expected 0, or more than 1"),
        (["simulate", "--seconds", "0"], "seconds is 0"),
        (["simulate", "--rate", "0"], "rate is 0"),
        (["simulate", "--seed", "-1"], "seed is -1"),
        (["simulate", "--sensors", "0"], "invalid choice: 0"),
    ],
)
def test_a_wrong_call_is_refused_with_code_2(arguments: list[str], message: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2
    assert message in refused.stderr.decode()
    assert b"Traceback" not in refused.stderr


def test_a_full_disk_is_a_failure_in_one_line() -> None:
    full = run("simulate", "--out", "/dev/full")
    assert full.returncode == 1
    assert full.stderr == b"hydroear-bridge: error: No space left on device\n"


def test_help_and_version() -> None:
    assert b"sniff" in run("--help").stdout
    assert re.fullmatch(rb"hydroear-bridge \d+\.\d+\.\d+\S*\n", run("--version").stdout)


def test_what_it_imports_is_installed_with_it() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = {
        name: {re.split(r"\W", line)[0] for line in (*project["dependencies"], *lines)}
        for name, lines in project["optional-dependencies"].items()
    }
    for path in (root / "firmware_bridge" / "hydroear_bridge").rglob("*.py"):
        names = {
            (node.names[0].name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        others = {"pyserial" if name == "serial" else name for name in names - sys.stdlib_module_names}
        extra = "smp" if path.name in ("smp_server.py", "tunnel.py", "update.py") else "bridge"
        assert others - {"hydroear_bridge"} <= extras[extra], path
