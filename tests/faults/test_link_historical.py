"""The control room can tell news from what waited for the link."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from broker import Mosquitto, wait_for
from hydroear.message import Kind, Message
from hydroear.mqtt import link as link_module
from hydroear.mqtt import topics
from hydroear.mqtt.link import WINDOW, Link
from hydroear.mqtt.payloads import Stamp, State, encode
from hydroear.outbox import Outbox

STATE = topics.state("unit", "a")
EVENT = topics.event("unit", "e1")


def said(topic: str, seq: int, kind: Kind = Kind.EVENT) -> Message:
    """Something that a unit says; what it is about does not matter here."""
    stamp = Stamp("unit", datetime.now(UTC), "synchronised", "boot", seq, None)
    payload = encode(State("a", "quiet", 0.5, -40.0, None, None, stamp.time, 1.0, 1, 0, None, None), stamp)
    return Message(topic, payload, kind, retain=kind is Kind.STATE)


def test_what_was_said_before_the_link_stood_is_historical_and_what_is_said_then_is_not(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    with mosquitto.subscribe() as room:
        outbox.put(said(EVENT, 0))
        link = make_link(mosquitto.url)
        wait_for(lambda: link.status.delivered == 1, "the broker to take what waited")
        outbox.put(said(EVENT, 1))
        room.wait_for(lambda _: len(room.on(EVENT)) == 2, "both")
        assert [(message.json["seq"], message.json["historical"]) for message in room.on(EVENT)] == [
            (0, True),
            (1, False),
        ]


def test_what_is_retained_is_no_news_when_it_is_sent_again(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    with mosquitto.subscribe(STATE) as room:
        link = make_link(mosquitto.url)
        wait_for(lambda: link.connected, "the link")
        outbox.put(said(STATE, 0, Kind.STATE))
        room.wait_for(lambda got: len(got) == 1, "the state")
        mosquitto.kill()
        wait_for(lambda: not link.connected, "the link to notice")
        mosquitto.start()
        room.wait_for(lambda got: len(got) == 2, "the state again")
        outbox.put(said(STATE, 1, Kind.STATE))
        room.wait_for(lambda got: len(got) == 3, "another state")
        assert [message.json["historical"] for message in room.received] == [False, True, False]


def test_what_waited_for_long_for_a_slow_broker_is_historical(
    mosquitto: Mosquitto, outbox: Outbox, make_link: Callable[..., Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "NEWS_S", 0.5)
    with mosquitto.subscribe(EVENT) as room:
        link = make_link(mosquitto.url)
        wait_for(lambda: link.connected, "the link")
        mosquitto.freeze()
        outbox.put(*(said(EVENT, number) for number in range(WINDOW + 1)))
        time.sleep(1.0)
        mosquitto.thaw()
        room.wait_for(lambda got: len(got) == WINDOW + 1, "every event")
        assert [message.json["historical"] for message in room.received] == [False] * WINDOW + [True]
