"""What a unit tells Home Assistant, and what a real one makes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from paho.mqtt.publish import single

from broker import Mosquitto, wait_for
from hydroear.config.schema import NAME_PATTERN
from hydroear.model import SHIPPED_BUNDLE
from hydroear.mqtt import payloads, topics
from hydroear.mqtt.homeassistant import STATUS_TOPIC, discovery_message
from hydroear.mqtt.payloads import Health, OpenAlarm, SensorHealth, SensorState, Stamp, State, Status
from listening import command, health, write

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("HOME_ASSISTANT_PYTHON", ROOT / ".home-assistant/bin/python"))
UNIT, SENSOR = "high.street_1", "hydrant-7"
DISCOVERY = discovery_message("homeassistant", unit=UNIT, sensors=[SENSOR])
ALARMS = {
    "tamper": "hydrant_7_tamper",
    "water-ingress": "hydrant_7_water_ingress",
    "low-battery": "hydrant_7_battery",
    "0x8001": "hydrant_7_other_alarm",
}
START_S = 30.0
needs_home_assistant = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"no Home Assistant in {PYTHON.parents[1]}: see daemon/docs/home-assistant.md"
)


def test_a_unit_makes_itself_known_and_again_when_home_assistant_begins_anew(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    source = {"type": "wav", "files": [str(write(tmp_path / "pipe.wav", health(60.0, seed=1)))], "speed": 1}
    config = {
        "unit": UNIT,
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(tmp_path / "state"),
        "sensors": [{"id": SENSOR, "source": source}],
        "mqtt": {"url": mosquitto.url, "home_assistant": "homeassistant"},
    }
    (tmp_path / "unit.yaml").write_text(yaml.safe_dump(config))
    with (
        mosquitto.subscribe("homeassistant/device/#") as room,
        subprocess.Popen(command("run", "-c", tmp_path / "unit.yaml"), stdout=subprocess.DEVNULL) as unit,
    ):
        try:
            room.wait_for(lambda got: len(got) == 1, "the discovery message")
            single(STATUS_TOPIC, "offline", port=mosquitto.port)
            single(STATUS_TOPIC, "online", port=mosquitto.port)
            room.wait_for(lambda got: len(got) == 2, "the discovery message again")
        finally:
            unit.terminate()
        assert {(message.topic, message.payload) for message in room.received} == {(DISCOVERY.topic, DISCOVERY.payload)}
    with mosquitto.subscribe("homeassistant/#") as late:
        late.wait_for(lambda got: len(got) == 1 and got[0].retained, "what the broker keeps")


class HomeAssistant:
    """A Home Assistant that is connected to a broker."""

    def __init__(self, folder: Path, port: int) -> None:
        with (folder / "home-assistant.log").open("w") as log:
            self._process = subprocess.Popen(
                [PYTHON, ROOT / "tests/home_assistant.py", folder, str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": os.environ["PATH"]},
            )

    def close(self) -> None:
        """End it; it has nothing to save."""
        self._process.kill()
        self._process.communicate()

    def ask(self, line: str) -> Any:
        """What it answers to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait_for(self, **expected: str) -> None:
        """Wait until entities whose names end so have these states."""

        def shown() -> dict[str, str]:
            states = self.ask("states").items()
            return {name: state for name in expected for entity, state in states if entity.endswith(name)}

        wait_for(lambda: shown() == expected, f"{expected}, shown {shown()}", timeout_s=START_S)


@pytest.fixture
def make_home_assistant(tmp_path: Path) -> Iterator[Callable[[int], HomeAssistant]]:
    """Start a Home Assistant at the broker of a port; it is ended after the test."""
    made: list[HomeAssistant] = []

    def make(port: int) -> HomeAssistant:
        made.append(HomeAssistant(tmp_path, port))
        return made[-1]

    yield make
    for home_assistant in made:
        home_assistant.close()


