"""What the kernel tells of the machine: its memory, its temperature and its supply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_UNDER_VOLTAGE_NOW, _UNDER_VOLTAGE_SINCE_START = 1 << 0, 1 << 16
"""Bits of get_throttled (Raspberry Pi documentation, "vcgencmd")."""


@dataclass(frozen=True)
class Machine:
    """What the kernel tells; None for what it does not.

    Attributes
    ----------
    free_bytes
        Memory that programs can still have.
    temperature_c
        Of the hottest thermal zone.
    under_voltage_now, under_voltage_since_start
        Whether the supply is or was too weak.
    """

    free_bytes: int | None
    temperature_c: float | None
    under_voltage_now: bool | None
    under_voltage_since_start: bool | None


def look_at_machine(root: Path = Path("/")) -> Machine:
    """Ask the kernel whose files lie under a root."""
    throttled = _number(root / "sys/devices/platform/soc/soc:firmware/get_throttled", base=16)
    alarms = [_number(path) for path in _named(root / "sys/class/hwmon", "rpi_volt", "in0_lcrit_alarm")]
    now = None if throttled is None else bool(throttled & _UNDER_VOLTAGE_NOW)
    since = None if throttled is None else bool(throttled & _UNDER_VOLTAGE_SINCE_START)
    if now is None and alarms:
        now = any(alarms)
    zones = [_number(path) for path in sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))]
    temperatures_c = [zone / 1000.0 for zone in zones if zone is not None]
    return Machine(_free_bytes(root), max(temperatures_c, default=None), now, since)


def _free_bytes(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _number(path: Path, *, base: int = 10) -> int | None:
    try:
        return int(path.read_text().strip(), base)
    except (OSError, ValueError):
        return None


def _named(folder: Path, name: str, file: str) -> list[Path]:
    """A file of those devices of a class that carry a name."""
    found = []
    for device in sorted(folder.glob("*")):
        try:
            if (device / "name").read_text().strip() == name and (device / file).exists():
                found.append(device / file)
        except OSError:
            continue
    return found
