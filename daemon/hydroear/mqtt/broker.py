"""The brokers a configuration names: where they are, how to log in, what a failure means, and how to leave."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from typing import NamedTuple
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hydroear.config.schema import Mqtt, Tls
from hydroear.errors import LinkError, UsageError

DEFAULT_PORT = 1883
DEFAULT_TLS_PORT = 8883
CONNECT_S = 10.0
"""How long to wait for a broker's TCP connection."""
HANG_UP_S = 2.0
"""How long to wait for paho's thread to end: it may hang in an attempt to connect."""
MAX_PACKET_BYTES = 2**20
"""The longest packet that a broker of MQTT 5 may send; it keeps longer ones to itself."""

_LOGIN = "check mqtt.username and the password file"
# By the names that paho gives to the CONNACK codes of MQTT 5 (section 3.2.2.2) and, in its words, of MQTT 3.1.1.
_REMEDIES = {
    "Not authorized": _LOGIN,
    "Bad user name or password": _LOGIN,
    "Unsupported protocol version": "set mqtt.protocol to the version the broker speaks",
    "Server unavailable": "wait, or restart the broker",
    "Server busy": "wait, or give the broker more room",
}
_TCP_REASONS = {
    errno.ECONNREFUSED: ("refused: nothing listens there", "start the broker, or correct the port in mqtt.url"),
    errno.ENETUNREACH: ("no route to that network", "check the network of this unit"),
    errno.EHOSTUNREACH: ("no such host in the network", "check mqtt.url, the network and that the broker runs"),
}
_TLS_PORT_FIX = "give the port of the broker's TLS listener, or mqtt:// without the s"
_CA_FIX = "set mqtt.tls.ca_file to the certificate of those who signed it"
# By X509_verify_cert's error numbers, openssl-verification-options(1).
_CERTIFICATE_REASONS = {
    9: ("is not valid yet", "set the clock of this unit, or of whoever made the certificate"),
    10: ("has expired", "renew the broker's certificate, or set the clock of this unit"),
    18: ("is signed by itself", _CA_FIX),
    19: ("is signed by somebody unknown", _CA_FIX),
    20: ("is signed by somebody unknown", _CA_FIX),
    21: ("is signed by somebody unknown", _CA_FIX),
    62: ("is made out to another name", "put the name in mqtt.url that is in the certificate, or the other way round"),
    64: ("is made out to another address", "put the name in mqtt.url that is in the certificate"),
}


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho leaves to chance."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def broker_addresses(settings: Mqtt) -> list[Address]:
    """Where the brokers listen, the preferred one first."""
    return [_address(url) for url in (settings.url, *settings.fallback_urls)]


def _address(url: str) -> Address:
    parts = urlsplit(url)
    tls = parts.scheme == "mqtts"
    assert parts.hostname is not None
    return Address(parts.hostname, parts.port or (DEFAULT_TLS_PORT if tls else DEFAULT_PORT), tls)


def protocols(settings: Mqtt) -> list[MQTTProtocolVersion]:
    """The versions of MQTT to try, in this order."""
    versions = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
    return list(versions.values()) if settings.protocol == "auto" else [versions[settings.protocol]]


def make_client(settings: Mqtt, client_id: str, address: Address, protocol: MQTTProtocolVersion) -> Client:
    """A paho client for one connection: it knows the login, and does not connect again by itself.

    Raises
    ------
    LinkError
        The password, a certificate or the key cannot be read.
    UsageError
        The password belongs to nobody.
    """
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, reconnect_on_failure=False)
    client.connect_timeout = CONNECT_S
    if settings.username is not None:
        client.username_pw_set(settings.username, _password(settings))
    elif settings.password_file is not None:
        raise UsageError("a password without a user name", where="mqtt.password_file", fix="set mqtt.username as well")
    if address.tls:
        client.tls_set_context(tls_context(settings.tls))
    return client


def dial(client: Client, address: Address, *, keepalive_s: int, protocol: MQTTProtocolVersion) -> None:
    """Open the connection and send CONNECT; takes as long as name lookup, TCP and TLS take.

    Raises
    ------
    LinkError
        Why there is no connection, and what to do.
    """
    properties = None
    if protocol is MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_PACKET_BYTES
    try:
        client.connect(address.host, address.port, keepalive_s, properties=properties)
    except OSError as error:
        raise unreachable(address, error) from error


def tls_context(settings: Tls) -> ssl.SSLContext:
    """What a broker must show before anything is said to it.

    Raises
    ------
    LinkError
        A file of the section cannot be read, or holds something else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate, and for the right name in it
    context.sslsocket_class = _Socket
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if settings.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    where, fix = settings.ca_file, "give a file of certificates in PEM form, which the service may read"
    try:
        if settings.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            where = settings.certificate_file
            fix = "give a certificate and its key, both PEM, the key without a passphrase, which the service may read"
            # A key with a passphrase must not make the unit wait at a prompt.
            context.load_cert_chain(settings.certificate_file, settings.key_file, password=_no_passphrase)
    except OSError as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise LinkError(f"cannot be used for TLS: {reason or error}", where=where, fix=fix) from error
    return context


def unreachable(address: Address, error: OSError) -> LinkError:
    """Why there is no connection to a broker, in words, and what to do."""
    reason, fix = _explained(error)
    if address.tls and isinstance(error, ConnectionResetError | ssl.SSLEOFError):
        reason, fix = "it hangs up during the TLS handshake", _TLS_PORT_FIX
    return LinkError(f"broker {address} cannot be reached: {reason}", fix=fix)


def _explained(error: OSError) -> tuple[str, str]:
    check = "check mqtt.url, the network and that the broker runs"
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = (error.verify_message, "look at the broker's certificate")
        reason, fix = _CERTIFICATE_REASONS.get(error.verify_code, unknown)
        return f"its certificate {reason}", fix
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            return "no TLS is spoken there", _TLS_PORT_FIX
        if "PROTOCOL_VERSION" in reason or reason == "UNSUPPORTED_PROTOCOL":
            return "it speaks no version of TLS that this unit does", "see mqtt.tls.min_version, or update the broker"
        if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
            return "it asks for a certificate of this unit", "set mqtt.tls.certificate_file and key_file"
        if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason or "CERTIFICATE_EXPIRED" in reason:
            return f"it takes no certificate like this unit's ({reason})", "renew it, or have the right CA sign it"
        return f"TLS failed ({reason})", "look into the broker's log"
    if isinstance(error, socket.gaierror):
        return f"its name is not known: {error.strerror}", "check mqtt.url, and the name server of this unit"
    if isinstance(error, TimeoutError):
        return "no answer", "check mqtt.url, the network, the firewall and that the broker runs"
    return _TCP_REASONS.get(error.errno or 0, (error.strerror or str(error), check))


def last_words(settings: Mqtt, address: Address) -> LinkError | None:
    """Why a broker with TLS hangs up as soon as it is spoken to; None where it does not say.

    By TLS 1.3 a client learns that its certificate was missing or refused only from what it reads after the handshake
    (RFC 8446, appendix E.1), which paho does not tell.
    """
    if not address.tls:
        return None
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=HANG_UP_S) as plain,
            tls_context(settings.tls).wrap_socket(plain, server_hostname=address.host) as connection,
        ):
            connection.recv(1)
    except ssl.SSLError as error:
        return unreachable(address, error)
    except OSError:
        pass
    return None


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


def _no_passphrase() -> str:
    return ""


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
