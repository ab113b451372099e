"""The control room asks a running unit over a real broker, and is answered once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import soundfile
from paho.mqtt.publish import single

from broker import Mosquitto, Subscriber, wait_for
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from hydroear.model.signature import load_private_key
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.mqtt.signed import sign_request
from hydroear_train.signing import sign_bundle
from listening import health, scene
from running import SENSOR, Daemon, Unit
from signed import key_pair, signed

UNIT = "hydroear/v1/high-street"


class Room:
    """Somebody in the control room."""

    def __init__(self, broker: Mosquitto, heard: Subscriber, login: dict[str, str] | None = None) -> None:
        self._broker, self.heard, self._login = broker, heard, login
        self._numbers = count()

    def say(self, verb: str, payload: dict[str, Any] | bytes, *, retain: bool = False) -> None:
        """Publish a request as it is."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        single(f"{UNIT}/cmd/{verb}", content, 1, retain, "127.0.0.1", self._broker.port, auth=self._login)

    def request(self, **fields: Any) -> dict[str, Any]:
        """A request that holds, unless the fields say otherwise."""
        name = f"ask-{next(self._numbers)}"
        time = datetime.now(UTC).isoformat()
        return {"schema": "hydroear/command/1", "request_id": name, "time": time, "by": "Ada", **fields}

    def replies(self, request_id: str) -> list[dict[str, Any]]:
        """What was replied to a request."""
        return [message.json for message in self.heard.on(f"{UNIT}/reply/{request_id}")]

    def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the reply."""
        request = self.request(**fields)
        self.say(verb, request)
        wait_for(lambda: self.replies(request["request_id"]), f"the reply to {verb}", timeout_s=40.0)
        return self.replies(request["request_id"])[0]

    def state(self) -> dict[str, Any]:
        """What the sensor said last."""
        state: dict[str, Any] = self.heard.on(f"{UNIT}/sensor/{SENSOR}/state")[-1].json
        return state


@pytest.fixture
def room(mosquitto: Mosquitto, unit: Unit) -> Iterator[Room]:
    unit.mqtt = {"url": mosquitto.url}
    with mosquitto.subscribe(f"{UNIT}/#") as heard:
        yield Room(mosquitto, heard)


def wait_until_listening(room: Room) -> None:
    room.heard.wait_for(lambda _: room.heard.on(f"{UNIT}/sensor/{SENSOR}/state"), "the unit to listen", timeout_s=40.0)


def test_a_unit_answers_what_it_is_asked(room: Room, unit: Unit) -> None:
    with unit.run(health(60.0), speed=1.0) as daemon:
        wait_until_listening(room)
        reply = room.ask("ping")
        assert (reply["outcome"], reply["error"], reply["verb"], reply["unit"]) == ("done", "", "ping", "high-street")
        assert reply["values"]["uptime_s"] > 0.0

        assert room.ask("mute", sensor=SENSOR, for_s=3600)["values"] == {"sensor": SENSOR, "muted_s": 3600.0}
        wait_for(lambda: room.state()["muted_s"], "the state to tell of the mute")
        assert room.ask("unmute", sensor=SENSOR)["values"]["muted_s"] is None
        wait_for(lambda: room.state()["muted_s"] is None, "the state to tell that it is over")
        assert "no sensor 'attic'; expected one of: hydrant-7" in room.ask("mute", sensor="attic", for_s=1)["error"]

        config = room.ask("config")["values"]
        assert (config["decision"]["horizon_s"], config["mqtt"]["username"]) == (6.0, None)
        births = len(room.heard.on(f"{UNIT}/birth"))
        assert set(room.heard.on(f"{UNIT}/birth")[-1].json["commands"]) >= {"ping", "ack", "restart"}
        assert room.ask("rebirth")["outcome"] == "done"
        wait_for(lambda: len(room.heard.on(f"{UNIT}/birth")) > births, "another birth")

        assert room.ask("ack", event_id="nobody")["outcome"] == "failed"
        assert room.ask("clip", event_id="nobody")["outcome"] == "failed"
        found = room.ask("selftest")["values"]
        assert found["result"] == room.heard.on(f"{UNIT}/selftest")[-1].json["result"]
        assert sum(value for key, value in found.items() if key != "result") > 5

        assert room.ask("restart")["outcome"] == "done"
        assert daemon.wait() == 0
        assert len(daemon.windows) < 60


def test_no_secret_is_told(make_mosquitto: Callable[..., Mosquitto], unit: Unit, tmp_path: Path) -> None:
    broker = make_mosquitto(users={"high-street": "hunter2", "room": "x"}).start()
    (tmp_path / "password").write_text("hunter2")
    unit.mqtt = {"url": broker.url, "username": "high-street", "password_file": str(tmp_path / "password")}
    endless = "import sys, time; sys.stdout.buffer.write(bytes(range(256)) * 4000); sys.stdout.flush(); time.sleep(60)"
    source = {"type": "pipe", "command": [sys.executable, "-c", endless, "rtsp://user:hunter2@camera"]}
    with broker.subscribe(f"{UNIT}/#", username="room", password="x") as heard:
        room = Room(broker, heard, {"username": "room", "password": "x"})
        with Daemon(unit.configure(source)) as daemon:
            connected(room, 1)
            assert room.ask("config")["values"]["sensors"][0]["source"]["command"] == [sys.executable, "…"]
            assert room.ask("selftest")["outcome"] == "done"
            heard.wait_for(lambda _: heard.on(f"{UNIT}/health"), "the health")
            assert "hunter2" not in "".join(daemon.complaints)
        assert not [message for message in heard.received if b"hunter2" in message.payload]


def test_a_request_is_done_once_also_over_a_restart(room: Room, unit: Unit) -> None:
    request = room.request()
    uptimes_s = []
    for runs in (1, 2):
        with unit.run(health(60.0), speed=1.0) as daemon:
            wait_for(lambda: len(room.heard.on(f"{UNIT}/birth")) == runs, "the unit to be connected", timeout_s=40.0)  # noqa: B023
            for replies in (2 * runs - 1, 2 * runs):
                room.say("ping", request)
                wait_for(lambda: len(room.replies(request["request_id"])) == replies, f"reply {replies}")  # noqa: B023
            uptimes_s += [reply["values"]["uptime_s"] for reply in room.replies(request["request_id"])]
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
    assert len(set(uptimes_s)) == 1, "every reply is the first one"


def test_what_is_retained_damaged_or_unknown_is_not_done(room: Room, unit: Unit) -> None:
    kept = room.request()
    room.say("restart", kept, retain=True)
    with unit.run(health(30.0), speed=1.0) as daemon:
        wait_until_listening(room)
        for payload in (b"", b"restart", b'{"request_id": 1}', b"[" * 10_000, b"x" * 10 * 2**20):
            room.say("restart", payload)
        assert room.ask("dig")["error"].startswith("no command 'dig'")
        assert "Extra inputs" in room.ask("restart", force=True)["error"]
        assert room.ask("ping")["outcome"] == "done"
        assert daemon.states == ["quiet"] or not daemon.states
        assert room.replies(kept["request_id"]) == []
        assert any("a retained request is not obeyed" in complaint for complaint in daemon.complaints)
    room.say("restart", b"", retain=True)


def leaking(room: Room, daemon: Daemon) -> str:
    """Wait for the leak; give its event."""
    daemon.wait_for_state("leak")
    wait_for(lambda: room.state()["event_id"], "the state to tell of the event")
    event_id: str = room.state()["event_id"]
    return event_id


def test_a_leak_is_taken_on_and_its_sound_is_sent(room: Room, unit: Unit) -> None:
    with unit.run(scene(), speed=3.0) as daemon:
        event_id = leaking(room, daemon)
        assert room.ask("ack", event_id=event_id)["values"] == {"sensor": SENSOR, "state": "acknowledged"}
        wait_for(lambda: room.state()["state"] == "acknowledged", "the state")
        clip = room.ask("clip", event_id=event_id)
        while clip["outcome"] == "failed":  # it is written some seconds after the event opened
            assert "not written yet" in clip["error"]
            clip = room.ask("clip", event_id=event_id)
        assert daemon.wait() == 0
    events = [message.json for message in room.heard.on(f"{UNIT}/event/{event_id}")]
    assert (events[0]["phase"], events[0]["state"]) == ("open", "leak")
    taken = next(event for event in events if event["state"] == "acknowledged")
    assert (taken["phase"], taken["reason"]) == ("update", "acknowledged by Ada")
    assert events[-1]["phase"] == "close"
    assert [event["seq"] for event in events] == list(range(len(events)))

    pieces = [message.json for message in room.heard.on(f"{UNIT}/clip/{event_id}")]
    assert [piece["piece"] for piece in pieces] == list(range(clip["values"]["pieces"]))
    content = b"".join(base64.b64decode(piece["data"]) for piece in pieces)
    assert hashlib.sha256(content).hexdigest() == pieces[0]["sha256"] == clip["values"]["sha256"]
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        assert sound.frames / sound.samplerate > 10.0


def test_an_acknowledgement_survives_the_death_of_the_daemon(room: Room, unit: Unit) -> None:
    with unit.run(scene(), speed=3.0) as daemon:
        event_id = leaking(room, daemon)
        assert room.ask("ack", event_id=event_id)["outcome"] == "done"
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with unit.run(scene()[22 * 16_000 : 38 * 16_000], speed=3.0) as daemon:
        wait_for(lambda: daemon.windows, "a window", timeout_s=40.0)
        assert daemon.windows[0]["state"] == "acknowledged"


def test_a_muted_sensor_raises_no_alarm(room: Room, unit: Unit) -> None:
    with unit.run(scene(), speed=3.0) as daemon:
        wait_until_listening(room)
        assert room.ask("mute", sensor=SENSOR, for_s=600)["outcome"] == "done"
        assert daemon.wait() == 0
        assert "leak" not in daemon.states
        assert "warning" in daemon.states
    assert not [message for message in room.heard.received if "/event/" in message.topic]


def pieces_of(content: bytes) -> list[dict[str, Any]]:
    """The arguments of the requests that send a file."""
    digest, size = hashlib.sha256(content).hexdigest(), len(content)
    parts = [content[at : at + PIECE_BYTES] for at in range(0, size, PIECE_BYTES)]
    return [
        {"sha256": digest, "size_bytes": size, "piece": number, "data": base64.b64encode(part).decode()}
        for number, part in enumerate(parts)
    ]


def connected(room: Room, times: int) -> dict[str, Any]:
    """Wait until the unit has connected so many times; what it said then that it is made of."""
    births = lambda: room.heard.on(f"{UNIT}/birth")  # noqa: E731
    wait_for(lambda: len(births()) >= times, f"connection {times}", timeout_s=40.0)
    birth: dict[str, Any] = births()[-1].json
    return birth


def test_a_signed_bundle_comes_in_pieces_over_a_restart_is_heard_beside_the_other_and_runs_on_probation(
    room: Room, unit: Unit, tmp_path: Path
) -> None:
    bundle = signed(tmp_path, 2)
    content = bundle.read_bytes()
    pieces = pieces_of(content)
    unit.models = {"trusted_keys": [str(key_pair(tmp_path)[1])], "shadow_windows": 3, "probation_windows": 5}
    unit.bundle = tmp_path / "factory.hydroear"
    sign_bundle(SHIPPED_BUNDLE, key_pair(tmp_path)[0], 1, unit.bundle)
    half = len(pieces) // 2
    with unit.run(health(60.0), speed=1.0) as daemon:
        assert connected(room, 1)["slots"]["active"] is None
        for piece in pieces[:half]:
            assert room.ask("model-piece", **piece)["values"]["next"] == piece["piece"] + 1
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with unit.run(health(60.0), speed=1.0) as daemon:
        connected(room, 2)
        assert room.ask("model-piece", **pieces[0])["values"] == {"next": half, "whole": False}
        assert "has not come whole" in room.ask("model-install", sha256=pieces[0]["sha256"])["error"]
        for piece in pieces[half:]:
            reply = room.ask("model-piece", **piece)
        assert reply["values"] == {"next": len(pieces), "whole": True}
        installed = room.ask("model-install", sha256=pieces[0]["sha256"], without_calibration=True)
        assert installed["values"] == {"name": "release-2", "release": 2, "new": True, "waits_for": []}
        steps = lambda: [message.json["step"] for message in room.heard.on(f"{UNIT}/model")]  # noqa: E731
        wait_for(lambda: steps()[-1:] == ["shadowed"], "the bundle to be heard beside the other", timeout_s=40.0)
        assert room.ask("restart")["outcome"] == "done"
        assert daemon.wait() == 0
    with unit.run(health(60.0), speed=3.0) as daemon:
        birth = connected(room, 3)
        assert birth["model"] == "release-2"
        assert birth["bundle"] == read_bundle(bundle).sha256
        wait_for(
            lambda: room.ask("model-status")["values"]["slots"]["a"]["phase"] == "confirmed",
            "the bundle to stand its probation",
            timeout_s=40.0,
        )
        forged = bytearray(content)
        forged[len(forged) // 2] ^= 1
        for piece in pieces_of(bytes(forged)):
            room.ask("model-piece", **piece)
        refused = room.ask("model-install", sha256=hashlib.sha256(forged).hexdigest())
        assert refused["outcome"] == "failed"
        older = signed(tmp_path, 1, name="older").read_bytes()
        for piece in pieces_of(older):
            room.ask("model-piece", **piece)
        assert (
            "not newer than release 2" in room.ask("model-install", sha256=hashlib.sha256(older).hexdigest())["error"]
        )
        assert room.ask("model-rollback")["values"] == {"left": "release-2", "from": "the next start on"}


def test_a_sensor_is_calibrated_by_order_beside_the_hearing_and_over_a_restart(room: Room, unit: Unit) -> None:
    unit.site = None
    topic = f"{UNIT}/sensor/{SENSOR}/calibration"

    def standing() -> dict[str, Any]:
        told: dict[str, Any] = room.heard.on(topic)[-1].json if room.heard.on(topic) else {"phase": "", "share": 0.0}
        return told

    with unit.run(health(60.0, seed=1), speed=2.0) as daemon:
        assert connected(room, 1)["sensors"][0]["calibrated"] is False
        assert "give either for_s or nights" in room.ask("calibrate-start", sensor=SENSOR)["error"]
        assert room.ask("calibrate-status", sensor=SENSOR)["values"]["phase"] == "none"
        assert room.ask("calibrate-start", sensor=SENSOR, for_s=70)["values"]["phase"] == "learning"
        assert room.ask("calibrate-start", sensor=SENSOR, for_s=70)["error"].endswith("stop it first")
        wait_for(lambda: room.ask("calibrate-status", sensor=SENSOR)["values"]["share"] > 0.2, "a fifth of it")
        assert daemon.windows[-1]["scored"], "it is heard meanwhile"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    with unit.run(health(60.0, seed=2), speed=4.0) as daemon:
        wait_for(lambda: standing()["phase"] == "learned", f"the site: {daemon.complaints}", timeout_s=60.0)
        assert "in force from the next start on" in standing()["reason"]
        assert standing()["heard_s"] >= 70.0
    with unit.run(health(30.0), speed=1.0):
        assert connected(room, 3)["sensors"][0]["calibrated"] is True


def test_a_calibration_is_stopped_by_order(room: Room, unit: Unit) -> None:
    unit.site = None
    with unit.run(health(30.0), speed=1.0):
        connected(room, 1)
        assert room.ask("calibrate-start", sensor=SENSOR, for_s=3600)["outcome"] == "done"
        assert room.ask("calibrate-stop", sensor=SENSOR)["values"]["phase"] == "stopped"
        assert "no calibration is under way" in room.ask("calibrate-stop", sensor=SENSOR)["error"]
        assert room.heard.on(f"{UNIT}/sensor/{SENSOR}/calibration")[-1].json["reason"] == "by order"


def test_settings_are_changed_from_afar_and_a_bad_one_changes_nothing(room: Room, unit: Unit) -> None:
    with unit.run(health(60.0), speed=1.0) as daemon:
        connected(room, 1)
        reply = room.ask("config-set", changes={"decision": {"horizon_s": 12.5}, "night": {"from": "01:00"}})
        assert reply["values"]["changed"] == {"decision": {"horizon_s": 12.5}, "night": {"from": "01:00"}}
        bad = room.ask("config-set", changes={"decision": {"horizon_s": 13.0, "clear_decades": 9.0}})
        assert (bad["outcome"], "clear_decades 9 is not below" in bad["error"]) == ("failed", True)
        assert (
            "may not be changed from afar" in room.ask("config-set", changes={"mqtt": {"url": "mqtt://evil"}})["error"]
        )
        assert room.ask("restart")["outcome"] == "done"
        assert daemon.wait() == 0
    with unit.run(health(30.0), speed=1.0):
        connected(room, 2)
        config = room.ask("config")["values"]
        assert (config["decision"]["horizon_s"], config["night"]["from"]) == (12.5, "01:00")
        assert room.ask("config-set", changes={}, reset=True)["values"]["changed"] == {}
    with unit.run(health(30.0), speed=1.0):
        connected(room, 3)
        assert room.ask("config")["values"]["decision"]["horizon_s"] == 6.0


def test_a_unit_that_asks_for_signatures_obeys_no_other_request(room: Room, unit: Unit, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "room")
    unit.mqtt["command_keys"] = [str(public)]
    with unit.run(health(60.0), speed=1.0) as daemon:
        connected(room, 1)
        assert room.ask("restart")["error"].startswith("not signed")
        request = room.request()
        payload = sign_request(json.dumps(request), unit="high-street", verb="restart", key=load_private_key(private))
        room.say("mute", payload)
        wait_for(lambda: room.replies(request["request_id"]), "the refusal")
        assert room.replies(request["request_id"])[0]["outcome"] == "refused"
        room.say("restart", payload)
        assert daemon.wait() == 0
