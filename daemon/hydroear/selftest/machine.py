"""Stages of the machine itself: its memory, its temperature, its supply and its clock."""

from __future__ import annotations

from hydroear.health.clock import Clock
from hydroear.health.machine import Machine
from hydroear.selftest.finding import Finding, Result, Values

LITTLE_BYTES = 64 << 20
"""Less free memory than this and the next update or evidence may not find room."""
HOT_C, TOO_HOT_C = 70.0, 80.0
"""A Raspberry Pi slows itself down from 80 °C on (Raspberry Pi documentation, "Frequency management")."""


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
