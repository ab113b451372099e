"""A broker that is away, another that is there, and one that only speaks an older MQTT."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from broker import Mosquitto, free_port, wait_for
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox
from hydroear_train.broker import EmbeddedBroker


def event(name: str) -> Message:
    return Message(f"hydroear/v1/unit/event/{name}", name.encode(), Kind.EVENT)


def test_a_unit_turns_to_the_second_broker_and_comes_back_to_the_first(
    make_mosquitto: Callable[..., Mosquitto], outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    preferred, standby = make_mosquitto(), make_mosquitto().start()
    with standby.subscribe("#") as room:
        link = make_link(preferred.url, fallback_urls=[standby.url])
        outbox.put(event("one"))
        room.wait_for(lambda _: room.on("hydroear/v1/unit/event/one"), "the first event at the second broker")
        preferred.start()
        with preferred.subscribe("#") as head_office:
            outbox.put(event("two"))
            room.wait_for(lambda _: room.on("hydroear/v1/unit/event/two"), "a connection that stands to be kept")
            standby.kill()
            outbox.put(event("three"))
            head_office.wait_for(
                lambda _: head_office.on("hydroear/v1/unit/event/three"), "the third event at the first broker"
            )
            assert not head_office.on("hydroear/v1/unit/event/two")
    wait_for(lambda: link.connected and link.status.delivered == 3, "all three to be acknowledged")


def test_a_broker_that_does_not_understand_mqtt_5_is_spoken_to_in_3_1_1(
    outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    with EmbeddedBroker() as broker:
        outbox.put(event("one"))
        link = make_link(broker.url)
        wait_for(lambda: outbox.depth() == 0, "the event to be delivered")
        assert link.last_error == ""
        link.stop(1.0)


def test_a_broker_that_refuses_the_version_is_asked_in_the_other_at_once(make_link: Callable[..., Link]) -> None:
    def answer(connection: socket.socket) -> None:
        """CONNACK: level 4 is let in, level 5 is not (MQTT 3.1.1, sections 3.1.2.2 and 3.2.2.3)."""
        level = connection.recv(4096).split(b"\x00\x04MQTT")[1][0]
        connection.sendall(bytes([0x20, 2, 0, 0 if level == 4 else 1]))
        if level == 4:
            while connection.recv(4096):
                pass

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        link = make_link(f"mqtt://127.0.0.1:{listener.getsockname()[1]}")
        wait_for(lambda: link.connected, "the connection")
        assert link.last_error == ""
        link.stop(0.1)
        thread.join()


def test_a_unit_that_stops_does_not_wait_for_brokers_that_are_away(
    outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    outbox.put(event("one"))
    link = make_link(f"mqtt://127.0.0.1:{free_port()}", fallback_urls=[f"mqtt://127.0.0.1:{free_port()}"])
    began_s = time.monotonic()
    assert not link.stop(10.0)
    assert time.monotonic() - began_s < 5.0
    assert outbox.depth() == 1
