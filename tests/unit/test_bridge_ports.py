"""Ports over real terminals, sockets and files, and USB lines in a tree of folders as Linux lays it out under /sys."""

from __future__ import annotations

import os
import pty
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hydroear_bridge.errors import PortEndError, PortError, UsageError
from hydroear_bridge.ports import open_port
from hydroear_bridge.usb import resolve, usb_lines


class Cable:
    """A device at a terminal whose name stays the same, as under /dev/serial/by-id."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._device: int | None = None

    def plug(self) -> None:
        self._device, line = pty.openpty()
        tty.setraw(line)
        self.link.symlink_to(os.ttyname(line))
        os.close(line)

    def unplug(self) -> None:
        if self._device is not None:
            os.close(self._device)
            self._device = None
            self.link.unlink()

    def say(self, data: bytes) -> None:
        assert self._device is not None
        os.write(self._device, data)

    def hear(self) -> bytes:
        assert self._device is not None
        return os.read(self._device, 4096)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "usb-leak_sensor-if00")
    yield cable
    cable.unplug()


def soon() -> float:
    return time.monotonic() + 10.0


def test_a_serial_line_carries_every_byte_both_ways(cable: Cable) -> None:
    cable.plug()
    every = bytes(range(256))
    with open_port(str(cable.link)) as port:
        cable.say(every)
        heard = b""
        while len(heard) < len(every):
            heard += port.read(soon())
        port.write(every)
        assert heard == every == cable.hear()
        assert port.read(time.monotonic() + 0.01) == b""


def test_unplugged_is_told_at_once_and_what_is_plugged_in_again_is_heard(cable: Cable) -> None:
    cable.plug()
    with open_port(str(cable.link)) as port:
        cable.unplug()
        with pytest.raises(PortError, match="gone"):
            port.read(soon())
        with pytest.raises(PortError, match="gone"):
            port.write(b"x")
    with pytest.raises(PortError, match="not there; plug it in"):
        open_port(str(cable.link))
    cable.plug()
    with open_port(str(cable.link)) as port:
        cable.say(b"again")
        assert port.read(soon()) == b"again"


def test_a_line_that_is_in_use_is_not_opened_twice(cable: Cable) -> None:
    cable.plug()
    with open_port(str(cable.link)), pytest.raises(PortError, match="in use by another program"):
        open_port(str(cable.link))


def test_a_device_that_takes_no_bytes_is_told_and_not_waited_for(cable: Cable) -> None:
    cable.plug()
    began_s = time.monotonic()
    with open_port(str(cable.link)) as port, pytest.raises(PortError, match="takes no bytes"):
        port.write(bytes(1_000_000))
    assert time.monotonic() - began_s < 5.0


def test_a_read_in_another_thread_can_be_ended(cable: Cable) -> None:
    cable.plug()
    with open_port(str(cable.link)) as port:
        ends: list[bytes] = []
        reader = threading.Thread(target=lambda: ends.append(port.read(time.monotonic() + 60.0)))
        reader.start()
        port.wake()
        reader.join(10.0)
        assert ends == [b""]


def test_nothing_stays_open(cable: Cable) -> None:
    cable.plug()
    before = len(list(Path("/proc/self/fd").iterdir()))
    port = open_port(str(cable.link))
    port.close()
    port.close()
    port.wake()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_connection_is_heard_until_the_other_end_closes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with open_port(name) as port:
            device, _ = server.accept()
            with device:
                device.sendall(b"hello")
                assert port.read(soon()) == b"hello"
                port.write(b"start")
                assert device.recv(100) == b"start"
            with pytest.raises(PortError, match="gone"):
                port.read(soon())
    with pytest.raises(PortError, match="no connection"):
        open_port(name)


def test_a_file_is_read_to_its_end_and_takes_no_bytes(tmp_path: Path) -> None:
    capture = tmp_path / "capture.bin"
    capture.write_bytes(bytes(100_000))
    with open_port(str(capture)) as port:
        port.write(b"start")
        assert port.read(soon()) + port.read(soon()) == bytes(100_000)
        with pytest.raises(PortEndError):
            port.read(soon())
    assert capture.read_bytes() == bytes(100_000)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tcp://nowhere", "is no port; expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1:70000", "is no port"),
        ("usb:303a", "is no identity; expected usb:VID:PID"),
    ],
)
def test_what_names_no_port_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_port(name)


class Machine:
    """A /sys to plug serial lines into."""

    def __init__(self, sysfs: Path) -> None:
        self.sysfs = sysfs
        (sysfs / "class/tty/tty0").mkdir(parents=True)
        (sysfs / "class/tty/ttyS0").mkdir()
        platform = sysfs / "devices/platform/serial8250"
        platform.mkdir(parents=True)
        (sysfs / "class/tty/ttyS0/device").symlink_to(platform)

    def plug_in(self, name: str, port: str, model: str = "303a:1001", serial: str = "") -> None:
        host = self.sysfs / "devices/pci0000:00/usb1"
        device = host / port
        vendor, product = model.split(":")
        for folder, ids in ((host, ("1d6b", "0002", "host")), (device, (vendor, product, serial))):
            folder.mkdir(parents=True, exist_ok=True)
            for attribute, value in zip(("idVendor", "idProduct", "serial"), ids, strict=True):
                if value:
                    (folder / attribute).write_text(value + "\n")
        interface = device / f"{port}:1.0"
        # A converter's line hangs one folder deeper than that of a CDC-ACM device.
        parent = interface / name if name.startswith("ttyUSB") else interface
        line = parent / f"tty/{name}"
        line.mkdir(parents=True)
        (line / "device").symlink_to(parent)
        (self.sysfs / f"class/tty/{name}").symlink_to(line)

    def resolve(self, identity: str) -> str:
        return resolve(identity, sysfs=self.sysfs).name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "sys")


def test_a_line_is_found_by_what_it_is_whatever_its_number(machine: Machine) -> None:
    machine.plug_in("ttyACM1", "1-1.2", serial="A:1")
    machine.plug_in("ttyUSB0", "1-1.3", model="0403:6001", serial="FT1")
    assert [str(line) for line in usb_lines(machine.sysfs)] == [
        "usb:303a:1001:A:1 at ttyACM1",
        "usb:0403:6001:FT1 at ttyUSB0",
    ]
    meant = {"usb:303A:1001": "ttyACM1", "usb:303a:1001:A:1": "ttyACM1", "usb:0403:6001:FT1": "ttyUSB0"}
    assert {identity: machine.resolve(identity) for identity in meant} == meant
    assert resolve("usb:303a:1001", sysfs=machine.sysfs) == Path("/dev/ttyACM1")


def test_an_absent_device_is_not_replaced_and_of_two_none_is_taken(machine: Machine) -> None:
    with pytest.raises(PortError, match="not plugged in; serial lines on USB are: none"):
        machine.resolve("usb:303a:1001")
    machine.plug_in("ttyACM0", "1-1", serial="A1")
    for absent in ("usb:303a:1001:A", "usb:303a:1002", "usb:1d6b:0002"):
        with pytest.raises(PortError, match=r"not plugged in; .*: usb:303a:1001:A1 at ttyACM0"):
            machine.resolve(absent)
    machine.plug_in("ttyACM1", "1-2", serial="A2")
    with pytest.raises(PortError, match=r"2 lines are called so: usb:303a:1001:A1 at ttyACM0, .*; name one by its"):
        machine.resolve("usb:303a:1001")
    assert machine.resolve("usb:303a:1001:A2") == "ttyACM1"
