"""What can be heard, as a table to copy from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TextIO

from hydroear.capture.devices import InputDevice, input_devices
from hydroear.errors import CaptureError


def show_devices(out: TextIO, *, as_json: bool) -> None:
    """Print the sensors of this machine.

    Raises
    ------
    CaptureError
        If there are none, or PortAudio fails.
    """
    devices = input_devices()
    if as_json:
        print(json.dumps([asdict(device) for device in devices]), file=out)
    elif devices:
        print(table(devices), file=out)
    else:
        raise CaptureError(
            "no device that can be heard",
            fix="plug in a sensor, and let this user open it (group audio); sensors of other kinds need no device",
        )


def table(devices: list[InputDevice]) -> str:
    """Each device with its best identity first, and under it the others."""
    lines = [f"{'device':<40} {'channels':>8} {'rate':>9}  name"]
    for device in devices:
        best, *others = device.identities
        lines.append(f"{best:<40} {device.channels:>8} {device.default_rate_hz:>6} Hz  {device.name}")
        lines += [f"  or {identity}" for identity in others]
    return "\n".join(lines)
