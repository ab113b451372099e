"""A broker that refuses is not a connection: the unit says why, keeps what it has and goes on trying."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import Mosquitto, wait_for
from hydroear.config.schema import Mqtt
from hydroear.errors import LinkError, UsageError
from hydroear.message import Kind, Message
from hydroear.mqtt.link import Link
from hydroear.outbox import Outbox

EVENT = Message("hydroear/v1/unit/event/e1", b"leak", Kind.EVENT)
SECRET = "correct horse"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    return path


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_login_is_reported_and_loses_nothing(
    make_mosquitto: Callable[..., Mosquitto],
    outbox: Outbox,
    make_link: Callable[..., Link],
    password_file: Path,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    broker = make_mosquitto(users={"unit": SECRET, "room": SECRET}).start()
    outbox.put(EVENT)
    password_file.write_text("wrong battery")
    login = {"username": "unit", "password_file": password_file, "protocol": protocol}
    refused = make_link(broker.url, **login)
    wait_for(lambda: "refuses user unit: Not authorized; check mqtt.username" in refused.last_error, "the refusal")
    assert not refused.connected
    assert outbox.depth() == 1
    assert not refused.stop(1.0)

    password_file.write_text(SECRET + "\n")
    with broker.subscribe(EVENT.topic, username="room", password=SECRET) as room:
        accepted = make_link(broker.url, **login)
        room.wait_for(lambda got: got, "the event")
        assert accepted.connected
    assert "Not authorized" in caplog.text
    assert SECRET not in caplog.text
    assert "wrong battery" not in caplog.text


def test_a_link_that_is_refused_gets_in_when_the_broker_changes_its_mind(
    make_mosquitto: Callable[..., Mosquitto], outbox: Outbox, make_link: Callable[..., Link]
) -> None:
    broker = make_mosquitto(users={"other": "x"}).start()
    link = make_link(broker.url)
    wait_for(lambda: "Not authorized" in link.last_error, "the refusal")
    broker.allow_anonymous()
    outbox.put(EVENT)
    wait_for(lambda: link.connected and outbox.depth() == 0, "the event to be delivered")
    assert link.last_error == ""


def test_messages_the_broker_forbids_are_counted_and_do_not_block_the_others(
    make_mosquitto: Callable[..., Mosquitto],
    outbox: Outbox,
    make_link: Callable[..., Link],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = make_mosquitto(
        acl=["topic read #", "topic write hydroear/v1/unit/event/#", "topic write hydroear/v1/unit/status"]
    ).start()
    with broker.subscribe() as room:
        link = make_link(broker.url)
        clips = [Message("hydroear/v1/unit/clip/e1", b"sound", Kind.CLIP)] * 4
        outbox.put(*clips, EVENT)
        wait_for(lambda: outbox.depth() == 0, "the outbox to drain")
        room.wait_for(lambda got: len(got) >= 2, "the status and the event")
        assert {message.topic for message in room.received} == {"hydroear/v1/unit/status", EVENT.topic}
    assert link.status.refused == len(clips) + 1, "the clips and the birth"
    assert link.status.delivered == 1
    assert "let this user write hydroear/v1/unit/#" in link.last_error
    assert caplog.text.count("refuses messages on hydroear/v1/unit/clip/e1") == 1


def test_a_subscription_that_is_refused_is_told(outbox: Outbox) -> None:
    """By a server that grants the first of two: mosquitto grants what it will never send."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(bytes([0x20, 3, 0, 0, 0]))  # CONNACK of MQTT 5, success
            while packet := connection.recv(4096):
                place = packet.find(b"\x82")  # SUBSCRIBE; its SUBACK: granted QoS 1, not authorised
                if place >= 0:
                    identifier = packet[place + 2 : place + 4]
                    connection.sendall(bytes([0x90, 5, *identifier, 0, 1, 0x87]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        link = Link(
            Mqtt(url=f"mqtt://127.0.0.1:{listener.getsockname()[1]}", protocol="5"),
            unit="unit",
            outbox=outbox,
            birth=lambda: b"birth",
            status=str.encode,
            subscriptions={"granted/topic": lambda *_: None, "refused/topic": lambda *_: None},
        )
        link.start()
        wait_for(lambda: link.last_error, "the refusal")
        assert link.last_error == (
            "the broker does not let this unit read refused/topic: Not authorized; let this user read it"
        )
        assert link.connected
        link.stop(0.1)
        thread.join()


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), ("", "is empty"), ("\n", "is empty"), (b"\xff\xfe", "not text")]
)
def test_an_unusable_password_file_is_reported_before_any_connection(
    tmp_path: Path, make_link: Callable[..., Link], content: str | bytes | None, complaint: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LinkError, match=complaint) as caught:
        make_link("mqtt://127.0.0.1", username="unit", password_file=path)
    assert str(path) in str(caught.value)


def test_a_password_needs_a_user(make_link: Callable[..., Link], password_file: Path) -> None:
    with pytest.raises(UsageError, match=r"set mqtt\.username"):
        make_link("mqtt://127.0.0.1", password_file=password_file)


def test_a_broker_name_that_does_not_exist_is_reported(make_link: Callable[..., Link]) -> None:
    link = make_link("mqtt://no-such-broker.invalid")
    wait_for(lambda: "no-such-broker.invalid:1883 cannot be reached" in link.last_error, "the failure")
    assert "check mqtt.url" in link.last_error
