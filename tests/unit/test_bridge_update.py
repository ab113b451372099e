"""Updates of a device's firmware: the simulated boot loader, and the tunnel that leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from smp.image_management import (
    ImageStatesReadRequest,
    ImageStatesReadResponse,
    ImageStatesWriteRequest,
    ImageUploadWriteRequest,
)
from smp.os_management import EchoWriteRequest, MCUMgrParametersReadRequest

from bridging import Bench
from hydroear_bridge import smp_server, tunnel
from hydroear_bridge import update as module
from hydroear_bridge.device import Device
from hydroear_bridge.endpoint import Server
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.image import Image, build
from hydroear_bridge.ports import open_port
from hydroear_bridge.simulator import noise
from hydroear_bridge.smp_server import SLOT_SIZE, SmpServer
from hydroear_bridge.tunnel import Tunnel
from hydroear_bridge.update import Outcome, Update, Updater

NEW = build((1, 1, 0), b"new" * 1000)
UPLOAD, RESET = (1, 1), (0, 5)
"""Group and command."""
HASH = Image.from_bytes(NEW).sha256


def states(server: SmpServer) -> list[tuple[str, bool, bool, bool]]:
    """Of each slot with an image: its version, whether it runs, is confirmed, is to be tried."""
    told = ImageStatesReadResponse.loads(server.answer(bytes(ImageStatesReadRequest())) or b"")
    return [(one.version, bool(one.active), bool(one.confirmed), bool(one.pending)) for one in told.images]


def said(server: SmpServer, request: Any) -> dict[str, Any]:
    answer = server.answer(bytes(request))
    assert answer is not None
    assert answer[4:8] == bytes(request)[4:8]
    told: dict[str, Any] = cbor2.loads(answer[8:])
    return told


def upload(server: SmpServer, image: bytes, step: int = 500) -> dict[str, Any]:
    offset, told = 0, {}
    while offset < len(image):
        first = {"len": len(image), "sha": sha256(image).digest(), "image": 0} if offset == 0 else {}
        told = said(server, ImageUploadWriteRequest(off=offset, data=image[offset : offset + step], **first))
        if "off" not in told:
            break
        offset = told["off"]
    return told


def test_an_image_is_tried_and_kept_only_if_it_is_confirmed() -> None:
    server = SmpServer()
    assert states(server) == [("1.0.0", True, True, False)]
    assert upload(server, NEW) == {"off": len(NEW), "match": True}
    assert said(server, ImageStatesWriteRequest(hash=HASH))["images"][1]["pending"]
    server.boot()
    assert (server.firmware, server.on_trial) == ("1.1.0", True)
    server.boot()
    assert states(server) == [("1.0.0", True, True, False), ("1.1.0", False, False, False)]
    said(server, ImageStatesWriteRequest(hash=HASH))
    server.boot()
    said(server, ImageStatesWriteRequest(hash=HASH, confirm=True))
    server.boot()
    assert states(server) == [("1.1.0", True, True, False), ("1.0.0", False, False, False)]


def test_an_upload_goes_on_from_where_it_was_until_the_device_boots() -> None:
    server = SmpServer()
    begin = ImageUploadWriteRequest(off=0, data=NEW[:700], len=len(NEW), sha=sha256(NEW).digest())
    again = ImageUploadWriteRequest(off=0, data=NEW[:100], len=len(NEW), sha=sha256(NEW).digest())
    assert said(server, begin) == {"off": 700}
    assert said(server, again) == {"off": 700}
    assert said(server, ImageUploadWriteRequest(off=0, data=NEW[:100], len=len(NEW), sha=bytes(32))) == {"off": 100}
    server.boot()
    assert said(server, again) == {"off": 100}


def test_the_server_refuses_as_mcumgr_does() -> None:
    server = SmpServer()
    assert said(server, EchoWriteRequest(d="hi")) == {"rc": 8}
    assert said(server, MCUMgrParametersReadRequest())["buf_size"] == 1024
    assert upload(server, b"\x7fELF" + NEW) == {"err": {"group": 1, "rc": 23}}
    assert upload(server, NEW + bytes(SLOT_SIZE)) == {"err": {"group": 1, "rc": 30}}
    assert said(server, ImageStatesWriteRequest(hash=HASH)) == {"err": {"group": 1, "rc": 24}}
    assert said(server, ImageUploadWriteRequest(off=0, data=NEW[:9])) == {"rc": 3}
    damaged = NEW[:200] + b"?" + NEW[201:]
    assert upload(server, damaged)["match"]
    server.boot()
    assert states(server) == [("1.0.0", True, True, False)]
    assert [server.answer(junk) for junk in (b"", b"12345678", bytes(7), b"\x02\0\0\0\x00\x01\0\x00\xff")] == [None] * 4


class Witness(SmpServer):
    """Keeps what it is asked, and leaves some of it unheard or unanswered."""

    def __init__(self, *, deaf_to: int = 0, mute_to: int = 0) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []
        self._deaf, self._mute = {RESET: deaf_to}, {RESET: mute_to}

    def answer(self, packet: bytes) -> bytes | None:
        command = (packet[5], packet[7])
        self.asked.append(command)
        if self._deaf.get(command, 0) > 0:
            self._deaf[command] -= 1
            return None
        answer = super().answer(packet)
        if self._mute.get(command, 0) > 0:
            self._mute[command] -= 1
            return None
        return answer


@contextmanager
def device(server: SmpServer, **settings: Any) -> Iterator[Bench]:
    """A device at a TCP port, in real time."""
    bench = Bench(Server(0))
    bench.device = Device(noise(0), rate_hz=8000, updates=server, **settings)
    with bench:
        yield bench


def update(bench: Bench, image: bytes = NEW) -> tuple[Update, list[str]]:
    steps: list[str] = []
    tunnel = Tunnel(lambda: open_port(bench.endpoint.name))
    return Updater(tunnel, image, tell=steps.append, progress=lambda _: None).run(), steps


def test_an_update_is_uploaded_tried_and_confirmed_and_done_once() -> None:
    server = Witness()
    with device(server) as bench:
        done, steps = update(bench)
        assert done == Update(Outcome.UPDATED, "1.0.0", "1.1.0")
        assert steps == ["uploading 1.1.0", "marking it for a test", "resetting the device", "confirming it"]
        assert update(bench) == (Update(Outcome.ALREADY_THERE, "1.1.0", "1.1.0"), [])
    assert server.asked.count(RESET) == 1
    assert states(server)[0] == ("1.1.0", True, True, False)


def test_firmware_that_crashes_is_given_up_and_that_is_told() -> None:
    server = Witness()
    with device(server, crashes=True) as bench:
        done, steps = update(bench)
    assert done == Update(Outcome.ROLLED_BACK, "1.0.0", "1.0.0")
    assert "confirming it" not in steps
    assert states(server)[0] == ("1.0.0", True, True, False)


@pytest.mark.parametrize(
    ("faults", "resets"), [({"deaf_to": 1}, 2), ({"mute_to": 1}, 1)], ids=["unheard", "unanswered"]
)
def test_a_reset_is_repeated_only_to_a_device_that_did_not_hear_it(
    faults: dict[str, int], resets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "RESET_S", 0.5)
    server = Witness(**faults)
    with device(server) as bench:
        done, _ = update(bench)
    assert done.outcome is Outcome.UPDATED
    assert server.asked.count(RESET) == resets


def test_what_was_broken_off_before_it_was_confirmed_is_confirmed() -> None:
    server = Witness()
    upload(server, NEW)
    said(server, ImageStatesWriteRequest(hash=HASH))
    with device(server) as bench:  # which boots
        assert server.on_trial
        assert update(bench) == (Update(Outcome.UPDATED, "1.1.0", "1.1.0"), ["confirming it"])


def test_packets_are_as_short_as_the_device_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smp_server, "BUFFER_SIZE", 200)
    server = Witness()
    with device(server) as bench:
        update(bench)
    assert server.asked.count(UPLOAD) >= len(NEW) / 200


def test_packets_that_are_too_short_for_an_update_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smp_server, "BUFFER_SIZE", 100)
    with device(SmpServer()) as bench, pytest.raises(BridgeError, match="packets of 100 bytes, an update wants 128"):
        update(bench)


def test_a_refusal_is_told_in_the_words_of_the_device() -> None:
    server = SmpServer()
    with device(server) as bench, pytest.raises(BridgeError, match="does not take the image: invalid image too large"):
        update(bench, build((2, 0, 0), bytes(SLOT_SIZE)))


def test_a_device_that_takes_no_updates_is_asked_for_none() -> None:
    with Bench(Server(0)) as bench, pytest.raises(BridgeError, match="takes no updates over this link"):
        update(bench)


def test_a_device_that_goes_away_is_waited_for_and_then_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(SmpServer):
        def boot(self) -> None:
            if self.reset_due:
                bench.device.lose_power()
                bench.endpoint.cut()
            super().boot()

    monkeypatch.setattr(module, "RETURN_S", 1.0)
    with device(Dead()) as bench, pytest.raises(BridgeError, match="no HELLO within 1 s"):
        update(bench)
