"""A real mosquitto that tests start, kill and bring back, and a control room that listens to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from authority import Credentials
from hydroear.mqtt.broker import hang_up

DEADLINE_S = 15.0
CONNECT = bytes.fromhex("10 0c 0004 4d515454 04 02 0005 0000")
"""An MQTT 3.1.1 CONNECT (sections 2.2 and 3.1 of the standard): clean session, keep-alive 5 s, no name."""


def wait_for(condition: Callable[[], Any], what: str, *, timeout_s: float = DEADLINE_S) -> None:
    """Return as soon as `condition` holds; fail the test with `what` when it never does."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s in vain: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """A loopback TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A mosquitto process on a loopback port of its own, the same one over every restart.

    Parameters
    ----------
    folder
        An empty folder for its files.
    users
        Passwords by user name; None lets everybody in.
    acl
        Lines of an ACL file; None allows everything.
    persistence
        Keep sessions and retained messages on disk, saved at every change.
    tls
        Certificate and key to speak TLS with; None speaks none.
    client_ca
        Those who may vouch for a client, which must then show a certificate.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: dict[str, str] | None = None,
        acl: list[str] | None = None,
        persistence: bool = False,
        tls: Credentials | None = None,
        client_ca: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._tls = tls is not None
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(users is None).lower()}"]
        # Any number in flight, so that a subscriber is sent everything the moment it arrives.
        lines += ["max_inflight_messages 0", "max_queued_messages 0"]
        if os.geteuid() == 0:
            lines.append("user root")
        if users is not None:
            lines.append(f"password_file {self._write_passwords(users)}")
        if acl is not None:
            (folder / "acl").write_text("\n".join(acl) + "\n")
            lines.append(f"acl_file {folder / 'acl'}")
        if tls is not None:
            lines += [f"certfile {tls.certificate_file}", f"keyfile {tls.key_file}"]
        if client_ca is not None:
            lines += [f"cafile {client_ca}", "require_certificate true"]
        if persistence:
            lines += ["persistence true", f"persistence_location {folder}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def url(self) -> str:
        """Where it listens, ``mqtt://127.0.0.1:PORT``."""
        return f"mqtt{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it, and return when it answers."""
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("mosquitto"), "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        wait_for(self._answers, f"mosquitto to answer, see {self._folder / 'mosquitto.log'}")
        return self

    def stop(self) -> None:
        """End it properly, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel would on a power cut: ``kill -9``."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Leave its connections open and stop answering."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def allow_anonymous(self) -> None:
        """Let everybody in from now on, without a restart."""
        assert self._process is not None
        config = self._folder / "mosquitto.conf"
        config.write_text(config.read_text().replace("allow_anonymous false", "allow_anonymous true"))
        self._process.send_signal(signal.SIGHUP)

    def restart(self) -> Self:
        """Bring it back on the same port."""
        self.stop()
        return self.start()

    def subscribe(self, topic: str = "#", **options: Any) -> Subscriber:
        """Start a :class:`Subscriber`; use it in a ``with``."""
        return Subscriber(self.port, topic, **options)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(DEADLINE_S)
            self._process = None

    def _answers(self) -> bool:
        # It listens before its main loop begins, and loses a SIGTERM that comes between the two.
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
            probe.settimeout(DEADLINE_S)
            probe.sendall(CONNECT)
            with suppress(ConnectionResetError):  # it speaks TLS
                probe.recv(1)
            return True

    def _write_passwords(self, users: dict[str, str]) -> Path:
        path = self._folder / "passwords"
        path.touch()
        for user, password in users.items():
            subprocess.run([_program("mosquitto_passwd"), "-b", path, user, password], check=True)
        return path


@dataclass(frozen=True)
class Received:
    """A message as the control room got it."""

    topic: str
    payload: bytes
    retained: bool

    @property
    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class Subscriber:
    """A control room: collects everything on a topic, over restarts of the broker as well.

    Attributes
    ----------
    subscriptions
        How many times the broker granted the subscription; once a connection.
    """

    def __init__(
        self,
        port: int,
        topic: str,
        *,
        qos: int = 1,
        username: str | None = None,
        password: str | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
    ) -> None:
        self._received: list[Received] = []
        self._subscribed = threading.Event()
        self.subscriptions = 0
        session: dict[str, Any] = {}
        if protocol is MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 3600
            session = {"clean_start": False, "properties": properties}
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"room-{uuid.uuid4()}", protocol=protocol)
        self._client.username_pw_set(username, password)
        self._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos)
        self._client.on_subscribe = self._count
        self._client.on_message = self._collect
        self._client.connect("127.0.0.1", port, **session)
        self._client.loop_start()

    def __enter__(self) -> Self:
        assert self._subscribed.wait(DEADLINE_S), "the broker never granted the subscription"
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self._client)

    @property
    def received(self) -> list[Received]:
        """Everything so far, in order of arrival."""
        return list(self._received)

    def on(self, topic: str) -> list[Received]:
        """What arrived on one topic, in order of arrival."""
        return [message for message in self._received if message.topic == topic]

    def wait_for(self, condition: Callable[[list[Received]], Any], what: str, *, timeout_s: float = DEADLINE_S) -> None:
        """Return as soon as `condition` holds for what was received."""
        wait_for(lambda: condition(self.received), what, timeout_s=timeout_s)

    def _count(self, *_: object) -> None:
        self.subscriptions += 1
        self._subscribed.set()

    def _collect(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._received.append(Received(message.topic, bytes(message.payload), message.retain))


def _program(name: str) -> str:
    # Debian keeps daemons out of the PATH of ordinary users.
    program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, f"{name} is not installed: apt-get install mosquitto"
    return program
