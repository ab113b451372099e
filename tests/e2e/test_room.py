"""The control room's end, over a real broker: what it shows of units, and what it asks of them."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from paho.mqtt.publish import multiple

from broker import Mosquitto, wait_for
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.stamper import stamper
from listening import command, hydroear, json_lines

SENSOR = "hydrant-7"
EVENT = "hydrant-7-20250301T020000Z-0a1b2c3d"


class Street:
    """Publishes what units say, made by the encoder of real ones."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker

    def say(self, unit: str, *bodies: payloads.Body, seq: int = 0, age_s: float = 0.0) -> None:
        """Publish; all but events are retained."""
        messages = []
        for body in bodies:
            said = datetime.now(UTC) - timedelta(seconds=age_s)
            stamp = replace(stamper(unit, None)(seq), time=said, clock="synchronised")
            match body:
                case payloads.Event():
                    topic = topics.event(unit, body.event_id)
                case payloads.State():
                    topic = topics.state(unit, body.sensor)
                case _:
                    topic = f"{topics.ROOT}/{unit}/{body.kind}"
            retain = not isinstance(body, payloads.Event)
            messages.append({"topic": topic, "payload": payloads.encode(body, stamp), "qos": 1, "retain": retain})
        multiple(messages, "127.0.0.1", self._broker.port)

    def live(self, unit: str, state: payloads.SensorState = "quiet", event_id: str | None = None) -> None:
        """A unit that is online and hears something."""
        self.say(unit, payloads.Status("online"), health(), heard(state, event_id))


def health() -> payloads.Health:
    sensor = payloads.SensorHealth(
        "quiet", -40.0, -44.0, 10, 0, 0, 0, 0, 0, None, None, None, "healthy", "", evidence=None
    )
    return payloads.Health(10.0, 1, 0, {}, 0, None, None, None, "cast-iron", {SENSOR: sensor})


def heard(state: payloads.SensorState, event_id: str | None = None) -> payloads.State:
    return payloads.State(SENSOR, state, 4.2, -35.0, 0.0, 1, 0, event_id, None)


def event(phase: payloads.Phase, state: payloads.EventState, reason: str = "over the raise level") -> payloads.Event:
    evidence = {"low_hz": 420.0, "high_hz": 890.0, "sentences": ["It is broadband, as a jet of water is."]}
    now = datetime.now(UTC)
    return payloads.Event(EVENT, SENSOR, phase, state, now, 0.0, 4.2, 3.5, -35.0, 3.0, 0.1, reason, evidence)


class Watching:
    """A running ``hydroear room --json``, ended at the end of its ``with``."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(command("room", "--json", *arguments), stdout=subprocess.PIPE, text=True)
        self._text: list[str] = []

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._text.extend, args=(self._process.stdout,))
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return json_lines("".join(self._text), kind)

    def wait_for(self, count: int, kind: str) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.lines(kind)) >= count, f"{count} lines of {kind}: {self._text}", timeout_s=40.0)
        return self.lines(kind)


@pytest.fixture
def street(mosquitto: Mosquitto) -> Street:
    return Street(mosquitto)


def test_one_look_lists_units_by_how_soon_somebody_has_to_look(street: Street, mosquitto: Mosquitto) -> None:
    street.live("calm-street")
    calm = hydroear("room", "--mqtt", mosquitto.url, "--once")
    assert (calm.returncode, calm.stderr) == (0, "")
    street.live("leaky-lane", "leak", EVENT)
    street.say("dead-end", payloads.Status("offline"), health(), heard("quiet"))
    street.say("silent-way", payloads.Status("online"), health(), heard("quiet"), age_s=7200.0)
    done = hydroear("room", "--mqtt", mosquitto.url, "--once")
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines[1:5]] == [
        ["leak", "leaky-lane"], ["deaf", "dead-end"], ["deaf", "silent-way"], ["quiet", "calm-street"],
    ]  # fmt: skip
    assert "it is offline" in done.stdout
    assert "it is silent since" in done.stdout
    assert done.stdout.splitlines()[-1] == "4 units: 1 leak, 2 deaf, 1 quiet"
    snapshot = json.loads(hydroear("room", "--mqtt", mosquitto.url, "--once", "--json").stdout)
    assert [unit["severity"] for unit in snapshot["units"]] == ["leak", "deaf", "deaf", "quiet"]
    assert snapshot["units"][0]["events"][0]["event_id"] == EVENT


def test_silence_of_all_units_does_not_pass_for_all_being_well(mosquitto: Mosquitto) -> None:
    done = hydroear("room", "--mqtt", mosquitto.url, "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "hydroear: warning: no unit has ever told this broker anything\n"


def test_a_script_gets_one_alarm_a_leak_and_hears_of_a_lost_broker(street: Street, mosquitto: Mosquitto) -> None:
    with Watching("--mqtt", mosquitto.url) as watching:
        assert watching.wait_for(1, "link") == [{"kind": "link", "connected": True, "why": ""}]
        street.live("high-street")
        for _ in range(3):
            street.say("high-street", event("open", "leak"), heard("leak", EVENT), seq=1)
        street.say("high-street", event("update", "acknowledged", "acknowledged by Ada"), seq=2)
        (step,) = watching.wait_for(1, "event")
        assert (step["state"], step["steps"][-1]["reason"]) == ("acknowledged", "acknowledged by Ada")
        (alarm,) = watching.lines("alarm")
        assert (alarm["unit"], alarm["event_id"], alarm["low_hz"]) == ("high-street", EVENT, 420.0)
        mosquitto.restart()
        lost = watching.wait_for(3, "link")
        assert [line["connected"] for line in lost[1:]][-1] is True
        assert "ended the connection" in lost[1]["why"] or "cannot be reached" in lost[1]["why"]
        street.say("high-street", event("open", "leak"), heard("leak", EVENT), seq=1)
        street.say("high-street", event("close", "quiet"), seq=3)
        watching.wait_for(2, "event")
        assert len(watching.lines("alarm")) == 1


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (None, 2, "which broker?; expected either -c FILE or --mqtt URL"),
        (
            {"mqtt": {"url": "mqtt://127.0.0.1:{port}", "home_assistant": "ha"}},
            2,
            "mqtt.home_assistant is a setting of",
        ),
        ({"mqtt": {"url": "mqtt://127.0.0.1:{port}"}}, 1, "refuses this unit: Not authorized; check mqtt.username"),
        ({"mqtt": {"url": "mqtt://127.0.0.1:1"}}, 1, "cannot be reached: refused: nothing listens there"),
        (
            {"mqtt": {"url": "mqtt://127.0.0.1:{port}", "username": "room", "password_file": "room.password"}},
            1,
            "no unit has ever told this broker anything",
        ),
    ],
    ids=["none", "a unit's", "no login", "nobody there", "right"],
)
def test_settings_come_from_a_file_and_what_is_wrong_is_told_in_words(
    make_mosquitto: Callable[..., Mosquitto], tmp_path: Path, settings: dict[str, Any] | None, code: int, words: str
) -> None:
    broker = make_mosquitto(users={"room": "x"}).start()
    (tmp_path / "room.password").write_text("x")
    if settings is not None:
        (tmp_path / "room.yaml").write_text(yaml.safe_dump(settings).replace("{port}", str(broker.port)))
    done = hydroear("room", "--once", *([] if settings is None else ["-c", tmp_path / "room.yaml"]))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
