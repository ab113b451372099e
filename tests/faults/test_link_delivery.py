"""Nothing that was put is lost and order is kept, whichever of daemon and broker dies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import Mosquitto, Received, wait_for
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

EVENT = "hydroear/v1/unit/event/e1"


def event(number: int) -> Message:
    return Message(EVENT, b"%d" % number, Kind.EVENT)


def numbers(received: list[Received]) -> list[int]:
    return [int(message.payload) for message in received if message.topic == EVENT]


def without_repeats(received: list[Received]) -> list[int]:
    return list(dict.fromkeys(numbers(received)))


@pytest.fixture
def broker(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker that keeps the control room's session over a restart."""
    return make_mosquitto(persistence=True).start()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_events_put_while_the_broker_is_down_arrive_once_when_it_is_back(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link], protocol: str
) -> None:
    with broker.subscribe(EVENT) as room:
        broker.stop()
        link = make_link(broker.url, protocol=protocol)
        outbox.put(*(event(number) for number in range(100)))
        wait_for(lambda: "nothing listens there" in link.last_error, "the link to notice that there is no broker")
        assert not link.connected
        broker.start()
        wait_for(lambda: link.status.delivered == 100, "the broker to take everything")
        room.wait_for(lambda got: len(got) >= 100, "the control room to get everything")
        assert numbers(room.received) == list(range(100))
        assert outbox.depth() == 0
        assert link.connected
        assert link.last_error == ""


def test_events_of_a_daemon_that_was_killed_before_it_ever_connected_arrive_once(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "killed.sqlite"
    with broker.subscribe(EVENT) as room:
        broker.stop()
        with Daemon(path, broker.url, first=0, last=50) as killed:
            killed.wait_until_put(50)
        broker.start()
        with Daemon(path, broker.url, first=50, last=60) as second:
            second.wait_until_put(10)
            room.wait_for(lambda got: len(got) >= 60, "the control room to get everything")
        assert numbers(room.received) == list(range(60))


def test_a_daemon_that_is_killed_while_it_delivers_loses_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "killed.sqlite"
    with broker.subscribe(EVENT) as room:
        for first in range(0, 1500, 500):
            with Daemon(path, broker.url, first=first, last=first + 500) as killed:
                killed.wait_until_put(500)
        with Daemon(path, broker.url, first=1500, last=1501) as last:
            last.wait_until_put(1)
            room.wait_for(lambda got: 1500 in numbers(got), "the last event")
        assert without_repeats(room.received) == list(range(1501))


def test_a_broker_that_is_killed_again_and_again_loses_nothing(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    link = make_link(broker.url)
    # mosquitto acknowledges a message before it saves it. One that it has sent on but not saved when it is
    # killed reaches only a subscriber that owes it nothing: unread acknowledgements reset the connection.
    with broker.subscribe(EVENT, qos=1) as durable, broker.subscribe(EVENT, qos=0) as prompt:
        for first in (0, 300, 600):
            wait_for(lambda: link.connected, "the link to come back")
            delivered = link.status.delivered
            for number in range(first, first + 300):
                outbox.put(event(number))
            wait_for(lambda: link.status.delivered > delivered, "the stream to flow")  # noqa: B023
            broker.kill()
            wait_for(lambda: not link.connected, "the link to notice")
            broker.start()
        wait_for(lambda: set(numbers(durable.received + prompt.received)) == set(range(900)), "every event")
        assert without_repeats(durable.received) == sorted(set(numbers(durable.received)))
        wait_for(lambda: outbox.depth() == 0, "the outbox to drain")


def test_an_event_overtakes_the_clips_that_wait(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    with broker.subscribe("hydroear/v1/unit/+/e1") as room:
        outbox.put(*(Message("hydroear/v1/unit/clip/e1", bytes(10_000), Kind.CLIP) for _ in range(100)), event(1))
        make_link(broker.url)
        room.wait_for(lambda got: len(got) == 101, "everything")
        assert room.received[0].topic == EVENT


def test_stop_delivers_what_is_left(broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]) -> None:
    link = make_link(broker.url)
    wait_for(lambda: link.connected, "the link")
    with broker.subscribe(EVENT) as room:
        outbox.put(*(event(number) for number in range(300)))
        assert link.stop(10.0)
        assert outbox.depth() == 0
        room.wait_for(lambda got: len(got) == 300, "everything")


def test_stop_waits_for_a_first_attempt_that_is_under_way(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    outbox.put(event(1))
    assert make_link(broker.url).stop(10.0)
    assert outbox.depth() == 0


def test_stop_does_not_wait_for_a_broker_that_is_not_there(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    broker.stop()
    link = make_link(broker.url)
    outbox.put(event(1))
    wait_for(lambda: link.last_error, "the first attempt to fail")
    began_s = time.monotonic()
    assert not link.stop(10.0)
    assert time.monotonic() - began_s < 5.0
    assert outbox.depth() == 1


def test_stop_gives_up_on_a_broker_that_froze(
    broker: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    link = make_link(broker.url)
    wait_for(lambda: link.connected, "the link")
    broker.freeze()
    outbox.put(event(1))
    began_s = time.monotonic()
    assert not link.stop(0.5)
    assert time.monotonic() - began_s < 4.0
    assert outbox.depth() == 1
    assert "does not answer" in link.last_error


class Daemon:
    """A daemon in a process of its own, killed with ``kill -9`` at the end of its ``with``."""

    def __init__(self, path: Path, url: str, *, first: int, last: int) -> None:
        script = f"""
import sys, threading
from pathlib import Path
from hydroear.config.schema import Mqtt
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

outbox = Outbox(Path({str(path)!r}))
Link(Mqtt(url={url!r}), unit="unit", outbox=outbox, birth=lambda: b"birth", status=str.encode,
     reconnect_s=(0.2, 0.5)).start()
for number in range({first}, {last}):
    outbox.put(Message({EVENT!r}, b"%d" % number, Kind.EVENT))
    print(number, flush=True)
threading.Event().wait()
"""
        self._process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until_put(self, count: int) -> None:
        assert self._process.stdout is not None
        for _ in range(count):
            assert self._process.stdout.readline(), "the daemon ended before its time"
