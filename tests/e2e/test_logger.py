"""A logger that records by itself: its nights are fetched, heard with their true time, and forgotten once they were."""

from __future__ import annotations

import json
import signal
import threading
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import yaml

from bridging import RATE_HZ, Bench, endpoint
from broker import Mosquitto, Subscriber, wait_for
from hydroear.audio import Block, Gap
from hydroear.capture.logger import LoggerSource
from hydroear.config import schema
from hydroear_bridge.conversation import Conversation
from hydroear_bridge.device import Device, StoredRecording
from hydroear_bridge.faults import Faults
from hydroear_bridge.frames import Audio, Capabilities, EventCode, Frame, Time
from hydroear_bridge.link import DELIMITER, encode
from hydroear_bridge.ports import open_port
from hydroear_bridge.simulator import Sent, simulate, tape
from listening import LEAK, SCENE_S, Samples, health, hydroear, scene
from running import SENSOR as EAR
from running import Daemon, Unit

FRAME = 320
NIGHT = datetime(2025, 1, 1, 1, 0, tzinfo=UTC)
EVENTS = "hydroear/v1/high-street/event/"
STATE = f"hydroear/v1/high-street/sensor/{EAR}/state"
HEALTH = "hydroear/v1/high-street/health"
LAST_NIGHT = f"hydroear/v1/high-street/sensor/{EAR}/night"


def sent(samples: Samples, **options: Any) -> list[Sent]:
    """What a device writes into its memory that hears these samples."""
    sound = tape(samples.astype(np.float64))
    return list(simulate(duration_s=len(samples) / RATE_HZ, rate_hz=RATE_HZ, sound=sound, **options))


def stored(frames: list[Sent], start: datetime | None) -> StoredRecording:
    data = b"".join(frame.wire for frame in frames)
    start_us = None if start is None else round(1e6 * start.timestamp())
    return StoredRecording(data, start_us, duration_ms=round(1e3 * SCENE_S))