@needs_home_assistant
def test_a_real_home_assistant_shows_what_a_unit_says_and_asks_for_a_self_test(
    mosquitto: Mosquitto, make_home_assistant: Callable[[int], HomeAssistant]
) -> None:
    def say(topic: str, body: payloads.Body) -> None:
        payload = payloads.encode(body, Stamp(UNIT, datetime.now(UTC), "synchronised", "boot", 0, None))
        single(topic, payload, qos=1, retain=True, port=mosquitto.port)

    def say_state(state: SensorState, score: float | None, level_db: float | None) -> None:
        heard = State(SENSOR, state, score, level_db, None, None, datetime.now(UTC), 1.0, 1, 0, None, None)
        say(topics.state(UNIT, SENSOR), heard)

    discovery = discovery_message("homeassistant", unit=UNIT, sensors=[SENSOR], devices=[SENSOR])
    single(discovery.topic, discovery.payload, qos=1, retain=True, port=mosquitto.port)
    say(topics.status(UNIT), Status("online"))
    say_state("quiet", 0.75, -41.5)
    say(topics.health(UNIT), unit_health("healthy", cpu_temperature_c=48.5))
    home_assistant = make_home_assistant(mosquitto.port)
    home_assistant.wait_for(
        hydrant_7_leak="off",
        hydrant_7_state="quiet",
        hydrant_7_score="0.75",
        hydrant_7_level="-41.5",
        messages_waiting="2",
        cpu_temperature="48.5",
        problem="off",
        self_test="unknown",
        **dict.fromkeys(ALARMS.values(), "off"),
    )
    leak = {"leak": "on", "acknowledged": "on", "noisy": "unknown", "fault": "unknown"}
    for state in get_args(SensorState):
        say_state(state, None, None)
        home_assistant.wait_for(
            hydrant_7_state=state,
            hydrant_7_leak=leak.get(state, "off"),
            hydrant_7_score="unknown",
            hydrant_7_level="unknown",
        )
    for alarm in ALARMS:
        say(topics.health(UNIT), unit_health("healthy", cpu_temperature_c=None, alarm=alarm))
        home_assistant.wait_for(**{name: "on" if of == alarm else "off" for of, name in ALARMS.items()})
    say(topics.health(UNIT), unit_health("failed", cpu_temperature_c=None))
    home_assistant.wait_for(problem="on", cpu_temperature="unknown")

    with mosquitto.subscribe(topics.command(UNIT, "selftest")) as unit:
        button = next(entity for entity in home_assistant.ask("states") if entity.startswith("button."))
        home_assistant.ask(f"press {button}")
        time.sleep(0.01)
        home_assistant.ask(f"press {button}")
        unit.wait_for(lambda got: len(got) == 2, "the commands")
        first, second = (message.json for message in unit.received)
    assert first["schema"] == "hydroear/command/1"
    assert first["request_id"] != second["request_id"]
    assert re.match(NAME_PATTERN, first["request_id"])

    say(topics.status(UNIT), Status("offline"))
    home_assistant.wait_for(hydrant_7_leak="unavailable", problem="unavailable", self_test="unavailable")
    assert home_assistant.ask("complaints") == []


def unit_health(condition: payloads.SensorCondition, *, cpu_temperature_c: float | None, alarm: str = "") -> Health:
    """A unit with one sensor in a condition, and perhaps an alarm."""
    sensor = SensorHealth(
        state="quiet",
        level_db=-41.5,
        level=None,
        level_unit=None,
        floor_db=-44.0,
        windows_scored=1,
        windows_skipped=0,
        windows_vetoed=0,
        gaps=0,
        samples_lost=0,
        overflows=0,
        drift_ppm=None,
        score_p50_ms=None,
        score_p95_ms=None,
        condition=condition,
        ailment="",
        evidence=None,
        device=None,
        alarms=[OpenAlarm("alarm-1", alarm, datetime.now(UTC))] if alarm else [],
    )
    return Health(
        uptime_s=1.0,
        rss_bytes=1,
        queue_depth=2,
        drops={},
        refused=0,
        disk_free_bytes=None,
        cpu_temperature_c=cpu_temperature_c,
        clock_error_s=None,
        model="cast-iron",
        shadow=None,
        sensors={SENSOR: sensor},
    )
