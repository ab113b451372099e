"""The connection to the broker: hands the queue over, and keeps what is retained true."""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt
from hydroear.errors import HydroearError
from hydroear.message import Kind, Message, Stored
from hydroear.mqtt import topics
from hydroear.mqtt.broker import broker_address, hang_up, make_client, refusal
from hydroear.mqtt.payloads import Availability, as_historical

log = logging.getLogger(__name__)

QOS = 1
WINDOW = 16
"""Messages of the queue handed to the broker and not yet acknowledged."""
PAHO_WINDOW = 20
"""paho's own limit, at mosquitto's default: the room above ours is for a goodbye when ours is full."""
QUEUE_RETRY_S = 5.0
"""How long to leave a queue alone that cannot be read or written, e.g. on a full disk."""
NEWS_S = 60.0
"""What waited for longer than this is no news any more, though the link stood. A choice."""


class Queue(Protocol):
    """What the link needs of the outbox."""

    def pending(self, limit: int, *, skip: Collection[int] = ()) -> list[Stored]:
        """Undelivered messages in the order they should be sent."""

    def delete(self, *ids: int) -> None:
        """Forget delivered messages."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after every put."""


@dataclass(frozen=True)
class LinkStatus:
    """The link at one moment.

    Attributes
    ----------
    connected
        The broker accepted this unit and the connection stands.
    last_error
        Why it is not connected, or what the broker refused, and what to do; empty when all is well.
    delivered
        Messages of the queue that the broker took.
    refused
        Messages that the broker refused to take; they are lost.
    """

    connected: bool = False
    last_error: str = ""
    delivered: int = 0
    refused: int = 0


class _Handed(NamedTuple):
    """A message the broker has not acknowledged yet; one that is not from the queue has no id."""

    topic: str
    id: int | None


