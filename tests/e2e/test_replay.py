"""``hydroear calibrate`` and ``hydroear replay`` from recordings on disk to JSON lines, tables and MQTT."""

from __future__ import annotations

import json
import subprocess
import time
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from scipy.signal import resample_poly

from broker import Mosquitto
from hydroear.model import SHIPPED_BUNDLE, available_runtimes, read_bundle
from listening import (
    DECISION,
    LEAK,
    RATE_HZ,
    SCENE_S,
    command,
    decision_options,
    health,
    hydroear,
    json_lines,
    said,
    scene,
    write,
)

SPEC = read_bundle(SHIPPED_BUNDLE).front_end


def replay(*arguments: object, site: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Replay with the shipped bundle."""
    done = hydroear("replay", "--bundle", SHIPPED_BUNDLE, "--site", site, *arguments)
    assert done.returncode == status, done.stderr
    return done


def scores(stdout: str, sensor: str) -> NDArray[np.float64]:
    """Site scores of one sensor's windows."""
    return np.array([line["score_decades"] for line in json_lines(stdout, "window") if line["sensor"] == sensor])


def test_every_window_and_every_change_of_state_is_told_on_the_grid_of_the_stream(site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", scene())
    done = replay("--json", recording, *decision_options(), site=site)
    assert said(done.stderr) == []
    *lines, summary = json_lines(done.stdout)
    windows = [line for line in lines if line["kind"] == "window"]
    changes = [line for line in lines if line["kind"] == "state"]

    count = int((SCENE_S - SPEC.window_s) / SPEC.window_hop_s) + 1
    assert [line["window"] for line in windows] == list(range(count))
    ends_s = [round(SPEC.window_s + i * SPEC.window_hop_s, 3) for i in range(count)]
    assert [line["position_s"] for line in windows] == ends_s
    fields = ["kind", "sensor", "window", "position_s", "scored", "score_decades", "error", "level_db", "level"]
    assert all(list(line) == [*fields, "level_unit", "ailment", "state", "condition"] for line in windows)
    assert {(line["level"], line["level_unit"]) for line in windows} == {(None, None)}, "a recording does not tell"
    assert all(line["sensor"] == "main" and line["scored"] and line["ailment"] is None for line in windows)

    for before, line in pairwise(lines):
        if line["kind"] == "state":  # after the window that made it
            assert (line["position_s"], line["state"]) == (before["position_s"], before["state"])
    assert all(
        list(line) == ["kind", "sensor", "position_s", "previous", "state", "event", "reason"] for line in changes
    )
    assert [(line["previous"], line["state"], line["event"]) for line in changes] == [
        ("learning", "quiet", None),
        ("quiet", "warning", None),
        ("warning", "leak", "open"),
        ("leak", "quiet", "close"),
    ]
    warned_s, opened_s, closed_s = (line["position_s"] for line in changes[1:])
    assert LEAK.start_s < warned_s <= opened_s - DECISION["recheck_s"]
    assert opened_s < LEAK.start_s + DECISION["horizon_s"] + DECISION["recheck_s"] + 2 * SPEC.window_s
    assert LEAK.end_s < closed_s

    decades = scores(done.stdout, "main")
    assert summary == {
        "kind": "summary",
        "sensor": "main",
        "windows_scored": count,
        "windows_skipped": 0,
        "median_decades": pytest.approx(float(np.median(decades)), abs=1e-3),
        "highest_decades": pytest.approx(decades.max(), abs=1e-3),
        "events": [opened_s],
        "clipped": 0,
        "state": "quiet",
    }


def test_a_dropout_delays_a_leak_and_hides_none(site: Path, tmp_path: Path) -> None:
    usual = replay("--json", write(tmp_path / "usual.wav", scene()), *decision_options(), site=site)
    (opened_s,) = json_lines(usual.stdout, "summary")[0]["events"]
    torn = scene().copy()
    dropout = round((opened_s - SPEC.window_s / 2) * RATE_HZ)
    torn[dropout : dropout + RATE_HZ // 5] = 0
    done = replay("--json", write(tmp_path / "torn.wav", torn), *decision_options(), site=site)
    changes = [(line["previous"], line["state"], line["event"]) for line in json_lines(done.stdout, "state")]
    assert changes[2:5] == [("warning", "fault", None), ("fault", "warning", None), ("warning", "leak", "open")]
    (summary,) = json_lines(done.stdout, "summary")
    assert len(summary["events"]) == 1
    assert summary["windows_skipped"] in (2, 3)


def test_people_get_a_line_for_every_change_and_a_table(site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", scene())
    *changes, blank, head, row = replay(recording, *decision_options(), site=site).stdout.splitlines()
    assert [line.split()[3] for line in changes] == ["quiet", "warning", "leak", "quiet"]
    assert "sound as they do in 1 of 10^2.5 such times when the pipe is well" in changes[2]
    assert blank == ""
    assert head.split()[:3] == ["recording", "scored", "skipped"]
    opened = changes[2].split()[0]
    assert row.split()[:3] == ["main", str(int((SCENE_S - SPEC.window_s) / SPEC.window_hop_s) + 1), "0"]
    assert row.endswith(f"  {opened} s")


def test_every_file_is_a_sensor_of_its_own_whatever_it_is_called(site: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    recordings = [
        write(tmp_path / "a" / "night.wav", scene()),
        write(tmp_path / "b" / "night.wav", health()),
        write(tmp_path / "__ Köln 7#.wav", health()),
    ]
    done = replay("--json", *recordings, *decision_options(), site=site)
    summaries = json_lines(done.stdout, "summary")
    assert [line["sensor"] for line in summaries] == ["night", "night-2", "K_ln_7_"]
    assert [len(line["events"]) for line in summaries] == [1, 0, 0]
    for summary in summaries:
        windows = [line for line in json_lines(done.stdout, "window") if line["sensor"] == summary["sensor"]]
        assert [line["window"] for line in windows] == list(range(len(windows)))
        assert windows[0]["state"] == "learning"


def test_recordings_of_any_encoding_and_rate_are_heard_alike(site: Path, tmp_path: Path) -> None:
    heard = scene()[15 * RATE_HZ : 30 * RATE_HZ]
    heard = np.rint(heard * 32768).astype(np.float32) / np.float32(32768)
    loud = 0.9 / np.abs(heard).max()  # or 8 bits would hear their own noise
    exact = {
        "bits24": write(tmp_path / "bits24.wav", heard, subtype="PCM_24"),
        "float32": write(tmp_path / "float32.wav", heard, subtype="FLOAT"),
        "flac": write(tmp_path / "flac.flac", heard),
    }
    near = {
        "bits8": write(tmp_path / "bits8.wav", heard * loud, subtype="PCM_U8"),
        "hz48000": write(tmp_path / "hz48000.wav", resample_poly(heard, 3, 1), rate_hz=48000, subtype="PCM_24"),
        "hz44100": write(tmp_path / "hz44100.wav", resample_poly(heard, 441, 160), rate_hz=44100, subtype="PCM_24"),
    }
    plain = write(tmp_path / "plain.wav", heard)
    done = replay("--json", plain, *exact.values(), *near.values(), site=site)
    expected = scores(done.stdout, "plain")
    for name in exact:
        np.testing.assert_array_equal(scores(done.stdout, name), expected)
    for name in ("plain", *near):
        found = scores(done.stdout, name)
        assert np.median(found[:4]) < DECISION["raise_decades"] < found[5:].min(), name


def test_the_channel_that_is_asked_for_is_heard(site: Path, tmp_path: Path) -> None:
    leak, quiet = scene()[: 30 * RATE_HZ], health(30.0)
    stereo = write(tmp_path / "stereo.wav", np.stack([quiet, leak], axis=1))
    alone = [write(tmp_path / "quiet.wav", quiet), write(tmp_path / "leak.wav", leak)]
    mono = replay("--json", *alone, site=site).stdout
    for channel, name in ((1, "quiet"), (2, "leak")):
        done = replay("--json", stereo, "--channel", channel, site=site)
        np.testing.assert_array_equal(scores(done.stdout, "stereo"), scores(mono, name))


def test_the_decision_is_the_users(site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", scene())
    patient = replay("--json", recording, *decision_options(recheck_s=60.0), site=site)
    assert [line["state"] for line in json_lines(patient.stdout, "state")] == ["quiet", "warning", "quiet"]
    usual = replay("--json", recording, site=site)  # its horizon is as long as the recording
    assert [line["state"] for line in json_lines(usual.stdout, "state")] in ([], ["quiet"])


def test_speed_paces_the_replay(site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", health(20.0))
    line = command("replay", "--bundle", SHIPPED_BUNDLE, "--site", site, "--json", "--speed", 10, recording)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        told = [(time.monotonic(), report) for report in map(json.loads, program.stdout)]
    windows = [(at_s, report["position_s"]) for at_s, report in told if report["kind"] == "window"]
    (began_s, first_s), (ended_s, last_s) = windows[0], windows[-1]
    assert (last_s - first_s) / 10 - 0.3 < ended_s - began_s < (last_s - first_s) / 10 + 2.0


def test_every_runtime_hears_the_same_once_it_knows_the_site(tmp_path: Path) -> None:
    well, recording = write(tmp_path / "well.wav", health(60.0, seed=1)), write(tmp_path / "main.wav", scene())
    leaks = []
    for runtime in available_runtimes():
        site = tmp_path / f"{runtime}.json"
        done = hydroear("calibrate", "--bundle", SHIPPED_BUNDLE, "--runtime", runtime, "--out", site, well)
        assert done.returncode == 0, done.stderr
        done = replay("--json", recording, "--runtime", runtime, *decision_options(), site=site)
        leaks.append([line["events"] for line in json_lines(done.stdout) if line["kind"] == "summary"])
        assert len(leaks[-1][0]) == 1
    for other in leaks[1:]:
        assert other[0][0] == pytest.approx(leaks[0][0][0], abs=2.0)


def test_a_site_learned_on_one_runtime_is_refused_on_another(site: Path, tmp_path: Path) -> None:
    if len(available_runtimes()) < 2:
        pytest.skip("one interpreter is installed; the other has no wheel for this Python")
    recording = write(tmp_path / "main.wav", health(10.0))
    done = replay("--json", recording, "--runtime", available_runtimes()[1], site=site, status=1)
    assert "run hydroear calibrate again, or set the runtime to" in done.stderr


def test_the_control_room_gets_one_event_from_open_to_close(mosquitto: Mosquitto, site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", scene())
    options = [*decision_options(), "--unit", "bench-1", "--state-dir", tmp_path / "state"]
    with mosquitto.subscribe() as room:
        done = replay("--json", recording, "--mqtt", mosquitto.url, *options, site=site)
        assert said(done.stderr) == []
        room.wait_for(
            lambda got: got and got[-1].topic.endswith("/status") and b"offline" in got[-1].payload, "goodbye"
        )
        events = [message for message in room.received if "/event/" in message.topic]
        every = room.received
    assert [message.json["phase"] for message in events] == ["open", "close"]
    assert len({message.topic for message in events} | {message.json["event_id"] for message in events}) == 2
    assert [message.json["seq"] for message in events] == [0, 1]
    opened = next(line for line in json_lines(done.stdout, "state") if line["event"] == "open")
    assert events[0].json["position_s"] == opened["position_s"]
    for message in every:
        kind = message.json["schema"].split("/")[1]
        validator(kind).validate(message.json)

    with mosquitto.subscribe("hydroear/v1/bench-1/#") as latecomer:
        latecomer.wait_for(lambda got: len(got) == 3, "what is retained")
        retained = {message.topic.removeprefix("hydroear/v1/bench-1/"): message.json for message in latecomer.received}
    assert set(retained) == {"status", "birth", "sensor/main/state"}
    assert retained["sensor/main/state"]["state"] == "quiet"
    assert retained["sensor/main/state"]["event_id"] is None
    assert retained["birth"]["sensors"] == [
        {
            "id": "main",
            "source": "wav",
            "device": None,
            "rate_hz": RATE_HZ,
            "channels": [1],
            "calibrated": True,
        }
    ]


def test_a_reader_that_leaves_ends_the_replay_quietly(site: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "main.wav", health(60.0, seed=1))
    line = command("replay", "--bundle", SHIPPED_BUNDLE, "--site", site, "--json", recording)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline()
        program.stdout.close()
        stderr = program.stderr.read()
    assert said(stderr) == []
    assert program.returncode == 141


def validator(kind: str) -> Any:
    """The JSON Schema of a kind of payload, at work."""
    schema = json.loads((files("hydroear.mqtt") / "schemas" / f"{kind}.json").read_text())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
