"""Which sound card is meant: USB devices by vendor, product and serial, or by the port they are plugged into.

Numbers of sound cards follow the order in which cards are found, so that they mean nothing after the next boot.
What does not change is what sysfs tells of the device behind a card (Documentation/ABI/testing/sysfs-bus-usb of
Linux): ``idVendor``, ``idProduct``, ``serial``, and the name of its folder, which is its port path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydroear.errors import CaptureError

SYSFS = Path("/sys")


@dataclass(frozen=True)
class UsbCard:
    """A sound card on USB.

    Attributes
    ----------
    card
        Number of the card, until it is unplugged.
    port
        Where it is plugged in, e.g. ``1-1.2``: bus, then the port of each hub on the way.
    vendor, product
        Four hexadecimal digits each, in lower case.
    serial
        As the device tells it; empty if it has none.
    """

    card: int
    port: str
    vendor: str
    product: str
    serial: str = ""

    @property
    def model(self) -> str:
        """Identity that all devices of this kind share, ``usb:VID:PID``."""
        return f"usb:{self.vendor}:{self.product}"

    @property
    def identities(self) -> tuple[str, ...]:
        """What a configuration may call it, the most particular first."""
        exact = (f"{self.model}:{self.serial}",) if self.serial else ()
        return (*exact, self.model, f"port:{self.port}")

    def __str__(self) -> str:
        return f"{self.identities[0]} at port:{self.port}"


def usb_cards(sysfs: Path = SYSFS) -> list[UsbCard]:
    """Sound cards on USB that are plugged in now, by number.

    Parameters
    ----------
    sysfs
        Where sysfs is mounted.
    """
    found = (_usb_card(folder, sysfs.resolve()) for folder in (sysfs / "class/sound").glob("card[0-9]*"))
    return sorted((card for card in found if card is not None), key=lambda card: card.card)


def identities_of(card: UsbCard, plugged_in: Sequence[UsbCard]) -> list[str]:
    """Identities that mean this card and none of the others, the best first; the last is its port."""
    count = Counter(identity for other in plugged_in for identity in other.identities)
    return [identity for identity in card.identities if count[identity] == 1]


def resolve(identity: str, sysfs: Path = SYSFS) -> int:
    """Number of the sound card that an identity means now.

    Parameters
    ----------
    identity
        ``usb:VID:PID``, ``usb:VID:PID:SERIAL`` or ``port:PATH``; hexadecimal digits in any case.
    sysfs
        Where sysfs is mounted.

    Raises
    ------
    CaptureError
        If no such card is plugged in, or several are.
    """
    there = usb_cards(sysfs)
    wanted = _normalised(identity)
    matches = [card for card in there if wanted in card.identities]
    if len(matches) == 1:
        return matches[0].card
    if matches:
        names = " or ".join(identities_of(card, there)[0] for card in matches)
        raise CaptureError(
            f"{len(matches)} devices are called so: {', '.join(map(str, matches))}",
            where=identity,
            expected="one",
            fix=f"name {names}",
        )
    plugged_in = ", ".join(map(str, there)) or "none"
    raise CaptureError(
        f"not plugged in; sound devices on USB are: {plugged_in}",
        where=identity,
        fix="plug it in, or name one that is",
    )


def _usb_card(folder: Path, sysfs: Path) -> UsbCard | None:
    """The card of a folder of class ``sound``; None if it is not on USB or was unplugged meanwhile."""
    try:
        # A card hangs on one of the device's interfaces, and that on the device.
        for device in (place := (folder / "device").resolve(strict=True), *place.parents):
            if device == sysfs:
                break
            if (device / "idVendor").exists():
                return UsbCard(
                    int(folder.name.removeprefix("card")),
                    device.name,
                    _attribute(device / "idVendor"),
                    _attribute(device / "idProduct"),
                    _attribute(device / "serial") if (device / "serial").exists() else "",
                )
    except (OSError, ValueError):
        pass
    return None


def _attribute(path: Path) -> str:
    return path.read_text(errors="replace").strip()


def _normalised(identity: str) -> str:
    kind, *parts = identity.split(":", maxsplit=3)
    return ":".join([kind, *(part.lower() for part in parts[:2]), *parts[2:]])
