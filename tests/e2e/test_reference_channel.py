"""A second microphone, from stereo audio to what a person and the control room are told."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hydroear.cli import main
from hydroear.config.loader import load_config
from hydroear.errors import ConfigError
from hydroear.model import SHIPPED_BUNDLE
from hydroear.selftest.sensor import listen
from listening import DECISION, RATE_HZ, SCENE_S, decision_options, health, hydroear, json_lines, scene, write
from virtual_microphone import virtual_microphone


def stereo(tmp_path: Path, *, airborne: bool) -> Path:
    """The scene with a leak; the reference hears it 20 dB fainter, or as a compressor in the street that is no leak."""
    own_noise = np.random.default_rng(1).normal(scale=1e-4, size=len(scene())).astype(np.float32)
    gain = np.float32(2.0 if airborne else 0.1)
    calm = health(SCENE_S, 7) if airborne else np.zeros_like(own_noise)
    return write(tmp_path / "main.wav", np.stack([own_noise + gain * (scene() - calm), scene()], axis=1))


def replay(recording: Path, site: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Changes of state, and the summary."""
    hearing = ["--channel", 2, "--reference-channel", 1, "--bundle", SHIPPED_BUNDLE, "--site", site]
    done = hydroear("replay", "--json", recording, *hearing, *decision_options())
    assert done.returncode == 0, done.stderr
    *_, summary = json_lines(done.stdout)
    return json_lines(done.stdout, "state"), summary


def test_a_leak_that_the_reference_hears_too_is_still_called(tmp_path: Path, site: Path) -> None:
    changes, summary = replay(stereo(tmp_path, airborne=False), site)
    assert [line["state"] for line in changes] == ["quiet", "warning", "leak", "quiet"]
    assert summary["windows_skipped"] == 0


def test_what_sounds_like_a_leak_but_is_in_the_air_makes_the_sensor_noisy_and_nothing_else(
    tmp_path: Path, site: Path
) -> None:
    changes, summary = replay(stereo(tmp_path, airborne=True), site)
    assert [line["state"] for line in changes] == ["quiet", "noisy", "quiet"]
    assert "is a sound in the air: not scored" in changes[1]["reason"]
    assert summary["windows_skipped"] > 10
    assert summary["events"] == []


def test_a_running_unit_counts_what_was_vetoed_and_feeds_its_watchdog_meanwhile(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        hiss = np.random.default_rng(1).normal(scale=0.02, size=10 * RATE_HZ).astype(np.float32)
        source = {
            "type": "wav",
            "files": [str(write(tmp_path / "air.wav", np.stack([hiss, 2.0 * hiss], axis=1)))],
            "speed": 0,
            "reference_channel": 2,
        }
        config = unit(tmp_path, source, site)
        told: list[bytes] = []
        reader = threading.Thread(
            target=lambda: told.extend(iter(lambda: manager.recv(4096), b"STOPPING=1")), daemon=True
        )
        reader.start()
        done = hydroear("run", "-c", config, "--json")
        assert done.returncode == 0, done.stderr
        reader.join(10.0)
    windows = json_lines(done.stdout, "window")
    assert windows
    assert not any(line["scored"] for line in windows)
    assert windows[-1]["state"] == "noisy"
    assert any(b"READY=1" in message for message in told)
    assert sum(b"WATCHDOG=1" in message for message in told) == len(windows)


def test_the_self_test_hears_both_channels_of_a_real_device(
    tmp_path: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hiss = np.random.default_rng(1).normal(scale=0.01, size=30 * RATE_HZ).astype(np.float32)
    source = {"type": "microphone", "device": "alsa:leakmic", "channels": 2, "reference_channel": 2}
    config = unit(tmp_path, source, site)
    with virtual_microphone(tmp_path, np.stack([hiss, 0.0 * hiss], axis=1)):
        assert main(["selftest", "-c", str(config), "--json"]) == 1
    stages = {stage["stage"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
    assert stages["source pipe"]["result"] == "pass"
    assert stages["reference pipe"]["result"] == "fail"
    assert stages["reference pipe"]["measured"].startswith("digital silence")


def test_a_reference_that_works_passes_the_self_test(tmp_path: Path, site: Path) -> None:
    pipe, reference = np.random.default_rng(1).normal(scale=0.01, size=(2, 5 * RATE_HZ)).astype(np.float32)
    recording = write(tmp_path / "both.wav", np.stack([pipe, reference], axis=1), subtype="FLOAT")
    source = {"type": "wav", "files": [str(recording)], "reference_channel": 2}
    sensor = load_config(unit(tmp_path, source, site)).sensors[0]
    heard = listen(sensor.source, patience_s=5.0)
    np.testing.assert_array_equal(heard.samples, pipe[: len(heard.samples)])
    assert heard.reference is not None
    np.testing.assert_array_equal(heard.reference, reference[: len(heard.reference)])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {"type": "microphone", "device": "alsa:x", "reference_channel": 2},
            "reference_channel 2 of 1: choose one that is opened",
        ),
        (
            {"type": "pipe", "command": "stdin", "channels": 2, "reference_channel": 1},
            "channel and reference_channel are both 1: the reference is another microphone",
        ),
        (
            {"type": "wav", "files": ["a.wav"], "channel": 2, "reference_channel": 2},
            "channel and reference_channel are both 2: the reference is another microphone",
        ),
    ],
)
def test_a_reference_that_cannot_be_is_told_in_one_line(
    tmp_path: Path, site: Path, source: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(unit(tmp_path, source, site))


def unit(tmp_path: Path, source: dict[str, Any], site: Path) -> Path:
    """The configuration of a unit with one sensor."""
    path = tmp_path / "unit.yaml"
    config = {
        "unit": "unit-1",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(tmp_path / "state"),
        "sensors": [{"id": "pipe", "source": source, "site": str(site)}],
        "decision": DECISION,
    }
    path.write_text(yaml.safe_dump(config))
    return path