class Link:
    """Delivers a queue to an MQTT broker, at least once and in order, whenever there is one.

    A pump thread alone hands messages to paho and settles their acknowledgements; paho's callbacks and
    the queue's puts only post work to it. (paho calls ``on_publish`` with the lock held that ``publish``
    needs: a lock of our own around both would be a deadlock.)

    Parameters
    ----------
    settings
        The broker, and how to log in.
    unit
        Name of the unit, in the topics and as the client identifier. A fixed identifier makes the broker
        end a half-dead connection of this unit, and send its last will, before the new one is up.
    outbox
        The queue. A message stays in it until the broker acknowledges it.
    birth, status
        Make the payloads of those topics, when they are needed, on any thread.
    reconnect_s
        First and longest wait between two attempts; it doubles from one to the other.

    Raises
    ------
    LinkError, UsageError
        The password file or the URL cannot be used.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        unit: str,
        outbox: Queue,
        birth: Callable[[], bytes],
        status: Callable[[Availability], bytes],
        reconnect_s: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._unit = unit
        self._outbox = outbox
        self._make_birth = birth
        self._make_status = status
        self._address = broker_address(settings)
        self._username = settings.username
        self._keepalive_s = settings.keepalive_s
        self._client = self._make_client(settings, reconnect_s)
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._pump = threading.Thread(target=self._run, name="mqtt-pump", daemon=True)
        self._status = LinkStatus()
        self._connected_s = 0.0
        self._in_flight: dict[int, _Handed] = {}
        self._acknowledged: list[int] = []
        self._retained: dict[str, Message] = {}
        self._refused_topics: set[str] = set()
        self._refusal = ""
        self._queue_fails = False
        self._deadline_s: float | None = None
        self._flushed = False

    @property
    def status(self) -> LinkStatus:
        """A snapshot of the link."""
        return self._status

    @property
    def connected(self) -> bool:
        """The broker accepted this unit and the connection stands."""
        return self._status.connected

    @property
    def last_error(self) -> str:
        """Why it is not connected, or what the broker refused; empty when all is well."""
        return self._status.last_error

    def start(self) -> None:
        """Begin to deliver; returns at once, with or without a network."""
        self._outbox.listen(lambda: self._work.put(_look_again))
        self._client.connect_async(*self._address, keepalive=self._keepalive_s)
        self._pump.start()
        self._client.loop_start()

    def stop(self, timeout_s: float) -> bool:
        """Deliver what is left if connected or about to be, say goodbye, disconnect.

        Parameters
        ----------
        timeout_s
            How long to wait for acknowledgements; hanging up may take 2 s more.

        Returns
        -------
        bool
            The queue is empty: everything was delivered.
        """
        self._work.put(partial(self._on_stop, time.monotonic() + timeout_s))
        self._pump.join()
        self._outbox.listen(_look_again)
        hang_up(self._client)  # what is not acknowledged, the outbox still has
        return self._flushed

    def _make_client(self, settings: Mqtt, reconnect_s: tuple[float, float]) -> Client:
        client = make_client(settings, f"hydroear-{self._unit}")
        client.will_set(topics.status(self._unit), self._make_status("offline"), qos=QOS, retain=True)
        # All units lose a broker at the same moment; they must not all come back at the same moment.
        spread = random.uniform(1.0, 1.5)
        first_s, longest_s = (spread * wait_s for wait_s in reconnect_s)
        client.reconnect_delay_set(first_s, longest_s)  # type: ignore[arg-type]  # any number will do
        client.max_inflight_messages_set(PAHO_WINDOW)
        client.on_connect = self._paho_connect
        client.on_connect_fail = self._paho_connect_fail
        client.on_disconnect = self._paho_disconnect
        client.on_publish = self._paho_publish
        return client

    # On paho's thread.

    def _paho_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._work.put(partial(self._on_trouble, str(refusal(self._address, reason, self._username))))
            return
        # paho would send again what was not acknowledged, after whatever is published now, so out of
        # order. Those messages are still in the outbox, in order.
        client.drop_out_messages()
        self._work.put(self._on_connect)

    def _paho_connect_fail(self, _client: Client, _data: object) -> None:
        # paho calls this from its except clause, and keeps the reason to itself.
        cause = sys.exception()
        self._work.put(
            partial(
                self._on_trouble,
                f"broker {self._address} cannot be reached: {cause}; "
                "check mqtt.url, the network and that the broker runs",
            )
        )

    def _paho_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        self._work.put(partial(self._on_disconnect, str(reason)))

    def _paho_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._work.put(partial(self._on_acknowledged, mid, str(reason) if reason.is_failure else None))

    # On the pump thread.

    def _run(self) -> None:
        while self._deadline_s is None:
            self._step(QUEUE_RETRY_S if self._queue_fails else None)
        self._step_until(self._drained)
        if not self.last_error and not self._drained():
            self._on_trouble(
                f"broker {self._address} does not answer; check mqtt.url, the network and that the broker runs"
            )
        if self.connected:
            # A clean disconnect keeps the last will back.
            self._publish(self._status_message("offline"))
            self._step_until(lambda: not self._in_flight)
        self._flushed = self._drained()

    def _drained(self) -> bool:
        try:
            return not self._acknowledged and not self._outbox.pending(1)
        except HydroearError:
            return False

    def _step_until(self, done: Callable[[], bool]) -> None:
        deadline_s = self._deadline_s or 0.0
        while self._has_hope() and not done() and (left_s := deadline_s - time.monotonic()) > 0:
            self._step(left_s)

    def _has_hope(self) -> bool:
        """Connected, or at a first attempt that has not failed yet: a short recording ends before it is accepted."""
        return self.connected or not self.last_error

    def _step(self, timeout_s: float | None) -> None:
        try:
            self._work.get(timeout=timeout_s)()
            while True:
                self._work.get_nowait()()
        except Empty:
            pass
        try:
            if self._acknowledged:
                self._outbox.delete(*self._acknowledged)
                self._acknowledged.clear()
            if self.connected:
                self._hand_over()
            if self._queue_fails:
                self._queue_fails = False
                self._status = replace(self._status, last_error=self._refusal)
        except HydroearError as error:
            if not self._queue_fails:
                self._on_trouble(str(error))
            self._queue_fails = True

    def _hand_over(self) -> None:
        room = WINDOW - len(self._in_flight)
        if room <= 0:
            return
        handed = [handed.id for handed in self._in_flight.values() if handed.id is not None]
        for stored in self._outbox.pending(room, skip=handed):
            historical = replace(stored.message, payload=as_historical(stored.message.payload))
            if stored.message.retain:
                self._retained[stored.message.topic] = historical
            self._publish(stored.message if self._is_news(stored) else historical, stored.id)

    def _is_news(self, stored: Stored) -> bool:
        """Whether it was said within this connection, and lately."""
        return stored.put_s is not None and stored.put_s >= max(self._connected_s, time.monotonic() - NEWS_S)

    def _publish(self, message: Message, number: int | None = None) -> None:
        info = self._client.publish(message.topic, message.payload, qos=QOS, retain=message.retain)
        self._in_flight[info.mid] = _Handed(message.topic, number)

    def _status_message(self, availability: Availability) -> Message:
        return Message(topics.status(self._unit), self._make_status(availability), Kind.STATE, retain=True)

    def _on_connect(self) -> None:
        log.info("connected to %s as %s", self._address, self._unit)
        self._status = replace(self._status, connected=True, last_error=self._refusal)
        self._connected_s = time.monotonic()
        self._in_flight.clear()
        # The broker may have lost its memory, or never had it. What it refused is not tried again: mosquitto 2.0
        # ends an MQTT 5 connection after a refusal (github.com/eclipse-mosquitto/mosquitto/issues/2579), so
        # that no connection would live long enough to deliver anything.
        birth = Message(topics.birth(self._unit), self._make_birth(), Kind.STATE, retain=True)
        for message in (self._status_message("online"), birth, *self._retained.values()):
            if message.topic not in self._refused_topics:
                self._publish(message)

    def _on_disconnect(self, reason: str) -> None:
        if self.connected and not self.last_error:
            self._on_trouble(f"broker {self._address} ended the connection: {reason}")
        self._status = replace(self._status, connected=False)
        self._in_flight.clear()

    def _on_acknowledged(self, mid: int, refusal: str | None) -> None:
        handed = self._in_flight.pop(mid, None)
        if handed is None:
            return
        if refusal is not None:
            self._status = replace(self._status, refused=self._status.refused + 1)
            if handed.topic not in self._refused_topics:
                self._refused_topics.add(handed.topic)
                self._refusal = (
                    f"the broker refuses messages on {handed.topic}: {refusal}; "
                    f"let this user write {topics.ROOT}/{self._unit}/#"
                )
                self._on_trouble(self._refusal)
        if handed.id is not None:
            # A refused message is refused the next time as well; kept, it would block the queue for ever.
            self._acknowledged.append(handed.id)
            if refusal is None:
                self._status = replace(self._status, delivered=self._status.delivered + 1)

    def _on_trouble(self, explanation: str) -> None:
        if explanation != self._status.last_error:
            log.warning("%s", explanation)
        self._status = replace(self._status, last_error=explanation)

    def _on_stop(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s


def _look_again() -> None:
    """Nothing to do but to look at the queue, as after any work."""
