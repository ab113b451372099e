"""The control room's connection to the broker: hears what units say, and publishes what is asked of them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import NamedTuple, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt
from hydroear.errors import HydroearError, LinkError
from hydroear.mqtt import topics
from hydroear.mqtt.broker import (
    HANG_UP_S,
    broker_addresses,
    dial,
    hang_up,
    last_words,
    make_client,
    protocols,
    refusal,
)
from hydroear.mqtt.roster import Attempt, Roster

QOS = 1
ANSWER_S = 10.0
"""How long a broker may take to answer CONNECT."""
RECONNECT_S = (1.0, 30.0)
"""First and longest wait between two rounds of attempts."""

FILTERS = tuple(
    f"{topics.ROOT}/+/{rest}"
    for rest in ("status", "birth", "health", "selftest", "model", "sensor/+/state", "event/+", "alarm/+", "reply/+")
)
"""What the room hears of all units."""
_ACL_FIX = "see the control room in systemd/mosquitto.acl.example"


@dataclass(frozen=True)
class Heard:
    """A message.

    Attributes
    ----------
    topic, payload, retained
        As it came.
    time
        When it came, UTC.
    """

    topic: str
    payload: bytes
    retained: bool
    time: datetime


@dataclass(frozen=True)
class LinkNews:
    """How the connection stands now.

    Attributes
    ----------
    connected
        The broker let the room in, and answered its subscriptions.
    why
        What is wrong, and what to do; empty when all is well.
    """

    connected: bool
    why: str = ""


class _End(NamedTuple):
    """What decides a connection: the broker's answer, its loss, or with no client, the wish to end."""

    client: Client | None
    answered: bool = False
    reason: ReasonCode | None = None


class Session:
    """A connection that comes back by itself, for the length of a ``with``.

    All that happens waits in one queue, which :meth:`next` empties: whoever uses it needs no lock.

    Parameters
    ----------
    settings
        The broker, and how to log in.
    filters
        What to subscribe to.

    Raises
    ------
    LinkError, UsageError
        The password, a certificate or a URL cannot be used.
    """

    def __init__(self, settings: Mqtt, filters: Sequence[str] = FILTERS) -> None:
        self._settings, self._filters = settings, list(filters)
        self._client_id = f"hydroear-room-{uuid.uuid4().hex[:12]}"
        self._roster = Roster(broker_addresses(settings), protocols(settings), RECONNECT_S)
        self._inbox: SimpleQueue[Heard | LinkNews] = SimpleQueue()
        self._ends: SimpleQueue[_End] = SimpleQueue()
        self._client: Client | None = None
        self._stopping = threading.Event()
        self._caller = threading.Thread(target=self._run, name="mqtt-room", daemon=True)
        for address in broker_addresses(settings):
            make_client(settings, self._client_id, address, protocols(settings)[0])  # what cannot be used is told now

    def __enter__(self) -> Self:
        self._caller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._ends.put(_End(None))
        self._caller.join(2.0 * HANG_UP_S)  # it may hang in an attempt to connect

    def next(self, timeout_s: float) -> Heard | LinkNews | None:
        """What happened next; None if nothing does for so long."""
        try:
            return self._inbox.get(timeout=timeout_s) if timeout_s > 0.0 else self._inbox.get_nowait()
        except Empty:
            return None

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish, unless there is no connection: False then, and nothing waits for one."""
        client = self._client
        return client is not None and client.publish(topic, payload, QOS).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def subscribe(self, wanted: str) -> None:
        """Hear more than before, in this connection and in all that follow."""
        if wanted not in self._filters:
            self._filters.append(wanted)
            if (client := self._client) is not None:
                client.subscribe(wanted, QOS)

    # On the thread of the calls.

    def _run(self) -> None:
        attempt = self._roster.first()
        while not self._stopping.wait(attempt.wait_s):
            attempt = self._call(attempt)

    def _call(self, attempt: Attempt) -> Attempt:
        """Connect, and return when the connection has ended; gives what to try next."""
        address = attempt.address
        try:
            client = make_client(self._settings, self._client_id, address, attempt.protocol)
        except HydroearError as error:  # a password or a certificate that is being replaced
            return self._failed(str(error))
        client.on_connect = lambda _client, _data, _flags, reason, _: self._ends.put(_End(client, True, reason))
        client.on_disconnect = lambda _client, _data, _flags, reason, _: self._ends.put(_End(client, False, reason))
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        try:
            dial(client, address, keepalive_s=self._settings.keepalive_s, protocol=attempt.protocol)
        except LinkError as error:
            return self._failed(str(error))
        client.loop_start()
        try:
            return self._talk(client, attempt)
        finally:
            self._client = None
            hang_up(client)

    def _talk(self, client: Client, attempt: Attempt) -> Attempt:
        address = attempt.address
        end = self._wait(client, ANSWER_S)
        if end is None:
            why = f"broker {address} does not answer CONNECT; check that mqtt.url names an MQTT broker"
            return self._failed(why, other_version=True)
        if end.client is None:
            return attempt
        if end.answered and end.reason is not None and end.reason.is_failure:
            other_version = str(end.reason) == "Unsupported protocol version"
            why = str(refusal(address, end.reason, self._settings.username))
            return self._failed(why, other_version=other_version)
        if not end.answered:
            # Some hang up on a version of MQTT that they do not know, and on those who bring no certificate.
            fix = "check that mqtt.url names an MQTT broker, and with mqtts:// whether it speaks TLS"
            hangs_up = LinkError(f"broker {address} hangs up at once: {end.reason}", fix=fix)
            return self._failed(str(last_words(self._settings, address) or hangs_up), other_version=True)
        self._roster.accepted()
        self._client = client
        client.subscribe([(wanted, QOS) for wanted in self._filters])
        end = self._wait(client, None)
        if end is not None and end.client is not None:
            self._inbox.put(LinkNews(False, f"broker {address} ended the connection: {end.reason}"))
        return self._roster.lost()

    def _wait(self, client: Client, timeout_s: float | None) -> _End | None:
        """What decides the connection of a client, or that the session is to end; None if nothing does in time."""
        with suppress(Empty):
            while True:
                end = self._ends.get(timeout=timeout_s)
                if end.client in (client, None):
                    return end
        return None

    def _failed(self, why: str, *, other_version: bool = False) -> Attempt:
        attempt = self._roster.failed(other_version=other_version)
        if attempt.wait_s:  # else there is another broker or version to try at once
            self._inbox.put(LinkNews(False, why))
        return attempt

    # On paho's thread.

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: Sequence[ReasonCode], _: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        why = f"the broker does not let this user hear the units: {refused[0]}; {_ACL_FIX}" if refused else ""
        self._inbox.put(LinkNews(True, why))

    def _on_publish(self, _client: Client, _data: object, _mid: int, reason: ReasonCode, _: Properties | None) -> None:
        if reason.is_failure:
            self._inbox.put(LinkNews(True, f"the broker does not let this user ask units: {reason}; {_ACL_FIX}"))

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._inbox.put(Heard(message.topic, bytes(message.payload), message.retain, datetime.now(UTC)))
