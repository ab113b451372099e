"""Stages of the way to the control room, each further along it: name, TCP, login, publish, own message back."""

from __future__ import annotations

import errno
import socket
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt
from hydroear.errors import LinkError
from hydroear.mqtt import topics
from hydroear.mqtt.broker import broker_address, hang_up, make_client, refusal
from hydroear.selftest.attempt import attempt
from hydroear.selftest.finding import Finding, Result, skipped

STEP_S = 3.0
"""How long to wait for one answer."""

_SLOW = "check the load of the broker and the quality of the network"
_TCP_REASONS = {
    errno.ECONNREFUSED: ("refused: nothing listens there", "start the broker, or correct the port in mqtt.url"),
    errno.ENETUNREACH: ("no route to that network", "check the network of this unit"),
    errno.EHOSTUNREACH: ("no such host in the network", "check mqtt.url, the network and that the broker runs"),
}


def check_broker(settings: Mqtt, unit: str, *, limit_s: float) -> list[Finding]:
    """Go as far towards the control room as one gets; what lies behind the first failure is skipped."""
    call = _Call(settings, unit)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("broker name", call.resolve),
        ("broker tcp", call.reach),
        ("broker login", call.log_in),
        ("broker publish", call.publish),
        ("broker echo", call.hear_echo),
    ]
    deadline_s = time.monotonic() + limit_s
    findings: list[Finding] = []
    failed = ""
    for stage, step in steps:
        if failed:
            findings.append(skipped(stage, f"{failed} failed"))
            continue
        began_s = time.monotonic()
        # A little more than the step itself waits, so that its own words are heard.
        outcome = attempt(stage, min(STEP_S + 0.5, deadline_s - began_s), step)
        if isinstance(outcome, Finding):
            findings.append(outcome)
            failed = stage
        else:
            took_ms = 1e3 * (time.monotonic() - began_s)
            values = {"took_ms": round(took_ms, 3)}
            findings.append(Finding(stage, Result.PASS, f"{outcome} in {took_ms:.0f} ms", values=values))
    call.end()
    return findings


class _Call:
    """One connection of the self-test, under a name of its own: the daemon keeps its connection and its last will."""

    def __init__(self, settings: Mqtt, unit: str) -> None:
        nonce = uuid.uuid4().hex[:12]
        self._settings = settings
        self._client_id = f"hydroear-{unit}-selftest-{nonce}"
        self._topic = topics.selftest_echo(unit, nonce)
        self._acl_fix = f"let this user write and read {topics.ROOT}/{unit}/#"
        self._client: Client | None = None
        self._accepted: Future[None] = Future()
        self._subscribed: Future[None] = Future()
        self._published: Future[None] = Future()
        self._echoed: Future[None] = Future()

    def resolve(self) -> str:
        """Find the broker's address."""
        host, port = broker_address(self._settings)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise LinkError(
                f"{host} is not known: {error.strerror}", fix="check mqtt.url, and the name server of this unit"
            ) from error
        return f"{host} is {found[0][4][0]}, found"

    def reach(self) -> str:
        """Open a TCP connection, and close it."""
        address = broker_address(self._settings)
        try:
            socket.create_connection(address, timeout=STEP_S).close()
        except TimeoutError as error:
            fix = "check mqtt.url, the network, the firewall and that the broker runs"
            raise LinkError(f"{address}: no answer in {STEP_S:g} s", fix=fix) from error
        except OSError as error:
            reason, fix = _TCP_REASONS.get(error.errno or 0, (error.strerror or str(error), "check the network"))
            raise LinkError(f"{address}: {reason}", fix=fix) from error
        return f"{address} answers"

    def log_in(self) -> str:
        """CONNECT with the credentials of the configuration."""
        client = self._client = make_client(self._settings, self._client_id)
        client.connect_timeout = STEP_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        try:
            client.connect(*broker_address(self._settings), keepalive=self._settings.keepalive_s)
        except OSError as error:
            raise LinkError(str(error), fix="try again: the broker has just gone") from error
        client.loop_start()
        _answer(
            self._accepted, "no answer to CONNECT", "check that mqtt.url names an MQTT broker that speaks without TLS"
        )
        return f"accepted as {self._settings.username or 'anybody'}, MQTT {self._settings.protocol},"

    def publish(self) -> str:
        """Send a message on a topic of this unit."""
        client = self._client
        assert client is not None
        client.subscribe(self._topic, qos=1)
        client.publish(self._topic, self._client_id.encode(), qos=1)
        _answer(self._published, "message not acknowledged", _SLOW)
        return "taken"

    def hear_echo(self) -> str:
        """Wait for that message to come back."""
        _answer(self._subscribed, "subscription not acknowledged", _SLOW)
        # MQTT 3.1.1 brokers, and mosquitto for subscriptions, say nothing of what they forbid.
        _answer(self._echoed, "own message not back", self._acl_fix)
        return "own message back"

    def end(self) -> None:
        """Leave the broker."""
        if self._client is not None:
            hang_up(self._client)

    # On paho's thread.

    def _on_connect(
        self, _client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            _fail(self._accepted, refusal(broker_address(self._settings), reason))
        else:
            _settle(self._accepted)

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._settle_unless_refused(self._subscribed, reasons[0], "read")

    def _on_publish(
        self, _client: Client, _data: object, _mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._settle_unless_refused(self._published, reason, "write")

    def _on_message(self, _client: Client, _data: object, _message: MQTTMessage) -> None:
        _settle(self._echoed)

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _properties: object
    ) -> None:
        what = f"the broker ended the connection: {reason}"
        _fail(self._accepted, LinkError(what, fix="look into the broker's log"))
        # mosquitto 2.0 does so after a message that it forbids.
        for pending in (self._subscribed, self._published, self._echoed):
            _fail(pending, LinkError(what, fix=self._acl_fix))

    def _settle_unless_refused(self, pending: Future[None], reason: ReasonCode, what: str) -> None:
        if reason.is_failure:
            _fail(pending, LinkError(f"the broker lets nobody {what} {self._topic}: {reason}", fix=self._acl_fix))
        else:
            _settle(pending)


def _answer(pending: Future[None], complaint: str, fix: str) -> None:
    try:
        pending.result(STEP_S)
    except TimeoutError:
        raise LinkError(f"{complaint} in {STEP_S:g} s", fix=fix) from None


def _settle(pending: Future[None]) -> None:
    with suppress(InvalidStateError):  # settled already: the first answer counts
        pending.set_result(None)


def _fail(pending: Future[None], error: LinkError) -> None:
    with suppress(InvalidStateError):
        pending.set_exception(error)
