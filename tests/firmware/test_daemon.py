"""The example firmware on an emulated microcontroller, heard by the daemon, as the control room sees it.

``make test-firmware`` builds the image and runs these, in real time.
"""

from __future__ import annotations

import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import soundfile

from broker import Mosquitto, Subscriber, wait_for
from hydroear.audio import Block, Gap
from hydroear.capture.bridge import BridgeSource
from hydroear.config import schema
from hydroear_bridge.frames import Audio, Parameter, Set, Time
from microcontroller import RATE_HZ, SENSOR, SET_LEAK, Microcontroller, Relay, leaking
from running import SENSOR as EAR
from running import Daemon, Unit

LEAK = 60
HEALTHY_S = 60.0
NIGHT_S, HEALTHY_NIGHT_S = 30, 12
PATIENCE_S = 60.0


def lost(audio: list[Audio]) -> int:
    """Samples that an emulator which was held up lost on the device."""
    return audio[-1].end_index - audio[0].sample_index - sum(one.count for one in audio)


def test_a_minute_is_heard_without_a_sample_too_many_or_another_one(
    parts: list[tuple[int, int]], tmp_path: Path, relay: Relay
) -> None:
    settings = schema.BridgeSource(type="bridge", port=relay.url)
    pieces: list[Block | Gap] = []
    with Microcontroller(tmp_path):
        source = BridgeSource(settings)
        while not pieces or pieces[-1].end_index < HEALTHY_S * RATE_HZ:
            piece = source.read()
            assert piece is not None
            if pieces or isinstance(piece, Block):  # it took a moment to boot
                pieces.append(piece)
        source.close()
    begin = pieces[0].first_index
    for piece in pieces:
        first, end = piece.first_index - begin, piece.end_index - begin
        if isinstance(piece, Block):
            expected = [leaking(part, 0) for part in parts[first:end]]
            assert (piece.samples[:, 0] * 2**15).tolist() == expected
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    sent = [one for one in relay.audio if one.end_index <= pieces[-1].end_index - begin]
    assert sum(gap.length for gap in gaps) == lost(sent)
    assert {gap.reason for gap in gaps} <= {"lost on the device"}


def test_a_leak_becomes_an_event_and_a_reboot_is_counted_and_resumed(
    parts: list[tuple[int, int]], firmware_site: Path, tmp_path: Path, relay: Relay, mosquitto: Mosquitto
) -> None:
    unit = Unit(tmp_path, firmware_site)
    unit.mqtt = {"url": mosquitto.url}
    config = unit.configure({"type": "bridge", "port": relay.url})
    config.write_text(config.read_text().replace("publish:", "publish:\n  health_every_s: 1.0"))
    with mosquitto.subscribe() as room, Microcontroller(tmp_path, boot_id=1) as device, Daemon(config) as daemon:
        wait_for(lambda: heard_s(room) >= HEALTHY_S, f"a minute: {daemon.complaints}", timeout_s=2 * PATIENCE_S)
        assert set(daemon.states) == {"quiet"}
        assert not events(room)

        relay.ask(Set(parameter=SET_LEAK, value=LEAK), SENSOR)
        wait_for(lambda: events(room), f"an event: {daemon.windows[-1:]} {daemon.complaints}", timeout_s=PATIENCE_S)
        opened = events(room)[0]
        assert (opened["phase"], opened["state"], opened["sensor"]) == ("open", "leak", EAR)
        wait_for(lambda: clips(tmp_path), f"a clip: {daemon.complaints}", timeout_s=PATIENCE_S)
        wait_for(lambda: health(room)["samples_lost"] == lost(list(relay.audio)), "each sample accounted for")
        told = health(room)
        assert told["device"]["restarts"] == 0
        assert (told["device"]["model"], told["device"]["frames_lost"]) == ("simulated pipe", 0)
        assert_clip_is_exact(clips(tmp_path)[0], parts)

        device.__exit__()
        scored = health(room)["windows_scored"]
        with Microcontroller(tmp_path, boot_id=2):
            wait_for(
                lambda: health(room)["device"]["restarts"] == 1, f"a reboot: {daemon.complaints}", timeout_s=PATIENCE_S
            )
            wait_for(lambda: health(room)["windows_scored"] > scored + 5, "windows after it", timeout_s=PATIENCE_S)
            assert health(room)["gaps"] >= 1
            assert any("started anew" in line for line in daemon.complaints)
            # The pipe is whole again after a boot.
            wait_for(
                lambda: events(room)[-1]["phase"] == "close",
                f"the end of the leak: {daemon.states}",
                timeout_s=PATIENCE_S,
            )
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0