def night(samples: Samples, start: datetime | None, **options: Any) -> StoredRecording:
    return stored(sent(samples, **options), start)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration on the healthy pipe."""
    import soundfile

    folder = tmp_path_factory.mktemp("site")
    soundfile.write(folder / "health.wav", health(40.0), RATE_HZ)
    done = hydroear(
        "calibrate", "--bundle", Unit(folder, None).bundle, "--out", folder / "site.json", folder / "health.wav"
    )
    assert done.returncode == 0, done.stderr
    return folder / "site.json"


def configure(folder: Path, site: Path | None, bench: Bench, mosquitto: Mosquitto, **source: Any) -> Path:
    unit = Unit(folder, site)
    unit.mqtt = {"url": mosquitto.url}
    path = unit.configure({"type": "logger", "port": bench.endpoint.name, "look_every_s": 1.0, **source})
    config = yaml.safe_load(path.read_text())
    config["night"] = {"from": "01:00", "to": "01:01"}
    config["publish"]["health_every_s"] = 1.0
    path.write_text(yaml.safe_dump(config))
    return path


def steps(room: Subscriber) -> list[dict[str, Any]]:
    """Steps of events."""
    return [message.json for message in room.received if message.topic.startswith(EVENTS)]


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def read(source: LoggerSource, seconds: float) -> list[Block | Gap]:
    """What is heard up to so many seconds of sound."""
    pieces: list[Block | Gap] = []
    deadline_s = monotonic() + 40.0
    while sum(len(piece.samples) for piece in pieces if isinstance(piece, Block)) < seconds * RATE_HZ:
        assert monotonic() < deadline_s, pieces[-1:]
        piece = source.read()
        assert piece is not None
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("kind", ["terminal", "tcp"])
def test_each_sample_has_its_place_and_its_time(kind: str, tmp_path: Path) -> None:
    frames = sent(scene()[: 20 * RATE_HZ], faults=Faults(loss=0.02), seed=4)
    with Bench(endpoint(kind, tmp_path), recordings=[stored(frames, NIGHT)]) as bench:
        settings = schema.LoggerSource(type="logger", port=bench.endpoint.name)
        source = LoggerSource(settings, tmp_path / "recordings")
        arrived = [f.frame.body for f in frames if f.arrives and isinstance(f.frame.body, Audio)]
        pieces = read(source, sum(audio.count for audio in arrived) / RATE_HZ)
        source.close()
    begin = next(piece.first_index for piece in pieces if not (isinstance(piece, Gap) and piece.planned))
    assert all(before.end_index == after.first_index for before, after in pairwise(pieces))
    blocks = [piece for piece in pieces if isinstance(piece, Block)]
    np.testing.assert_array_equal(
        np.concatenate([block.samples for block in blocks]), np.concatenate([audio.samples() for audio in arrived])
    )
    heard = {index for block in blocks for index in range(block.first_index - begin, block.end_index - begin)}
    assert heard == {index for audio in arrived for index in range(audio.sample_index, audio.end_index)}
    for block in blocks:
        assert block.utc_s == pytest.approx(NIGHT.timestamp() + (block.end_index - begin) / RATE_HZ, abs=1e-6)
    lost = [piece for piece in pieces if isinstance(piece, Gap) and not piece.planned]
    assert lost
    assert {gap.reason for gap in lost} == {"lost on the way"}


def test_a_leak_in_the_night_is_an_event_of_that_night_and_the_logger_forgets_what_was_heard(
    tmp_path: Path, site: Path, mosquitto: Mosquitto
) -> None:
    nights = [night(scene(), NIGHT), night(health(60.0), NIGHT + timedelta(days=1))]
    with (
        Bench(endpoint("tcp", tmp_path), recordings=nights) as bench,
        mosquitto.subscribe() as room,
        Daemon(configure(tmp_path, site, bench, mosquitto), TZ="UTC") as daemon,
    ):
        wait_for(lambda: len(room.on(LAST_NIGHT)) > 1, f"two nights: {daemon.complaints}", timeout_s=60.0)
        wait_for(lambda: not bench.stored, "an empty logger")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    opened, *_, closed = steps(room)
    assert [step["phase"] for step in (opened, closed)] == ["open", "close"]
    assert len({step["event_id"] for step in steps(room)}) == 1
    assert LEAK.start_s < (time(opened["opened_time"]) - NIGHT).total_seconds() < LEAK.end_s
    assert opened["heard_time"] == opened["opened_time"]
    assert LEAK.end_s < (time(closed["heard_time"]) - NIGHT).total_seconds() < SCENE_S
    assert opened["event_id"].startswith(f"{EAR}-20250101T0100")
    assert opened["historical"] is False, "it is news, though it was heard long ago"
    assert {message.json["night"] for message in room.on(LAST_NIGHT)} == {"2025-01-01", "2025-01-02"}
    assert all(message.json["coverage"] > 0.95 for message in room.on(LAST_NIGHT))
    last = room.on(STATE)[-1].json
    assert last["state"] == "quiet"
    assert NIGHT + timedelta(days=1) < time(last["heard_time"]) < NIGHT + timedelta(days=1, minutes=1)
    assert last["windows_skipped"] == 0, "what is not recorded is not lost"
    assert not list((tmp_path / "state" / "recordings" / EAR).glob("*.bin*"))


def test_a_unit_that_is_killed_hears_the_night_again_and_calls_one_leak(
    tmp_path: Path, site: Path, mosquitto: Mosquitto
) -> None:
    samples = np.concatenate([scene(), health(60.0, 20), health(60.0, 21)])
    with Bench(endpoint("tcp", tmp_path), recordings=[night(samples, NIGHT)]) as bench, mosquitto.subscribe() as room:
        config = configure(tmp_path, site, bench, mosquitto)
        with Daemon(config, TZ="UTC") as daemon:
            wait_for(lambda: steps(room), f"an event: {daemon.complaints}", timeout_s=60.0)
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        assert bench.stored, "the logger keeps what was not heard to its end"
        with Daemon(config, TZ="UTC") as daemon:
            wait_for(lambda: not bench.stored, f"an empty logger: {daemon.complaints}", timeout_s=60.0)
            wait_for(lambda: steps(room)[-1]["phase"] == "close", "the end of the leak")
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
    assert len({step["event_id"] for step in steps(room)}) == 1
    assert [step["phase"] for step in steps(room) if step["phase"] != "update"].count("close") == 1


def test_a_recording_of_unknown_time_is_placed_by_the_clock_of_the_device(tmp_path: Path) -> None:
    boot = 7
    with Bench(endpoint("tcp", tmp_path), recordings=[night(health(4.0), None, seed=boot)]) as bench:
        source = LoggerSource(schema.LoggerSource(type="logger", port=bench.endpoint.name), tmp_path / "recordings")
        pieces = read(source, 2.0)
        source.close()
    begin = next(piece.first_index for piece in pieces if isinstance(piece, Block))
    for block in (piece for piece in pieces if isinstance(piece, Block)):
        assert block.utc_s is None
        assert block.monotonic_s == pytest.approx(bench.booted_s + (block.end_index - begin) / RATE_HZ, abs=0.02)


def test_an_empty_logger_is_told_the_time_by_which_it_dates_what_it_records_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydroear.health.clock.clock_quality", lambda: "synchronised")
    with Bench(endpoint("tcp", tmp_path)) as bench:
        source = LoggerSource(schema.LoggerSource(type="logger", port=bench.endpoint.name), tmp_path / "recordings")
        wait_for(lambda: (piece := source.read()) is not None and piece.utc_s is not None, "a visit")
        source.close()
        with open_port(bench.endpoint.name) as port:
            told = next(
                one
                for one in Conversation(port).listen(monotonic() + 10.0)
                if isinstance(one, Frame) and isinstance(one.body, Time)
            )
            now_s = datetime.now(UTC).timestamp()
    assert isinstance(told.body, Time)
    assert told.body.utc_offset_us is not None
    assert 1e-6 * (told.body.utc_offset_us + told.device_time_us) == pytest.approx(now_s, abs=0.1)


def test_without_a_recording_for_too_long_the_sensor_is_at_fault(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with (
        Bench(endpoint("tcp", tmp_path)) as bench,
        mosquitto.subscribe(STATE) as room,
        Daemon(configure(tmp_path, None, bench, mosquitto, overdue_h=0.002)),
    ):
        wait_for(lambda: room.on(STATE) and room.on(STATE)[-1].json["state"] == "fault", "a fault", timeout_s=40.0)


def test_one_that_records_in_another_way_is_told_and_nothing_is_erased(tmp_path: Path, mosquitto: Mosquitto) -> None:
    recordings = [night(health(4.0), NIGHT)]
    with Bench(endpoint("tcp", tmp_path), recordings=recordings) as bench:
        with Daemon(configure(tmp_path, None, bench, mosquitto, rate_hz=48_000)) as daemon:
            says = "recorded 1 channel(s) at 16000 Hz; set rate_hz to 16000 and channels to 1"
            wait_for(lambda: any(says in line for line in daemon.complaints), "what is wrong", timeout_s=40.0)
        assert bench.stored


def test_a_site_is_learned_from_the_nights_of_a_logger(tmp_path: Path, mosquitto: Mosquitto) -> None:
    nights = [night(health(60.0, seed), NIGHT + timedelta(days=seed)) for seed in (30, 31)]
    with Bench(endpoint("tcp", tmp_path), recordings=nights) as bench:
        config = configure(tmp_path, None, bench, mosquitto)
        done = hydroear("calibrate", "-c", config, "--sensor", EAR, "--for", "90s", timeout_s=120.0)
        assert done.returncode == 0, done.stderr
        assert list(bench.stored) == [2], "what was not heard to its end is still to be heard"


def test_the_self_test_visits_it_and_listens_to_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Bench(endpoint("tcp", tmp_path), recordings=[night(health(4.0), NIGHT)]) as bench:
        config = configure(tmp_path, None, bench, mosquitto)
        examined = hydroear("selftest", "-c", config, "--json", "--tap")
        stages = {stage["stage"]: stage for stage in json.loads(examined.stdout)["stages"]}
        assert stages[f"source {EAR}"]["result"] == "pass"
        says = "hydroear simulator: 1 recording(s) wait, the newest of 2025-01-01T01:00:00Z"
        assert stages[f"source {EAR}"]["measured"] == says
        assert {stages[f"{name} {EAR}"]["result"] for name in ("sound", "tap")} == {"skip"}
        assert bench.stored
    examined = hydroear("selftest", "-c", config, "--json")
    stages = {stage["stage"]: stage for stage in json.loads(examined.stdout)["stages"]}
    assert stages[f"source {EAR}"]["result"] == "fail"
    assert "wake it" in stages[f"source {EAR}"]["fix"]


def test_what_has_rotted_in_the_memory_of_the_logger_is_heard_as_far_as_it_is_whole(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    frames = sent(health(8.0))
    recording = stored(frames, NIGHT)
    data = recording.data[:30_000] + b"\xff" + recording.data[30_001:]
    rotten = replace(recording, data=data, crc32=zlib.crc32(recording.data))
    nights = [rotten, night(health(4.0, 40), NIGHT + timedelta(days=1))]
    with (
        Bench(endpoint("tcp", tmp_path), recordings=nights) as bench,
        mosquitto.subscribe(HEALTH) as room,
        Daemon(configure(tmp_path, None, bench, mosquitto), TZ="UTC") as daemon,
    ):
        wait_for(lambda: list(bench.stored) == [1], f"the other night: {daemon.complaints}", timeout_s=40.0)
        assert any("what came is not what the device says" in line for line in daemon.complaints)
        wait_for(lambda: any("recording 1 is not erased" in line for line in daemon.complaints), "its refusal")
        wait_for(lambda: room.on(HEALTH)[-1].json["sensors"][EAR]["samples_lost"] == FRAME, "what was lost")


def test_a_night_arrives_whole_over_a_line_that_loses_and_is_unplugged(tmp_path: Path) -> None:
    frames = sent(health(30.0), seed=3)
    with Bench(endpoint("tcp", tmp_path), recordings=[stored(frames, NIGHT)], faults=Faults(loss=0.02)) as bench:
        settings = schema.LoggerSource(type="logger", port=bench.endpoint.name, look_every_s=1.0)
        folder = tmp_path / "recordings"
        source = LoggerSource(settings, folder)
        pieces: list[Block | Gap] = []
        reader = threading.Thread(target=lambda: pieces.extend(read(source, 30.0)))
        reader.start()
        wait_for(lambda: any(part.stat().st_size for part in folder.glob("*.part")), "a beginning")
        bench.unplug(1.0)
        reader.join(60.0)
        source.close()
    heard = np.concatenate([piece.samples for piece in pieces if isinstance(piece, Block)])
    expected = [frame.frame.body.samples() for frame in frames if isinstance(frame.frame.body, Audio)]
    np.testing.assert_array_equal(heard, np.concatenate(expected))


def test_an_alarm_in_the_night_has_the_time_at_which_it_began(tmp_path: Path, mosquitto: Mosquitto) -> None:
    device = Device(tape(health(6.0).astype(np.float64)), capabilities=Capabilities.STATUS | Capabilities.EVENT)
    device.boot(0.0)
    frames = [*device.send(2.5), *device.happen(EventCode.WATER_INGRESS, 2.5), *device.send(4.0)]
    frames += [*device.happen(EventCode.WATER_INGRESS, 4.0, begun=False), *device.send(6.0)]
    data = DELIMITER + b"".join(map(encode, frames))
    start_us = round(1e6 * NIGHT.timestamp())
    recording = StoredRecording(data, start_us, duration_ms=6000)
    with (
        Bench(endpoint("tcp", tmp_path), recordings=[recording]) as bench,
        mosquitto.subscribe("hydroear/v1/high-street/alarm/#") as room,
        Daemon(configure(tmp_path, None, bench, mosquitto), TZ="UTC") as daemon,
    ):
        room.wait_for(lambda told: len(told) == 2, f"an alarm: {daemon.complaints}", timeout_s=40.0)
    opened, closed = (message.json for message in room.received)
    assert (opened["alarm"], opened["phase"], closed["phase"]) == ("water-ingress", "open", "close")
    assert opened["alarm_id"] == closed["alarm_id"]
    assert abs(time(opened["opened_time"]) - NIGHT - timedelta(seconds=2.5)) < timedelta(milliseconds=50)
    assert abs(time(closed["closed_time"]) - NIGHT - timedelta(seconds=4.0)) < timedelta(milliseconds=50)
