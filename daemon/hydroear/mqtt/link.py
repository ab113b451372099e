"""The connection to the broker: hands the queue over, and keeps what is retained true."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.codes import Code, coded
from hydroear.config.schema import Mqtt
from hydroear.errors import HydroearError, LinkError
from hydroear.message import Kind, Message, Stored
from hydroear.mqtt import topics
from hydroear.mqtt.broker import (
    Address,
    broker_addresses,
    dial,
    hang_up,
    last_words,
    make_client,
    protocols,
    refusal,
)
from hydroear.mqtt.payloads import Availability, as_historical
from hydroear.mqtt.roster import Attempt, Roster

log = logging.getLogger(__name__)

QOS = 1
WINDOW = 16
"""Messages of the queue handed to the broker and not yet acknowledged."""
DRAIN_PER_S = 1000.0
"""How fast a queue is handed over at most: after an outage the line is shared with all who have waited. A choice."""
PAHO_WINDOW = 20
"""paho's own limit, at mosquitto's default: the room above ours is for a goodbye when ours is full."""
ANSWER_S = 5.0
"""How long a broker may take to answer CONNECT."""
QUEUE_RETRY_S = 5.0
"""How long to leave a queue alone that cannot be read or written, e.g. on a full disk."""
NEWS_S = 60.0
"""What waited for longer than this is no news any more, though the link stood. A choice."""

Listener = Callable[[str, bytes, bool], None]
"""Is told topic, payload and whether the message was retained; must not block."""


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


@dataclass(eq=False)
class _Call:
    """One connection to one broker, from dialling to hanging up."""

    client: Client
    attempt: Attempt
    accepted: bool = False
    answer_by_s: float | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    _dialled: bool = False
    _over: bool = False

    def dialled(self) -> None:
        """Dialling has ended, in whatever way."""
        with self._mutex:
            self._dialled = True
            over = self._over
        if over:
            hang_up(self.client)

    def end(self) -> None:
        """Hang up, once dialling has ended: a client that two threads start and stop at once is not ended."""
        with self._mutex:
            self._over = True
            dialled = self._dialled
        if dialled:
            hang_up(self.client)

    @property
    def address(self) -> Address:
        return self.attempt.address


class Link:
    """Delivers a queue to an MQTT broker, at least once and in order, whenever there is one.

    A pump thread alone hands messages to paho and settles their acknowledgements; paho's callbacks and
    the queue's puts only post work to it. A client of paho serves one connection: which broker is tried when, and in
    which version, is for the pump to say. (paho calls ``on_publish`` with the lock held that ``publish``
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
    subscriptions
        Who is told of what the broker sends, by topic filter; on the pump thread.
    reconnect_s
        First and longest wait between two rounds of attempts; it doubles from one to the next.

    Raises
    ------
    LinkError, UsageError
        The password, a certificate or a URL cannot be used.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        unit: str,
        outbox: Queue,
        birth: Callable[[], bytes],
        status: Callable[[Availability], bytes],
        subscriptions: Mapping[str, Listener] | None = None,
        reconnect_s: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._settings = settings
        self._unit = unit
        self._outbox = outbox
        self._make_birth = birth
        self._make_status = status
        self._listeners = dict(subscriptions or {})
        self._roster = Roster(broker_addresses(settings), protocols(settings), reconnect_s)
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._pump = threading.Thread(target=self._run, name="mqtt-pump", daemon=True)
        self._status = LinkStatus()
        self._connected_s = 0.0
        self._call: _Call | None = None
        self._next = self._roster.first()
        self._dial_at_s = 0.0
        self._hand_over_at_s: float | None = None
        self._in_flight: dict[int, _Handed] = {}
        self._acknowledged: list[int] = []
        self._retained: dict[str, Message] = {}
        self._refused_topics: set[str] = set()
        self._refusal = ""
        self._complaints: set[str] = set()
        self._queue_fails = False
        self._deadline_s: float | None = None
        self._flushed = False
        for address in broker_addresses(settings):
            self._make_client(Attempt(address, protocols(settings)[0], 0.0))  # what cannot be used is told at once

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
        self._pump.start()

    def announce(self) -> None:
        """Say again all that is retained, if there is a connection; there is no need to at the beginning of one."""
        self._work.put(self._say_retained)

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
        return self._flushed

    def _make_client(self, attempt: Attempt) -> Client:
        client = make_client(self._settings, f"hydroear-{self._unit}", attempt.address, attempt.protocol)
        client.will_set(topics.status(self._unit), self._make_status("offline"), qos=QOS, retain=True)
        client.max_inflight_messages_set(PAHO_WINDOW)
        return client

    # On the thread of a call.

    def _dial(self, call: _Call) -> None:
        client, attempt = call.client, call.attempt
        try:
            dial(client, attempt.address, keepalive_s=self._settings.keepalive_s, protocol=attempt.protocol)
        except LinkError as error:
            self._post(call, partial(self._on_failed, call, str(error)))
        else:
            client.loop_start()
            self._post(call, partial(self._on_dialled, call))
        call.dialled()

    # On paho's thread.

    def _paho_connect(
        self,
        call: _Call,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            why = str(refusal(call.address, reason, self._settings.username))
            other_version = str(reason) == "Unsupported protocol version"
            self._post(call, partial(self._on_failed, call, why, other_version=other_version))
        else:
            self._post(call, partial(self._on_connect, call))

    def _paho_disconnect(
        self, call: _Call, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _: object
    ) -> None:
        self._post(call, partial(self._on_lost, call, str(reason)))

    def _paho_subscribe(
        self, call: _Call, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _: Properties | None
    ) -> None:
        for topic, reason in zip(self._listeners, reasons, strict=False):
            if reason.is_failure:
                why = f"the broker does not let this unit read {topic}: {reason}; let this user read it"
                self._post(call, partial(self._on_trouble, why, Code.BROKER_REFUSES))

    def _paho_message(self, listener: Listener, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._work.put(partial(listener, message.topic, bytes(message.payload), message.retain))

    def _paho_publish(
        self, call: _Call, _client: Client, _data: object, mid: int, reason: ReasonCode, _: Properties | None
    ) -> None:
        self._post(call, partial(self._on_acknowledged, mid, str(reason) if reason.is_failure else None))

    def _post(self, call: _Call, work: Callable[[], None]) -> None:
        """Have the pump do what a call gives reason to, unless it has hung up by then."""
        self._work.put(lambda: work() if self._call is call else None)

    # On the pump thread.

    def _run(self) -> None:
        while self._deadline_s is None:
            self._step(self._patience_s())
        self._step_until(self._drained)
        if not self.last_error and not self._drained():
            self._on_trouble(
                f"broker {self._next.address} does not answer; check mqtt.url, the network and that the broker runs"
            )
        if self.connected:
            # A clean disconnect keeps the last will back.
            self._publish(self._status_message("offline"))
            self._step_until(lambda: not self._in_flight)
        self._flushed = self._drained()
        self._hang_up()  # what is not acknowledged, the outbox still has

    def _patience_s(self) -> float | None:
        """How long there is nothing to do but what is posted."""
        waits_s = [QUEUE_RETRY_S] if self._queue_fails else []
        if (due_s := self._due_s) is not None:
            waits_s.append(max(0.0, due_s - time.monotonic()))
        if self._hand_over_at_s is not None:
            waits_s.append(max(0.0, self._hand_over_at_s - time.monotonic()))
        return min(waits_s, default=None)

    @property
    def _due_s(self) -> float | None:
        """When the next attempt is to be made, or this one to be given up."""
        return self._dial_at_s if self._call is None else self._call.answer_by_s

    def _drained(self) -> bool:
        try:
            return not self._acknowledged and not self._outbox.pending(1)
        except HydroearError:
            return False

    def _step_until(self, done: Callable[[], bool]) -> None:
        deadline_s = self._deadline_s or 0.0
        while self._has_hope() and not done() and (left_s := deadline_s - time.monotonic()) > 0:
            patience_s = self._patience_s()
            self._step(left_s if patience_s is None else min(left_s, patience_s))

    def _has_hope(self) -> bool:
        """Connected, or in a first round of attempts: a short recording ends before the unit is accepted."""
        return self.connected or not self._roster.exhausted

    def _step(self, timeout_s: float | None) -> None:
        try:
            self._work.get(timeout=timeout_s)()
            while True:
                self._work.get_nowait()()
        except Empty:
            pass
        if (due_s := self._due_s) is not None and time.monotonic() >= due_s:
            self._on_due()
        try:
            if self._acknowledged:
                self._outbox.delete(*self._acknowledged)
                self._acknowledged.clear()
            if self.connected:
                self._hand_over()
            if self._queue_fails:
                self._queue_fails = False
                self._complaints.clear()
                self._status = replace(self._status, last_error=self._refusal)
        except HydroearError as error:
            if not self._queue_fails:
                self._on_trouble(str(error), Code.OUTBOX_FAILS)
            self._queue_fails = True
            self._hand_over_at_s = None

    def _hand_over(self) -> None:
        room = WINDOW - len(self._in_flight)
        now_s = time.monotonic()
        if self._hand_over_at_s is not None and now_s >= self._hand_over_at_s:
            self._hand_over_at_s = None
        if room <= 0 or self._hand_over_at_s is not None:
            return
        handed = [handed.id for handed in self._in_flight.values() if handed.id is not None]
        waiting = self._outbox.pending(room, skip=handed)
        if waiting:
            self._hand_over_at_s = now_s + len(waiting) / DRAIN_PER_S
        for stored in waiting:
            historical = replace(stored.message, payload=as_historical(stored.message.payload))
            if stored.message.retain:
                self._retained[stored.message.topic] = historical
            self._publish(stored.message if self._is_news(stored) else historical, stored.id)

    def _is_news(self, stored: Stored) -> bool:
        """Whether it was said within this connection, and lately."""
        return stored.put_s is not None and stored.put_s >= max(self._connected_s, time.monotonic() - NEWS_S)

    def _on_due(self) -> None:
        if self._call is not None:
            # Some wait for more of a CONNECT that they do not understand.
            why = f"broker {self._call.address} does not answer CONNECT; check that mqtt.url names an MQTT broker"
            self._on_failed(self._call, why, other_version=True)
            return
        try:
            call = _Call(self._make_client(self._next), self._next)
        except HydroearError as error:  # a password or a certificate that is being replaced
            self._on_trouble(str(error))
            self._try_next(self._roster.failed())
            return
        client = call.client
        client.on_connect = partial(self._paho_connect, call)
        client.on_disconnect = partial(self._paho_disconnect, call)
        client.on_publish = partial(self._paho_publish, call)
        client.on_subscribe = partial(self._paho_subscribe, call)
        for topic, listener in self._listeners.items():
            client.message_callback_add(topic, partial(self._paho_message, listener))
        self._call = call
        threading.Thread(target=self._dial, args=(call,), name="mqtt-dial", daemon=True).start()

    def _try_next(self, attempt: Attempt) -> None:
        self._next = attempt
        self._dial_at_s = time.monotonic() + attempt.wait_s

    def _hang_up(self) -> None:
        call, self._call = self._call, None
        self._in_flight.clear()
        self._hand_over_at_s = None
        self._status = replace(self._status, connected=False)
        if call is not None:
            call.end()

    def _publish(self, message: Message, number: int | None = None) -> None:
        assert self._call is not None
        info = self._call.client.publish(message.topic, message.payload, qos=QOS, retain=message.retain)
        self._in_flight[info.mid] = _Handed(message.topic, number)

    def _status_message(self, availability: Availability) -> Message:
        return Message(topics.status(self._unit), self._make_status(availability), Kind.STATE, retain=True)

    def _on_connect(self, call: _Call) -> None:
        log.info("connected to %s as %s", call.address, self._unit, extra=coded(Code.BROKER_CONNECTED))
        call.accepted, call.answer_by_s = True, None
        self._roster.accepted()
        self._complaints.clear()
        self._status = replace(self._status, connected=True, last_error=self._refusal)
        self._connected_s = time.monotonic()
        if self._listeners:
            call.client.subscribe([(topic, QOS) for topic in self._listeners])
        self._say_retained()

    def _say_retained(self) -> None:
        if not self.connected:
            return
        # The broker may have lost its memory, or never had it. What it refused is not tried again: mosquitto 2.0
        # ends an MQTT 5 connection after a refusal (github.com/eclipse-mosquitto/mosquitto/issues/2579), so
        # that no connection would live long enough to deliver anything.
        birth = Message(topics.birth(self._unit), self._make_birth(), Kind.STATE, retain=True)
        for message in (self._status_message("online"), birth, *self._retained.values()):
            if message.topic not in self._refused_topics:
                self._publish(message)

    def _on_dialled(self, call: _Call) -> None:
        if not call.accepted:
            call.answer_by_s = time.monotonic() + ANSWER_S

    def _on_failed(self, call: _Call, why: str, *, other_version: bool = False) -> None:
        self._hang_up()
        attempt = self._roster.failed(other_version=other_version)
        if attempt.address != call.address or attempt.wait_s:
            self._on_trouble(why)
        self._try_next(attempt)

    def _on_lost(self, call: _Call, reason: str) -> None:
        if not call.accepted:
            # Some hang up on a version of MQTT that they do not know, and on those who bring no certificate.
            why = last_words(self._settings, call.address) or LinkError(
                f"broker {call.address} hangs up at once: {reason}",
                fix="check that mqtt.url names an MQTT broker, and with mqtts:// whether it speaks TLS",
            )
            self._on_failed(call, str(why), other_version=True)
            return
        self._hang_up()
        if not self.last_error:
            self._on_trouble(f"broker {call.address} ended the connection: {reason}")
        self._try_next(self._roster.lost())

    def _on_acknowledged(self, mid: int, refusal: str | None) -> None:
        handed = self._in_flight.pop(mid, None)
        if handed is None:
            return
        if refusal is not None:
            self._status = replace(self._status, refused=self._status.refused + 1)
            if handed.topic not in self._refused_topics:
                self._refused_topics.add(handed.topic)
                own = f"{topics.ROOT}/{self._unit}/"
                self._refusal = (
                    f"the broker refuses messages on {handed.topic}: {refusal}; "
                    f"let this user write {own + '#' if handed.topic.startswith(own) else handed.topic}"
                )
                self._on_trouble(self._refusal, Code.BROKER_REFUSES)
        if handed.id is not None:
            # A refused message is refused the next time as well; kept, it would block the queue for ever.
            self._acknowledged.append(handed.id)
            if refusal is None:
                self._status = replace(self._status, delivered=self._status.delivered + 1)

    def _on_trouble(self, explanation: str, code: Code = Code.BROKER_AWAY) -> None:
        if explanation not in self._complaints:
            self._complaints.add(explanation)
            log.warning("%s", explanation, extra=coded(code))
        self._status = replace(self._status, last_error=explanation)

    def _on_stop(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s


def _look_again() -> None:
    """Nothing to do but to look at the queue, as after any work."""
