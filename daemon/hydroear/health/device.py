"""What a sensor's own microcontroller says of how it is doing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceHealth:
    """How the device behind a sensor is doing; None where it does not tell, or has not told yet.

    Attributes
    ----------
    model, firmware
        What it calls itself; empty if it does not.
    restarts
        Times that it was seen to boot since the daemon started.
    reset_cause
        Why it booted last, in a word.
    battery_v, supply_v
        Voltages.
    charge
        Of the battery, 0 to 1.
    temperature_c, humidity
        In its case; relative humidity, 0 to 1.
    adc_overruns, samples_dropped, clips
        Since it booted, of this sensor: times the converter was not read in time, samples it lost, samples at full
        scale.
    frames_dropped
        Frames since it booted that it made and could not send.
    frames_lost, frames_bad
        Since the daemon started: frames that the link lost, and bytes between two frames that were none.
    """

    model: str = ""
    firmware: str = ""
    restarts: int = 0
    reset_cause: str | None = None
    battery_v: float | None = None
    supply_v: float | None = None
    charge: float | None = None
    temperature_c: float | None = None
    humidity: float | None = None
    adc_overruns: int | None = None
    samples_dropped: int | None = None
    clips: int | None = None
    frames_dropped: int | None = None
    frames_lost: int = 0
    frames_bad: int = 0
