"""TLS: the unit speaks to the right broker alone, and says why it does not speak to another."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authority import Authority, Credentials
from broker import Mosquitto, wait_for
from hydroear.errors import LinkError
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

EVENT = Message("hydroear/v1/unit/event/e1", b"leak", Kind.EVENT)
SECRET = "correct horse"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Credentials:
    """What a broker on this machine shows."""
    return authority.vouch_for("broker")


def client_tls(authority: Authority, client: Credentials | None = None, **more: Any) -> dict[str, Any]:
    login = {} if client is None else {"certificate_file": client.certificate_file, "key_file": client.key_file}
    return {"ca_file": authority.file, **login, **more}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_an_event_goes_to_a_broker_that_shows_the_right_certificate_and_asks_for_one(
    make_mosquitto: Callable[..., Mosquitto],
    outbox: Outbox,
    make_link: Callable[..., Link],
    authority: Authority,
    server: Credentials,
    version: str,
) -> None:
    broker = make_mosquitto(tls=server, client_ca=authority.file).start()
    outbox.put(EVENT)
    link = make_link(broker.url, tls=client_tls(authority, authority.vouch_for("unit"), min_version=version))
    wait_for(lambda: outbox.depth() == 0, "the event to be delivered")
    assert link.status.delivered == 1


def stranger(_authority: Authority, folder: Path) -> Credentials:
    return Authority(folder, "stranger").vouch_for("broker")


def expired(authority: Authority, _folder: Path) -> Credentials:
    return authority.vouch_for("old", expires_days=-1.0)


def elsewhere(authority: Authority, _folder: Path) -> Credentials:
    return authority.vouch_for("elsewhere", hosts=("broker.example", "192.0.2.1"))


@pytest.mark.parametrize(
    ("shows", "complaint"),
    [
        (stranger, "its certificate is signed by somebody unknown; set mqtt.tls.ca_file"),
        (expired, "its certificate has expired; renew"),
        (elsewhere, "its certificate is made out to another address; put the name"),
    ],
)
def test_a_broker_with_a_wrong_certificate_is_told_nothing(
    make_link: Callable[..., Link],
    outbox: Outbox,
    authority: Authority,
    tmp_path: Path,
    shows: Callable[[Authority, Path], Credentials],
    complaint: str,
) -> None:
    credentials = shows(authority, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate_file, credentials.key_file)
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5.0)
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        heard.append(tls.recv(4096))
                except OSError:
                    heard.append(b"")

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    outbox.put(EVENT)
    password_file = tmp_path / "password"
    password_file.write_text(SECRET)
    link = make_link(
        f"mqtts://127.0.0.1:{listener.getsockname()[1]}",
        username="unit",
        password_file=password_file,
        tls=client_tls(authority),
    )
    wait_for(lambda: len(heard) >= 2, "two attempts")
    assert complaint in link.last_error
    assert set(heard) == {b""}
    assert not link.stop(0.1)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    assert outbox.depth() == 1


def test_a_unit_without_the_certificate_that_is_asked_for_is_told_so(
    make_mosquitto: Callable[..., Mosquitto],
    make_link: Callable[..., Link],
    authority: Authority,
    server: Credentials,
    tmp_path: Path,
) -> None:
    broker = make_mosquitto(tls=server, client_ca=authority.file).start()
    link = make_link(broker.url, tls=client_tls(authority))
    wait_for(lambda: link.last_error, "the refusal")
    assert "it asks for a certificate of this unit; set mqtt.tls.certificate_file" in link.last_error

    foreign = Authority(tmp_path, "foreign").vouch_for("unit")
    link = make_link(broker.url, tls=client_tls(authority, foreign))
    wait_for(lambda: link.last_error, "the refusal")
    assert "it takes no certificate like this unit's" in link.last_error


def greet(talker: socket.socket) -> None:
    """Say what a mail server says to whoever comes first."""
    connection, _ = talker.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"220 mail.example ESMTP\r\n")


def test_plain_text_to_a_tls_port_and_tls_to_a_plain_one_are_told_apart(
    make_mosquitto: Callable[..., Mosquitto], make_link: Callable[..., Link], authority: Authority, server: Credentials
) -> None:
    encrypted, plain = make_mosquitto(tls=server).start(), make_mosquitto().start()
    link = make_link(encrypted.url.replace("mqtts", "mqtt"))
    wait_for(lambda: link.last_error, "the failure")
    assert "hangs up at once" in link.last_error
    assert "with mqtts:// whether it speaks TLS" in link.last_error
    link = make_link(plain.url.replace("mqtt:", "mqtts:"), tls=client_tls(authority))
    wait_for(lambda: link.last_error, "the failure")
    assert "it hangs up during the TLS handshake; give the port of the broker's TLS listener" in link.last_error
    with socket.create_server(("127.0.0.1", 0)) as talker:
        greeting = threading.Thread(target=greet, args=(talker,))
        greeting.start()
        link = make_link(f"mqtts://127.0.0.1:{talker.getsockname()[1]}", tls=client_tls(authority))
        wait_for(lambda: link.last_error, "the failure")
        greeting.join()
    assert "no TLS is spoken there" in link.last_error


def test_files_that_cannot_be_used_are_told_before_any_connection(
    make_link: Callable[..., Link], authority: Authority, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    unit, other = authority.vouch_for("unit"), authority.vouch_for("other")
    for tls, culprit in (
        ({"ca_file": tmp_path / "absent.pem"}, "absent.pem: cannot be used for TLS: No such file"),
        ({"ca_file": broken}, "broken.pem: cannot be used for TLS"),
        (
            {"certificate_file": unit.certificate_file, "key_file": other.key_file},
            "ca-unit.pem: cannot be used for TLS",
        ),
    ):
        with pytest.raises(LinkError, match=culprit):
            make_link("mqtts://127.0.0.1", tls=tls)
