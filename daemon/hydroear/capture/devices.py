"""What can be heard on this machine, and what a configuration may call it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass

from hydroear.capture import microphone_child
from hydroear.capture.identity import SYSFS, identities_of, usb_cards
from hydroear.errors import CaptureError

PATIENCE_S = 20.0
_CARD = re.compile(r"\(hw:(\d+),\d+\)$")


@dataclass(frozen=True)
class InputDevice:
    """A device that PortAudio can hear.

    Attributes
    ----------
    name
        What PortAudio calls it.
    channels
        Channels it offers.
    default_rate_hz
        Rate it takes if nothing is said.
    identities
        What a configuration may call it, the best first, at least one.
    """

    name: str
    channels: int
    default_rate_hz: int
    identities: tuple[str, ...]


def input_devices() -> list[InputDevice]:
    """Ask PortAudio, in a child process that is killed when it hangs.

    Raises
    ------
    CaptureError
        If PortAudio is missing, fails or hangs.
    """
    command = [sys.executable, "-P", microphone_child.__file__]
    try:
        asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise CaptureError(
            f"PortAudio has not answered for {PATIENCE_S:g} s", fix="unplug a device that hangs"
        ) from None
    if asked.returncode:
        raise CaptureError(f"PortAudio fails: {asked.stdout.decode(errors='replace').strip() or asked.returncode}")
    cards = usb_cards(SYSFS)
    devices = []
    for name, channels, rate_hz in json.loads(asked.stdout):
        number = _CARD.search(name)
        usb = [card for card in cards if number and card.card == int(number[1])]
        identities = identities_of(usb[0], cards) if usb else []
        devices.append(InputDevice(name, channels, rate_hz, (*identities, f"alsa:{name}")))
    return devices
