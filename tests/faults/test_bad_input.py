"""Whatever is wrong with a file, an option or a setting: one line that says what, where and what to do."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import zipfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hydroear.model import SHIPPED_BUNDLE, read_bundle, write_bundle
from listening import RATE_HZ, health, hydroear, json_lines, said, scene, write

BUNDLE = read_bundle(SHIPPED_BUNDLE)
SECOND = RATE_HZ


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Path:
    """A folder of good and bad recordings, bundles, calibrations and configurations."""
    folder = tmp_path_factory.mktemp("files")
    write_recordings(folder)
    write_bundles(folder)
    write_calibrations(folder, site)
    write_configurations(folder)
    return folder


def write_recordings(folder: Path) -> None:
    good = health(12.0)
    write(folder / "good.wav", good)
    write(folder / "good.flac", good)
    (folder / "empty.wav").touch()
    (folder / "folder.wav").mkdir()
    (folder / "text.wav").write_text("the pipe in the High Street\n" * 1000)
    (folder / "truncated.wav").write_bytes((folder / "good.wav").read_bytes()[:100_000])
    (folder / "truncated.flac").write_bytes((folder / "good.flac").read_bytes()[:100_000])
    write(folder / "header.wav", good[:0])
    write(folder / "short.wav", good[: SECOND // 2])
    write(folder / "rate.wav", good[::2], rate_hz=RATE_HZ // 2)
    write(folder / "silent.wav", 0 * good)
    write(folder / "stuck.wav", 0 * good + np.float32(0.25))
    write(folder / "clipped.wav", 8 * scene()[15 * SECOND : 30 * SECOND])
    nan = good.copy()
    nan[10 * SECOND] = np.nan
    write(folder / "nan.wav", nan, subtype="FLOAT")


def write_bundles(folder: Path) -> None:
    content = SHIPPED_BUNDLE.read_bytes()
    (folder / "truncated.hydroear").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(SHIPPED_BUNDLE) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    extractor = bytearray(members["extractor.tflite"])
    extractor[len(extractor) // 2] ^= 1
    pack(folder / "altered.hydroear", {**members, "extractor.tflite": bytes(extractor)})
    pack(
        folder / "newer.hydroear", {**members, "manifest.json": json.dumps({**manifest, "format_version": 2}).encode()}
    )
    pack(folder / "other.hydroear", {"holiday.jpg": b"sea"})
    front_end = replace(BUNDLE.front_end, window_frames=40, window_hop_frames=20)
    audio = BUNDLE.golden.audio[:, : front_end.window_samples]
    other = replace(BUNDLE, front_end=front_end, golden=replace(BUNDLE.golden, audio=audio))
    write_bundle(folder / "front-end.hydroear", other)


def pack(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_calibrations(folder: Path, site: Path) -> None:
    text = site.read_text()
    calibration = json.loads(text)
    (folder / "good.json").write_text(text)
    (folder / "truncated.json").write_text(text[: len(text) // 2])
    bad: dict[str, dict[str, Any]] = {
        "foreign": {"bundle_sha256": "0" * 64},
        "nan": {"band_mean": [float("nan")] * len(calibration["band_mean"])},
        "bands": {"band_mean": calibration["band_mean"][1:]},
    }
    for name, change in bad.items():
        (folder / f"{name}.json").write_text(json.dumps(calibration | change))


def write_configurations(folder: Path) -> None:
    def config(name: str, *, source: dict[str, Any] | None = None, **changes: Any) -> None:
        wav = source or {"type": "wav", "files": [str(folder / "good.wav")], "speed": 0}
        unit: dict[str, Any] = {
            "unit": "high-street",
            "bundle": str(SHIPPED_BUNDLE),
            "state_dir": str(folder / f"state-{name}"),
            "sensors": [{"id": "hydrant-7", "source": wav}],
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**unit, **changes}, sort_keys=False))

    config("three", sensor="hydrant-7", runtime=7, decision={"horizon_s": 0.5, "low_percentile": "low"})
    config("bundle", bundle=str(folder / "altered.hydroear"))
    config("site", sensors=[{"id": "a", "source": {"type": "wav", "files": ["good.wav"]}, "site": "foreign.json"}])
    config("port", mqtt={"url": "mqtt://localhost:99999"})
    config("nobody", mqtt={"url": "mqtt://localhost", "password_file": "good.json"})
    config("password", mqtt={"url": "mqtt://localhost", "username": "u", "password_file": "gone"})
    config("state", state_dir="/proc/hydroear")
    config("clipped", source={"type": "wav", "files": [str(folder / "clipped.wav")], "speed": 0})
    for name in AUDIO:
        config(name, source={"type": "wav", "files": [name], "speed": 0})
    (folder / "tab.yaml").write_text("unit: a\n\tbundle: b\n")


AUDIO = {
    "missing.wav": "no such file; expected a recording; check the path",
    "empty.wav": "empty file, 0 bytes; expected audio; copy or record it again",
    "folder.wav": "is a directory; expected a recording; check the path",
    "text.wav": "not audio, or of an unknown format; expected WAV, FLAC or another format of libsndfile; check what",
    "truncated.wav": "truncated: the header promises 384000 bytes of samples, the file holds 99956; copy it again",
    "truncated.flac": r"(truncated|cannot be decoded).*; copy or record it again",
    "header.wav": "holds no samples, only a header; expected at least one sample; record it again",
    "nan.wav": r"sample nan at 10\.000 s in channel 1; expected finite samples; export the recording again",
    "rate.wav": "audio at 8000 Hz carries nothing above 4000 Hz; expected at least 14000 Hz",
}


SHORT = {
    "REPLAY": f"replay --bundle {SHIPPED_BUNDLE}",
    "CALIBRATE": f"calibrate --bundle {SHIPPED_BUNDLE} --out x.json",
}
COMMANDS = {
    "REPLAY short.wav": (1, "short.wav: shorter than one window; give a longer recording"),
    "CALIBRATE silent.wav": (1, r"silent.wav: the audio stands still at 0\.0 s.*; check the sensor"),
    "CALIBRATE stuck.wav": (1, r"stuck.wav: the audio stands still at 0\.0 s.*; check the sensor"),
    "CALIBRATE good.wav --to-s 3": (1, "calibration: .*too few; expected at least 6 s"),
    "CALIBRATE good.wav --from-s 11": (1, "good.wav: no whole window between 11 s and the end"),
    "CALIBRATE good.wav --from-s 5 --to-s 4": (2, "--to-s: from 5 s to 4 s is no stretch"),
    "CALIBRATE good.wav --out /proc/x.json": (1, "/proc/x.json: cannot be written"),
    "replay --bundle missing.hydroear good.wav": (1, "missing.hydroear: cannot be read .*; expected a bundle; check"),
    "replay --bundle truncated.hydroear good.wav": (1, "truncated.hydroear: truncated, damaged or no bundle .*; copy"),
    "replay --bundle good.wav good.wav": (1, "good.wav: truncated, damaged or no bundle .*; expected a bundle; copy"),
    "replay --bundle altered.hydroear good.wav": (1, "altered.hydroear: altered: extractor.tflite .*; copy it again"),
    "replay --bundle newer.hydroear good.wav": (1, "newer.hydroear: format 2 is newer.*; expected format 1; update"),
    "replay --bundle other.hydroear good.wav": (1, "other.hydroear: a ZIP archive, but no bundle; expected a bundle"),
    "replay --bundle front-end.hydroear good.wav": (1, "made for another front end: extractor input .*; expected .*;"),
    "REPLAY --site missing.json good.wav": (1, "missing.json: cannot be read .*; run hydroear calibrate"),
    "REPLAY --site truncated.json good.wav": (1, "truncated.json: no calibration, .*; run hydroear calibrate"),
    "REPLAY --site foreign.json good.wav": (1, "foreign.json: learned with bundle 000000000000; expected bun"),
    "REPLAY --site nan.json good.wav": (1, "nan.json: no calibration, .* not finite.*; run hydroear calibrate"),
    "REPLAY --site bands.json good.wav": (1, "bands.json: damaged: 63 bands .*; run hydroear calibrate again"),
    "REPLAY good.wav --decision horizon=3": (2, "--decision: horizon: unknown key; .*; did you mean horizon_s"),
    "REPLAY good.wav --decision horizon_s=x": (2, "--decision: horizon_s: bad value 'x'; expected a number fr"),
    "REPLAY good.wav --decision horizon_s": (2, "--decision: 'horizon_s' has no value; expected KEY=VALUE"),
    "REPLAY good.wav --decision clear_decades=6": (2, "--decision: clear_decades 6 is not below raise_decades 5.16"),
    "REPLAY good.wav --mqtt broker": (2, r"--mqtt: url: bad value 'broker'; expected .*mqtt://HOST\[:PORT\]"),
    "REPLAY good.wav --mqtt mqtt://x:70000": (2, "--mqtt: url: bad value 'mqtt://x:70000'; expected mqtt://HOST"),
    "REPLAY good.wav --unit high/street": (2, "--unit: bad name 'high/street'; expected 1 to 63 letters"),
    "REPLAY good.wav --speed -1": (2, "speed -1.0; expected 0 .* or more; use 1 for real time"),
    "REPLAY good.wav --channel 3": (1, "good.wav: no channel 3; expected 1 to 1; choose a channel"),
    "run -c missing.yaml": (2, "missing.yaml: no such file; expected a configuration file; check the path"),
    "run -c good.wav": (2, "good.wav:1: .*; expected UTF-8 text; save the file as UTF-8"),
    "run -c tab.yaml": (2, "tab.yaml:2:1: indented with a tab"),
    "run -c bundle.yaml": (1, "altered.hydroear: altered: extractor.tflite .*; copy it again"),
    "run -c site.yaml": (1, "foreign.json: learned with bundle 000000000000; expected bundle"),
    "run -c port.yaml": (2, r"port.yaml:\d+: mqtt.url: bad value 'mqtt://localhost:99999'; expected"),
    "run -c nobody.yaml": (2, "mqtt.password_file: a password without a user name; set mqtt.username"),
    "run -c password.yaml": (1, "gone: the password cannot be read: No such file or directory; put the password"),
    "run -c state.yaml": (1, "/proc/hydroear/outbox.sqlite: the queue cannot be used.*; check the folder's owner"),
}


def complaint(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The one line that a failed command says."""
    assert done.returncode == status, done.stderr
    (line,) = said(done.stderr)
    assert line.startswith("hydroear: error: ")
    return line


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        *(("replay", name) for name in AUDIO),
        *product(["calibrate", "run"], ["missing.wav", "truncated.flac", "nan.wav", "rate.wav"]),
    ],
)
def test_a_recording_that_cannot_be_heard_is_refused(verb: str, name: str, files: Path) -> None:
    out = files / "refused.json"
    arguments = {
        "replay": ["replay", "--bundle", SHIPPED_BUNDLE, "--json", files / name],
        "calibrate": ["calibrate", "--bundle", SHIPPED_BUNDLE, "--out", out, files / name],
        "run": ["run", "--json", "-c", files / f"{name}.yaml"],
    }
    done = hydroear(*arguments[verb])
    line = complaint(done, 1)
    assert re.search(AUDIO[name], line)
    assert name.split(".")[0] in line or (verb, name) == ("run", "rate.wav")
    assert json_lines(done.stdout, "summary") == []
    assert not out.exists()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_cannot_be_done_says_why(line: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    status, says = COMMANDS[line]
    verb, *arguments = shlex.split(line)
    done = hydroear(*shlex.split(SHORT.get(verb, verb)), *arguments)
    assert re.search(says, complaint(done, status))
    assert not (files / "x.json").exists()


def test_every_problem_of_a_configuration_is_told_at_once(files: Path) -> None:
    done = hydroear("run", "-c", files / "three.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    wrong = {
        "sensor": "unknown key",
        "runtime": "'7'",
        "decision.horizon_s": "'0.5'",
        "decision.low_percentile": "'low'",
    }
    lines = said(done.stderr)
    assert len(lines) == len(wrong)
    for line, (key, what) in zip(lines, wrong.items(), strict=True):
        assert re.match(rf"hydroear: error: {files}/three\.yaml:\d+: {re.escape(key)}: .*{what}; expected .", line)


@pytest.mark.parametrize("name", ["silent", "stuck"])
def test_a_pipe_that_cannot_be_heard_is_at_fault_and_neither_quiet_nor_leaking(name: str, files: Path) -> None:
    done = hydroear("replay", "--bundle", SHIPPED_BUNDLE, "--json", files / f"{name}.wav")
    complaint(done, 1)
    windows = json_lines(done.stdout, "window")
    assert {(line["state"], line["scored"], line["score_decades"]) for line in windows} == {("fault", False, None)}
    (change,) = json_lines(done.stdout, "state")
    assert (change["state"], change["event"]) == ("fault", None)
    (summary,) = json_lines(done.stdout, "summary")
    assert (summary["state"], summary["windows_scored"], summary["events"]) == ("fault", 0, [])
    if name == "silent":
        assert {line["level_db"] for line in windows} == {None}


def test_clipped_audio_is_scored_and_warned_of(files: Path) -> None:
    done = hydroear("replay", "--bundle", SHIPPED_BUNDLE, "--json", files / "clipped.wav")
    assert done.returncode == 0
    windows = json_lines(done.stdout, "window")
    assert all(line["scored"] for line in windows)
    clipped = sum(line["ailment"] == "clipped" for line in windows)
    assert clipped > 0
    assert said(done.stderr) == [f"hydroear: warning: clipped: {clipped} windows are clipped; lower the gain"]


def test_a_unit_warns_of_clipping_once_an_hour(files: Path) -> None:
    done = hydroear("run", "-c", files / "clipped.yaml")
    assert done.returncode == 0
    (line,) = said(done.stderr)
    assert re.fullmatch(r"hydroear: warning: .+: at \d+\.\d s some samples are clipped: lower the gain.*", line)