def test_a_leak_within_the_night_of_a_logger_is_an_event_of_that_time_and_its_memory_is_emptied(
    firmware_site: Path, tmp_path: Path, relay: Relay, mosquitto: Mosquitto
) -> None:
    unit = Unit(tmp_path, firmware_site)
    unit.mqtt = {"url": mosquitto.url}
    config = unit.configure({"type": "logger", "port": relay.url, "look_every_s": 38.0})
    with (
        mosquitto.subscribe() as room,
        Microcontroller(tmp_path) as device,
        Daemon(config, LD_PRELOAD=str(synchronised(tmp_path))) as daemon,
    ):
        wait_for(lambda: relay.calls, f"a visit in the evening: {daemon.complaints}", timeout_s=PATIENCE_S)
        with device.connect() as night:
            night.send(Time(receiver_sent_us=0))
            told = night.next_of(Time)
            assert isinstance(told.body, Time)
            assert told.body.utc_offset_us is not None
            now_s = 1e-6 * (told.body.utc_offset_us + told.device_time_us)
            assert now_s == pytest.approx(time.time(), abs=1.0)

            begin_s = int(now_s) + 3
            night.ask(Set(parameter=Parameter.RECORDING_START_S, value=begin_s % 86_400))
            night.ask(Set(parameter=Parameter.RECORDING_DURATION_S, value=NIGHT_S))
            wait_for(night.recordings, "the night")
            wait_for(lambda: night.recordings()[0].duration_ms >= 1000 * HEALTHY_NIGHT_S, "the leak", timeout_s=30.0)
            night.ask(Set(parameter=SET_LEAK, value=LEAK), SENSOR)
            leaks_s = time.time()
            wait_for(lambda: not night.recordings()[0].state, "the end of the night", timeout_s=PATIENCE_S)
            (entry,) = night.recordings()
            assert entry.start_utc_us is not None
            assert 1e-6 * entry.start_utc_us == pytest.approx(begin_s, abs=2.0)
        wait_for(lambda: events(room), f"an event: {daemon.windows[-1:]} {daemon.complaints}", timeout_s=2 * PATIENCE_S)
        wait_for(lambda: is_empty(device), f"an empty memory: {daemon.complaints}", timeout_s=PATIENCE_S)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    opened = events(room)[0]
    assert (opened["phase"], opened["state"], opened["sensor"]) == ("open", "leak", EAR)
    assert opened["heard_time"] == opened["opened_time"]
    assert leaks_s < datetime.fromisoformat(opened["opened_time"]).timestamp() < begin_s + NIGHT_S + 1.0
    assert opened["historical"] is False
    assert len({step["event_id"] for step in events(room)}) == 1


def synchronised(folder: Path) -> Path:
    """What makes a program believe that this machine's clock is synchronised."""
    library = folder / "synchronised.so"
    source = Path(__file__).with_name("synchronised.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)
    return library


def is_empty(device: Microcontroller) -> bool:
    with device.connect() as conversation:
        return not conversation.recordings()


def health(room: Subscriber) -> dict[str, Any]:
    """What was said of the sensor last."""
    said: dict[str, Any] = room.on("hydroear/v1/high-street/health")[-1].json["sensors"][EAR]
    return said


def heard_s(room: Subscriber) -> float:
    """How much of the stream was heard."""
    states = room.on(f"hydroear/v1/high-street/sensor/{EAR}/state")
    return float(states[-1].json["position_s"]) if states else 0.0


def events(room: Subscriber) -> list[dict[str, Any]]:
    """Steps of events."""
    return [message.json for message in room.received if message.topic.startswith("hydroear/v1/high-street/event/")]


def clips(folder: Path) -> list[Path]:
    """Sounds that were kept."""
    return [path for path in (folder / "state" / "evidence").rglob("*") if path.suffix in (".wav", ".flac")]


def assert_clip_is_exact(path: Path, parts: list[tuple[int, int]]) -> None:
    """The seconds after the event opened are those of a stretch of the leaking pipe."""
    sound, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == RATE_HZ
    end = sound[-4 * RATE_HZ :].tolist()
    leak = [leaking(part, LEAK) for part in parts]
    begins = [at for at in range(len(leak) - len(end)) if leak[at] == end[0] and leak[at : at + 20] == end[:20]]
    assert any(leak[at : at + len(end)] == end for at in begins)
