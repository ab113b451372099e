"""Stages of the machine itself: its memory, its temperature, its supply and its clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hydroear.health.clock import Clock
from hydroear.selftest.finding import Finding, Result, Values

LITTLE_BYTES = 64 << 20
"""Less free memory than this and the next update or evidence may not find room."""
HOT_C, TOO_HOT_C = 70.0, 80.0
"""A Raspberry Pi slows itself down from 80 °C on (Raspberry Pi documentation, "Frequency management")."""
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


def judge_machine(machine: Machine) -> Finding:
    """Enough memory, not too hot, enough voltage."""
    told, fixes = [], []
    result = Result.PASS
    values: Values = {
        "free_bytes": machine.free_bytes,
        "temperature_c": machine.temperature_c,
        "under_voltage_now": _as_int(machine.under_voltage_now),
        "under_voltage_since_start": _as_int(machine.under_voltage_since_start),
    }
    if machine.free_bytes is not None:
        told.append(f"{machine.free_bytes / 2**20:,.0f} MiB of memory free")
        if machine.free_bytes < LITTLE_BYTES:
            result = Result.WARN
            fixes.append("stop what else runs on this unit")
    if machine.temperature_c is not None:
        told.append(f"{machine.temperature_c:.0f} °C")
        if machine.temperature_c >= HOT_C:
            result = Result.FAIL if machine.temperature_c >= TOO_HOT_C else Result.WARN
            fixes.append("shade the unit or give it air")
    if machine.under_voltage_now or machine.under_voltage_since_start:
        told.append("supply too weak " + ("now" if machine.under_voltage_now else "at times since the start"))
        result = Result.FAIL if machine.under_voltage_now else max(result, Result.WARN, key=_severity)
        fixes.append("use a stronger supply or a shorter, thicker cable")
    elif machine.under_voltage_now is not None:
        told.append("supply strong enough")
    if not told:
        return Finding(
            "machine", Result.SKIP, "the kernel tells neither memory, temperature nor voltage", values=values
        )
    expected = f"{LITTLE_BYTES >> 20} MiB free, below {HOT_C:.0f} °C, a steady supply"
    return Finding("machine", result, ", ".join(told), expected, "; ".join(fixes), values)


def judge_clock(clock: Clock) -> Finding:
    """A clock that people can hold events against."""
    if clock == "unsynchronised":
        return Finding(
            "clock",
            Result.WARN,
            "not synchronised: messages say so, and times are put right once it is",
            "a synchronised clock",
            "check the network and the time server, or fit a clock with a battery",
            {"clock": clock},
        )
    if clock == "unknown":
        return Finding(
            "clock", Result.SKIP, "the kernel does not tell whether it is synchronised", values={"clock": clock}
        )
    return Finding("clock", Result.PASS, "synchronised", values={"clock": clock})


def _severity(result: Result) -> int:
    return [Result.PASS, Result.WARN, Result.FAIL].index(result)


def _as_int(value: bool | None) -> int | None:
    return None if value is None else int(value)


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
