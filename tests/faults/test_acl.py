"""The example of access rules, in force in a real broker: nobody speaks for another, or asks who may not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from broker import DEADLINE_S, Mosquitto
from hydroear.mqtt import homeassistant, topics
from hydroear.mqtt.broker import hang_up

EXAMPLE = Path(__file__).parents[2] / "systemd/mosquitto.acl.example"
USERS = ("unit-1", "unit-2", "control-room", "wallboard")
OWN = [
    topics.status("unit-1"),
    topics.birth("unit-1"),
    topics.health("unit-1"),
    topics.state("unit-1", "pipe"),
    topics.night("unit-1", "pipe"),
    topics.event("unit-1", "e1"),
    topics.alarm("unit-1", "a1"),
    topics.clip("unit-1", "e1"),
    topics.reply("unit-1", "ask-1"),
    topics.selftest("unit-1"),
    topics.model("unit-1"),
    topics.selftest_echo("unit-1", "0123456789ab"),
    homeassistant.discovery_message("homeassistant", unit="unit-1", sensors=["pipe"]).topic,
]
"""Every topic on which a unit says something."""


@pytest.fixture
def broker(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    return make_mosquitto(users=dict.fromkeys(USERS, "x"), acl=EXAMPLE.read_text().splitlines()).start()


def may_say(broker: Mosquitto, user: str, topic: str) -> bool:
    """Whether the broker takes a message; mosquitto 2.0 ends the connection after it refused one."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(user, "x")
    answered = threading.Event()
    taken: list[bool] = []

    def settle(reason_is_failure: bool) -> None:
        taken.append(not reason_is_failure)
        answered.set()

    client.on_publish = lambda _c, _d, _mid, reason, _p: settle(reason.is_failure)
    client.on_connect = lambda *_: client.publish(topic, b"x", qos=1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert answered.wait(DEADLINE_S)
    hang_up(client)
    return taken[0]


def test_a_unit_tells_all_it_has_to_and_speaks_for_nobody_else(broker: Mosquitto) -> None:
    assert [topic for topic in OWN if not may_say(broker, "unit-1", topic)] == []
    assert [topic for topic in OWN if may_say(broker, "unit-2", topic)] == []
    assert [topic for topic in OWN if may_say(broker, "wallboard", topic)] == []


def test_only_the_control_room_asks(broker: Mosquitto) -> None:
    allowed = {user for user in USERS if may_say(broker, user, topics.command("unit-1", "restart"))}
    assert allowed == {"control-room"}


def test_only_those_hear_who_may(broker: Mosquitto) -> None:
    clients = {user: broker.subscribe("#", username=user, password="x") for user in USERS}
    said = {"unit-1": [topics.state("unit-1", "pipe"), topics.reply("unit-1", "ask-1")]}
    with clients["unit-1"], clients["unit-2"], clients["control-room"] as room, clients["wallboard"]:
        for user, spoken in [("control-room", [topics.command("unit-1", "ping")]), *said.items()]:
            for topic in spoken:
                assert may_say(broker, user, topic)
        room.wait_for(lambda got: len(got) == 3, "all three messages")
        for user in ("unit-1", "wallboard"):
            clients[user].wait_for(lambda got: got, f"what {user} may hear")
        heard = {user: [message.topic for message in client.received] for user, client in clients.items()}
    assert heard["unit-1"] == [topics.command("unit-1", "ping")]
    assert heard["unit-2"] == []
    assert heard["wallboard"] == [topics.state("unit-1", "pipe")]
