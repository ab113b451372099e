"""The broker of the demonstration carries what a unit says to a control room."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from broker import Received, Subscriber, wait_for
from hydroear.config.schema import Mqtt
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox
from hydroear_train.broker import EmbeddedBroker

EVENT = "hydroear/v1/unit/event/e1"
STATUS = "hydroear/v1/unit/status"


def test_a_unit_reaches_the_control_room_through_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads_before = threading.active_count()
    with EmbeddedBroker() as broker, Outbox(tmp_path / "outbox.sqlite") as outbox:
        port = int(broker.url.rpartition(":")[2])
        link = Link(
            Mqtt(url=broker.url, protocol="3.1.1"),
            unit="unit",
            outbox=outbox,
            birth=lambda: b"birth",
            status=str.encode,
        )
        with Subscriber(port, "hydroear/#", protocol=MQTTProtocolVersion.MQTTv311) as room:
            link.start()
            outbox.put(*(Message(EVENT, b"%d" % number, Kind.EVENT) for number in range(100)))
            wait_for(lambda: link.status.delivered == 100, "the broker to take everything")
            assert link.stop(5.0)
            room.wait_for(lambda got: got and got[-1].payload == b"offline", "the goodbye")
            assert [message.payload for message in room.on(EVENT)] == [b"%d" % number for number in range(100)]
            assert [message.payload for message in room.on(STATUS)] == [b"online", b"offline"]
        with Subscriber(port, STATUS, protocol=MQTTProtocolVersion.MQTTv311) as late:
            # amqtt 0.12 also sends a newcomer what is retained on topics that others subscribed to, and twice.
            late.wait_for(lambda got: Received(STATUS, b"offline", True) in got, "the retained status")
    assert threading.active_count() == threads_before
    assert capfd.readouterr() == ("", "")


def test_it_stops_while_a_client_is_connected() -> None:
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.url != second.url
        room = Subscriber(int(first.url.rpartition(":")[2]), "#", protocol=MQTTProtocolVersion.MQTTv311).__enter__()
    room.__exit__()
