"""The broker a configuration names: where it is, how to log in to it, and how to leave it."""

from __future__ import annotations

import threading
from typing import NamedTuple
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt
from hydroear.errors import LinkError, UsageError

DEFAULT_PORT = 1883
HANG_UP_S = 2.0
"""How long to wait for paho's thread to end: it may hang in an attempt to connect."""

_LOGIN = "check mqtt.username and the password file"
# By the names that paho gives to the CONNACK codes of MQTT 5 (section 3.2.2.2) and, in its words, of MQTT 3.1.1.
_REMEDIES = {
    "Not authorized": _LOGIN,
    "Bad user name or password": _LOGIN,
    "Unsupported protocol version": "set mqtt.protocol to the version the broker speaks",
    "Server unavailable": "wait, or restart the broker",
    "Server busy": "wait, or give the broker more room",
}


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def broker_address(settings: Mqtt) -> Address:
    """Where the broker listens.

    Raises
    ------
    UsageError
        The URL names none.
    """
    url = urlsplit(settings.url)
    try:
        port = url.port or DEFAULT_PORT
    except ValueError:
        port = 0
    if not url.hostname or not port:
        raise UsageError(f"{settings.url} is not a broker", where="mqtt.url", expected="mqtt://HOST[:PORT]")
    return Address(url.hostname, port)


def make_client(settings: Mqtt, client_id: str) -> Client:
    """A paho client that speaks the broker's protocol and knows the login.

    Raises
    ------
    LinkError
        The password cannot be read.
    UsageError
        It belongs to nobody.
    """
    protocol = MQTTProtocolVersion.MQTTv5 if settings.protocol == "5" else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
    if settings.username is not None:
        client.username_pw_set(settings.username, _password(settings))
    elif settings.password_file is not None:
        raise UsageError("a password without a user name", where="mqtt.password_file", fix="set mqtt.username as well")
    return client


def refusal(address: Address, reason: ReasonCode, username: str | None = None) -> LinkError:
    """Why the broker did not let this unit in, and what to do."""
    who = "this unit" if username is None else f"user {username}"
    fix = _REMEDIES.get(str(reason), "look into the broker's log")
    return LinkError(f"broker {address} refuses {who}: {reason}", fix=fix)


def hang_up(client: Client) -> None:
    """Disconnect, and end the client's thread within :data:`HANG_UP_S`. The client is of no use afterwards."""
    client.disconnect()
    # loop_stop waits, without end, for what is not acknowledged.
    client.drop_out_messages()
    stopping = threading.Thread(target=client.loop_stop, name="mqtt-hang-up", daemon=True)
    stopping.start()
    stopping.join(HANG_UP_S)
    if not stopping.is_alive():
        # paho's one public way to close what it leaves open: the sockets by which it wakes its thread, and that of an
        # attempt to reconnect which began before the disconnect.
        client.reinitialise()


def _password(settings: Mqtt) -> str | None:
    path = settings.password_file
    if path is None:
        return None
    fix = "put the password, and nothing else, in a file that the service may read"
    try:
        password = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise LinkError(f"the password cannot be read: {reason}", where=path, fix=fix) from error
    if not password:
        raise LinkError("the password file is empty", where=path, fix=fix)
    return password
