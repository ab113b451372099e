"""Sound cards by identity: the one that is meant, whatever its number, or an error that says how to name it.

No machine that runs these tests has sound cards, so they read a tree of folders and symbolic links as Linux lays it
out under /sys for USB sound cards, behind hubs and beside a card on PCI.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hydroear.capture import microphone_child
from hydroear.capture.identity import identities_of, resolve, usb_cards
from hydroear.config.schema import MicrophoneSource
from hydroear.errors import CaptureError


@dataclass
class Machine:
    """A /sys to plug sound cards into."""

    sysfs: Path

    def plug_in(self, card: int, port: str, *, model: str = "0d8c:0014", serial: str | None = None) -> None:
        bus, _, ports = port.partition("-")
        host = self.sysfs / f"devices/pci0000:00/0000:00:14.0/usb{bus}"
        hops = ports.split(".")
        device = host.joinpath(*(f"{bus}-{'.'.join(hops[: n + 1])}" for n in range(len(hops))))
        self._describe(host, "1d6b:0002", "0000:00:14.0")
        self._describe(device, model, serial)
        self._add_card(card, device / f"{port}:1.0")

    def add_pci_card(self, card: int) -> None:
        device = self.sysfs / "devices/pci0000:00/0000:00:1f.3"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x8086\n")
        self._add_card(card, device)

    def unplug(self, card: int) -> None:
        (self.sysfs / f"class/sound/card{card}").unlink()

    def _describe(self, device: Path, model: str, serial: str | None) -> None:
        device.mkdir(parents=True, exist_ok=True)
        vendor, product = model.split(":")
        attributes = {"idVendor": vendor, "idProduct": product, "serial": serial}
        for name, value in attributes.items():
            if value is not None:
                (device / name).write_text(value + "\n")

    def _add_card(self, card: int, parent: Path) -> None:
        folder = parent / f"sound/card{card}"
        folder.mkdir(parents=True)
        (folder / "device").symlink_to("../..")
        sound = self.sysfs / "class/sound"
        sound.mkdir(parents=True, exist_ok=True)
        (sound / f"card{card}").symlink_to(Path("../..") / folder.relative_to(self.sysfs))
        for other in ("timer", f"controlC{card}", f"pcmC{card}D0c"):
            (sound / other).mkdir(exist_ok=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "sys")


def test_a_card_is_found_by_model_serial_and_port_whatever_its_number(machine: Machine) -> None:
    machine.add_pci_card(0)
    machine.plug_in(1, "1-1.2", serial="A1")
    machine.plug_in(2, "1-1.3", model="08bb:2902")
    machine.plug_in(12, "3-2", serial="B:2")
    assert [card.card for card in usb_cards(machine.sysfs)] == [1, 2, 12]
    meant = {"usb:0d8c:0014:A1": 1, "usb:0D8C:0014:B:2": 12, "usb:08BB:2902": 2, "port:1-1.2": 1, "port:3-2": 12}
    assert {identity: resolve(identity, machine.sysfs) for identity in meant} == meant
    machine.unplug(1)
    machine.plug_in(7, "1-1.2", serial="A1")
    assert resolve("usb:0d8c:0014:A1", machine.sysfs) == 7


def test_two_of_one_model_are_told_apart_by_serial_or_else_by_port(machine: Machine) -> None:
    machine.plug_in(0, "1-1", serial="A1")
    machine.plug_in(1, "1-2", serial="A2")
    with pytest.raises(CaptureError) as caught:
        resolve("usb:0d8c:0014", machine.sysfs)
    assert str(caught.value) == (
        "usb:0d8c:0014: 2 devices are called so: usb:0d8c:0014:A1 at port:1-1, usb:0d8c:0014:A2 at port:1-2; "
        "expected one; name usb:0d8c:0014:A1 or usb:0d8c:0014:A2"
    )
    machine.plug_in(2, "1-3", serial="A2")  # cheap devices share a serial
    with pytest.raises(CaptureError, match=r"name port:1-2 or port:1-3$"):
        resolve("usb:0d8c:0014:A2", machine.sysfs)
    assert resolve("port:1-3", machine.sysfs) == 2


def test_what_is_printed_for_a_card_leads_back_to_it(machine: Machine) -> None:
    machine.plug_in(0, "1-1", serial="A1")
    machine.plug_in(1, "1-2")
    machine.plug_in(2, "1-3.4", model="08bb:2902")
    cards = usb_cards(machine.sysfs)
    for card in cards:
        names = identities_of(card, cards)
        assert names
        assert {resolve(name, machine.sysfs) for name in names} == {card.card}


def test_a_card_that_is_absent_is_not_replaced_and_the_error_names_what_is_there(machine: Machine) -> None:
    with pytest.raises(CaptureError, match=r"^port:1-1: not plugged in; sound devices on USB are: none; plug it in"):
        resolve("port:1-1", machine.sysfs)
    machine.add_pci_card(0)
    machine.plug_in(1, "1-1.2", serial="A1")
    for absent in ("port:1-1", "port:1-1.20", "usb:0d8c:0014:A", "usb:0d8c:0015", "usb:1d6b:0002"):
        with pytest.raises(CaptureError, match=r"not plugged in; .*: usb:0d8c:0014:A1 at port:1-1\.2;"):
            resolve(absent, machine.sysfs)


INPUTS = {
    "USB Audio Device: - (hw:1,0)": 1,
    "Dock: Playback (hw:2,0)": 0,
    "Dock: Capture (hw:2,1)": 2,
    "Other: - (hw:21,0)": 1,
    "copy of (hw:3,0) by name": 1,
}


def test_portaudio_is_asked_for_an_input_of_exactly_that_card() -> None:
    assert microphone_child.device_name("card:1", INPUTS) == "USB Audio Device: - (hw:1,0)"
    assert microphone_child.device_name("card:2", INPUTS) == "Dock: Capture (hw:2,1)"
    assert microphone_child.device_name("alsa:Other: - (hw:21,0)", INPUTS) == "Other: - (hw:21,0)"
    with pytest.raises(microphone_child.CannotOpenError, match="card 3, but PortAudio opens no part of it"):
        microphone_child.device_name("card:3", INPUTS)
    with pytest.raises(microphone_child.CannotOpenError, match="no such device"):
        microphone_child.device_name("alsa:Other", INPUTS)


@pytest.mark.parametrize("device", ["usb:d8c:14", "usb:0d8c", "port:1", "port:1-1.", "hw:0", "default", "alsa:"])
def test_what_names_no_device_for_certain_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        MicrophoneSource(type="microphone", device=device)
