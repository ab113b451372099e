"""Which serial line is meant: USB devices by vendor, product and serial number, whatever their line is called today.

What does not change from plug to plug is what sysfs tells of the device behind a line
(Documentation/ABI/testing/sysfs-bus-usb of Linux): ``idVendor``, ``idProduct`` and ``serial``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hydroear_bridge.errors import PortError, UsageError

SYSFS = Path("/sys")
DEV = Path("/dev")
_IDENTITY = re.compile(r"usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?")


@dataclass(frozen=True)
class UsbLine:
    """A serial line on USB.

    Attributes
    ----------
    name
        Name of the line, such as ``ttyACM0``, until it is unplugged.
    model
        ``usb:VID:PID``, four hexadecimal digits each, in lower case.
    serial
        As the device tells it; empty if it has none.
    """

    name: str
    model: str
    serial: str = ""

    @property
    def identity(self) -> str:
        """The most particular thing to call it."""
        return f"{self.model}:{self.serial}" if self.serial else self.model

    def __str__(self) -> str:
        return f"{self.identity} at {self.name}"


def usb_lines(sysfs: Path = SYSFS) -> list[UsbLine]:
    """Serial lines on USB that are plugged in now, by name."""
    found = (_line(folder, sysfs.resolve()) for folder in sorted((sysfs / "class/tty").glob("tty*")))
    return [line for line in found if line is not None]


def resolve(identity: str, *, sysfs: Path = SYSFS, dev: Path = DEV) -> Path:
    """Path of the serial line that an identity means now.

    Parameters
    ----------
    identity
        ``usb:VID:PID`` or ``usb:VID:PID:SERIAL``; hexadecimal digits in any case.

    Raises
    ------
    UsageError
        If it is none.
    PortError
        If no such device is plugged in, or several are.
    """
    if not _IDENTITY.fullmatch(identity):
        raise UsageError(f"{identity} is no identity; expected usb:VID:PID or usb:VID:PID:SERIAL")
    kind, vendor, product, *serial = identity.split(":", maxsplit=3)
    wanted = ":".join([kind, vendor.lower(), product.lower(), *serial])
    there = usb_lines(sysfs)
    matches = [line for line in there if wanted in (line.model, line.identity)]
    if len(matches) == 1:
        return dev / matches[0].name
    listed = ", ".join(map(str, matches or there)) or "none"
    if matches:
        raise PortError(identity, f"{len(matches)} lines are called so: {listed}; name one by its serial or its path")
    raise PortError(identity, f"not plugged in; serial lines on USB are: {listed}")


def _line(folder: Path, sysfs: Path) -> UsbLine | None:
    """The line of a folder of class ``tty``; None if it is not on USB or was unplugged meanwhile."""
    try:
        # A line hangs on one of the device's interfaces, and that on the device.
        for device in (place := (folder / "device").resolve(strict=True), *place.parents):
            if device == sysfs:
                break
            if (device / "idVendor").exists():
                model = f"usb:{_attribute(device / 'idVendor')}:{_attribute(device / 'idProduct')}"
                serial = _attribute(device / "serial") if (device / "serial").exists() else ""
                return UsbLine(folder.name, model, serial)
    except OSError:
        pass
    return None


def _attribute(path: Path) -> str:
    return path.read_text(errors="replace").strip()
