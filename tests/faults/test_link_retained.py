"""What a broker retains about a unit is true, whenever somebody looks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from broker import Mosquitto, Received, wait_for
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

STATUS = "hydroear/v1/unit/status"
BIRTH = "hydroear/v1/unit/birth"
STATE = "hydroear/v1/unit/sensor/a/state"


def state(payload: bytes) -> Message:
    return Message(STATE, payload, Kind.STATE, retain=True)


def retained(broker: Mosquitto, count: int) -> dict[str, bytes]:
    """What somebody who looks now is told at once."""
    with broker.subscribe("hydroear/#") as late:
        late.wait_for(lambda got: len(got) == count, f"{count} retained messages")
        assert all(message.retained for message in late.received)
        return {message.topic: message.payload for message in late.received}


def test_a_late_subscriber_sees_the_unit_as_it_is(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    make_link(mosquitto.url)
    outbox.put(state(b"quiet"))
    outbox.put(state(b"leak"))
    wait_for(lambda: outbox.depth() == 0, "the outbox to drain")
    assert retained(mosquitto, 3) == {STATUS: b"online", BIRTH: b"birth 1", STATE: b"leak"}


def test_everything_retained_is_sent_again_to_a_broker_that_lost_its_memory(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    link = make_link(mosquitto.url)
    outbox.put(state(b"leak"))
    wait_for(lambda: outbox.depth() == 0, "the outbox to drain")
    mosquitto.kill()
    wait_for(lambda: not link.connected, "the link to notice")
    mosquitto.start()
    wait_for(lambda: link.connected, "the link to come back")
    assert retained(mosquitto, 3) == {STATUS: b"online", BIRTH: b"birth 2", STATE: b"leak"}


def test_a_state_that_changed_while_the_broker_was_away_is_the_last_word(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    link = make_link(mosquitto.url)
    outbox.put(state(b"quiet"))
    wait_for(lambda: outbox.depth() == 0, "the outbox to drain")
    mosquitto.kill()
    wait_for(lambda: not link.connected, "the link to notice")
    outbox.put(state(b"leak"))
    mosquitto.start()
    wait_for(lambda: outbox.depth() == 0, "the outbox to drain")
    assert retained(mosquitto, 3)[STATE] == b"leak"


def test_a_unit_that_stops_says_offline(mosquitto: Mosquitto, make_link: Callable[..., Link]) -> None:
    link = make_link(mosquitto.url)
    wait_for(lambda: link.connected, "the link")
    assert link.stop(5.0)
    assert retained(mosquitto, 2)[STATUS] == b"offline"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_unit_that_is_killed_is_reported_offline(mosquitto: Mosquitto, protocol: str) -> None:
    script = f"""
import sys, threading
from pathlib import Path
from hydroear.config.schema import Mqtt
from hydroear.mqtt.link import Link

class Nothing:
    def pending(self, limit, *, skip=()): return []
    def delete(self, *ids): pass
    def listen(self, listener): pass

Link(Mqtt(url={mosquitto.url!r}, protocol={protocol!r}), unit="unit", outbox=Nothing(), birth=lambda: b"birth",
     status=str.encode).start()
threading.Event().wait()
"""

    def status(got: list[Received]) -> list[bytes]:
        return [message.payload for message in got if message.topic == STATUS]

    with mosquitto.subscribe() as room, subprocess.Popen([sys.executable, "-c", script]) as unit:
        room.wait_for(lambda got: status(got) == [b"online"], "the unit to come up")
        unit.kill()
        room.wait_for(lambda got: status(got) == [b"online", b"offline"], "the last will")
    assert retained(mosquitto, 2)[STATUS] == b"offline"
