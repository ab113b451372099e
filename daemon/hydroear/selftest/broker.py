"""Stages of the way to the control room, each further along it: name, TCP, TLS, login, publish, own message back."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt
from hydroear.errors import LinkError
from hydroear.mqtt import topics
from hydroear.mqtt.broker import (
    Address,
    dial,
    hang_up,
    last_words,
    make_client,
    protocols,
    refusal,
    tls_context,
    unreachable,
)
from hydroear.selftest.attempt import attempt
from hydroear.selftest.finding import Finding, Result, skipped

STEP_S = 3.0
"""How long to wait for one answer."""

_VERSIONS = {MQTTProtocolVersion.MQTTv5: "5", MQTTProtocolVersion.MQTTv311: "3.1.1"}
_NO_BROKER = "check that mqtt.url names an MQTT broker, and with mqtts:// whether it speaks TLS"
_SLOW = "check the load of the broker and the quality of the network"


def check_broker(settings: Mqtt, unit: str, address: Address, *, limit_s: float, name: str = "broker") -> list[Finding]:
    """Go as far towards the control room as one gets; what lies behind the first failure is skipped.

    Parameters
    ----------
    settings, unit
        How to log in, and as whom.
    address
        Which of the brokers.
    limit_s
        How long it may take.
    name
        What the stages begin with.
    """
    call = _Call(settings, unit, address)
    steps: list[tuple[str, Callable[[], str]]] = [
        (f"{name} name", call.resolve),
        (f"{name} tcp", call.reach),
        *([(f"{name} tls", call.shake_hands)] if address.tls else []),
        (f"{name} login", call.log_in),
        (f"{name} publish", call.publish),
        (f"{name} echo", call.hear_echo),
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

    def __init__(self, settings: Mqtt, unit: str, address: Address) -> None:
        nonce = uuid.uuid4().hex[:12]
        self._settings, self._address = settings, address
        self._protocol = protocols(settings)[0]
        self._client_id = f"hydroear-{unit}-selftest-{nonce}"
        self._topic = topics.selftest_echo(unit, nonce)
        self._acl_fix = f"let this user write and read {topics.ROOT}/{unit}/#"
        self._client: Client | None = None
        self._may_be_version = False
        self._accepted: Future[None] = Future()
        self._subscribed: Future[None] = Future()
        self._published: Future[None] = Future()
        self._echoed: Future[None] = Future()

    def resolve(self) -> str:
        """Find the broker's address."""
        host, port, _ = self._address
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise unreachable(self._address, error) from error
        return f"{host} is {found[0][4][0]}, found"

    def reach(self) -> str:
        """Open a TCP connection, and close it."""
        self._connect().close()
        return f"{self._address} answers"

    def shake_hands(self) -> str:
        """Agree on TLS, and see that the broker is who it should be."""
        context = tls_context(self._settings.tls)
        with self._connect() as plain:
            try:
                with context.wrap_socket(plain, server_hostname=self._address.host) as connection:
                    version, (cipher, *_) = connection.version(), connection.cipher() or ("?",)
            except OSError as error:
                raise unreachable(self._address, error) from error
        return f"{version}, {cipher}, certificate in order,"

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection((self._address.host, self._address.port), timeout=STEP_S)
        except OSError as error:
            raise unreachable(self._address, error) from error

    def log_in(self) -> str:
        """CONNECT with the credentials of the configuration, in a version of MQTT that the broker speaks."""
        versions = protocols(self._settings)
        for protocol in versions:
            self._protocol = protocol
            self._accepted = Future()
            try:
                self._say_hello()
                break
            except LinkError:
                if protocol is versions[-1] or not self._may_be_version:
                    raise
                self.end()
        return f"accepted as {self._settings.username or 'anybody'}, MQTT {_VERSIONS[self._protocol]},"

    def _say_hello(self) -> None:
        client = self._client = make_client(self._settings, self._client_id, self._address, self._protocol)
        client.connect_timeout = STEP_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._may_be_version = False
        dial(client, self._address, keepalive_s=self._settings.keepalive_s, protocol=self._protocol)
        client.loop_start()
        _answer(self._accepted, "no answer to CONNECT", _NO_BROKER)

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
            self._may_be_version = str(reason) == "Unsupported protocol version"
            _fail(self._accepted, refusal(self._address, reason, self._settings.username))
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
        if not self._accepted.done():
            self._may_be_version = True
            why = last_words(self._settings, self._address)
            _fail(self._accepted, why or LinkError(what, fix=f"look into the broker's log; {_NO_BROKER}"))
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
