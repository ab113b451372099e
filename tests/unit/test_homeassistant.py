"""What Home Assistant is told of a unit; tests/e2e/test_home_assistant.py asks a real one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hydroear.mqtt import topics
from hydroear.mqtt.commands import parse
from hydroear.mqtt.homeassistant import discovery_message

OF_A_SENSOR = ("leak", "state", "score", "level")
DISCOVERY_TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")
"""https://www.home-assistant.io/integrations/mqtt/#discovery-topic: the object id holds these characters alone."""


def discovery(unit: str = "high-street", *sensors: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(discovery_message("homeassistant", unit=unit, sensors=sensors).payload)
    return payload


def test_units_whose_names_differ_have_topics_that_differ_and_are_allowed() -> None:
    names = ["a", "a.b", "a_b", "a-b", "a_.b", "a._b", "a__b", "a_-b", "A.1-2_3"]
    found = {discovery_message("homeassistant", unit=name, sensors=[]).topic for name in names}
    assert len(found) == len(names)
    assert all(DISCOVERY_TOPIC.fullmatch(topic) for topic in found)


def test_every_entity_has_an_id_of_its_own_whatever_sensors_are_called() -> None:
    sensors = ["queue", "a", "a_leak", "a_leak_leak", "problem"]
    components = json.loads(discovery_message("ha", unit="u", sensors=sensors, devices=sensors).payload)["components"]
    assert len(components) == 4 + 8 * len(sensors)
    assert len({component["unique_id"] for component in components.values()}) == len(components)


def test_what_it_says_of_the_unit_is_retained_and_names_device_origin_and_platforms() -> None:
    message = discovery_message("ha/prefix", unit="high-street", sensors=["hydrant-7"])
    assert (message.topic, message.retain) == ("ha/prefix/device/hydroear-high-street/config", True)
    payload = json.loads(message.payload)
    assert {"device", "origin", "components"} <= payload.keys()
    assert payload["availability"][0]["topic"] == topics.status("high-street")
    assert all({"platform", "unique_id", "name"} <= component.keys() for component in payload["components"].values())


def test_the_button_sends_a_command_with_a_request_id_that_can_be_part_of_a_topic() -> None:
    button = discovery()["components"]["selftest"]
    assert button["command_topic"] == topics.command("high-street", "selftest")
    text = button["command_template"].replace("{{ utcnow().isoformat() }}", "2025-03-03T14:05:06.789000+00:00")
    request = parse("selftest", re.sub(r"{{.*?}}", "1741010706789", text).encode())
    assert request.request_id == "home-assistant-1741010706789"


def test_only_a_sensor_with_a_device_has_alarms() -> None:
    message = discovery_message("ha", unit="u", sensors=["pipe", "valve"], devices=["valve"])
    components = json.loads(message.payload)["components"]
    assert {key for key in components if key.startswith("pipe_")} == {f"pipe_{key}" for key in OF_A_SENSOR}
    alarms = {key: components[f"valve_{key}"] for key in ("tamper", "water-ingress", "low-battery", "other-alarm")}
    assert {alarm["state_topic"] for alarm in alarms.values()} == {topics.health("u")}
    assert [alarm["device_class"] for alarm in alarms.values()] == ["tamper", "moisture", "battery", "problem"]


@pytest.mark.parametrize("key", OF_A_SENSOR)
def test_a_sensor_is_told_of_by_its_state(key: str) -> None:
    component = discovery("u", "hydrant-7")["components"][f"hydrant-7_{key}"]
    assert component["state_topic"] == topics.state("u", "hydrant-7")
