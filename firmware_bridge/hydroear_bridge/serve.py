"""A simulated device that can be talked to, in real time, with all its mishaps."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from hydroear_bridge.device import Device
from hydroear_bridge.endpoint import Endpoint
from hydroear_bridge.faults import OUTAGES_S, Faults, Link
from hydroear_bridge.frames import EventCode, Frame, ResetCause
from hydroear_bridge.link import DELIMITER, encode

STEP_S = 0.005
LOW_BATTERY_MV = 2900
LATE_FRAMES = 20
"""So many frames that were on the way when a connection was cut come out of order behind the next one."""
PIECE = 2048
"""A terminal takes no more at once, and what it does not take is lost."""

_Mishap = Callable[[float], None]


class Simulator:
    """A device at an endpoint, and what befalls it.

    Parameters
    ----------
    device
        The device; booted here.
    endpoint
        Where it is found.
    faults
        What goes wrong.
    seed
        Same seed, same chances.
    """

    def __init__(self, device: Device, endpoint: Endpoint, faults: Faults, seed: int) -> None:
        self._device, self._endpoint, self._faults = device, endpoint, faults
        self._down, self._up = Link(faults, 2 * seed), Link(faults, 2 * seed + 1)
        self._chances = np.random.default_rng([seed, 2])
        self._late: deque[bytes] = deque(maxlen=LATE_FRAMES)
        self._connected = False
        self._waiting = b""

    def run(self, duration_s: float = math.inf) -> None:
        """Run for so long."""
        began_s = now_s = time.monotonic()
        device, endpoint = self._device, self._endpoint
        device.boot(now_s)
        mishaps = self._mishaps(began_s)
        due_s, mishap = next(mishaps)
        while now_s < began_s + duration_s:
            while now_s >= due_s:
                mishap(now_s)
                due_s, mishap = next(mishaps)
            self._say(device.send(now_s), now_s)
            heard = endpoint.exchange(self._outgoing(now_s), now_s + STEP_S)
            now_s = time.monotonic()
            if heard:
                self._up.send(heard, now_s)
            self._say(device.receive(self._up.arrived(now_s), now_s), now_s)

    def _say(self, frames: list[Frame], now_s: float) -> None:
        for frame in frames:
            # The delimiter ahead of the first frame ends what the line carried before, as half a frame.
            wire = DELIMITER + encode(frame) if frame.sequence == 0 else encode(frame)
            self._late.append(wire)
            self._down.send(wire, now_s)

    def _outgoing(self, now_s: float) -> bytes:
        self._waiting += self._down.arrived(now_s)
        connected = self._endpoint.connected
        if not connected:
            self._waiting = b""
        elif not self._connected:
            late = list(self._late) if self._faults.cut else []
            self._chances.shuffle(late)
            self._waiting = DELIMITER + self._waiting + b"".join(late)
        self._connected = connected
        piece, self._waiting = self._waiting[:PIECE], self._waiting[PIECE:]
        return piece

    def _mishaps(self, began_s: float) -> Iterator[tuple[float, _Mishap]]:
        """What befalls the device, in order of time, without end."""
        faults = self._faults
        due: list[tuple[float, float, _Mishap]] = [
            (began_s + faults.cut, faults.cut, self._cut),
            (began_s + faults.cut + OUTAGES_S["cut"], faults.cut, self._mend),
            (began_s + faults.reboot, faults.reboot, self._fail),
            (began_s + faults.reboot + OUTAGES_S["reboot"], faults.reboot, self._reboot),
            (began_s + faults.brownout, faults.brownout, self._brown_out),
            (began_s + faults.brownout + OUTAGES_S["brownout"], faults.brownout, self._recover),
            (began_s + faults.tamper, faults.tamper and math.inf, self._tamper),
            (began_s + faults.ingress, faults.ingress and math.inf, self._leak_in),
        ]
        due = [one for one in due if one[1] > 0.0]
        while due:
            at_s, every_s, mishap = due.pop(min(range(len(due)), key=lambda n: due[n][0]))
            yield at_s, mishap
            due.append((at_s + every_s, every_s, mishap))
        yield math.inf, self._mend

    def _cut(self, _now_s: float) -> None:
        self._endpoint.cut()

    def _mend(self, _now_s: float) -> None:
        self._endpoint.mend()

    def _fail(self, _now_s: float) -> None:
        self._device.lose_power()

    def _reboot(self, now_s: float) -> None:
        self._device.boot(now_s, ResetCause.WATCHDOG)

    def _brown_out(self, now_s: float) -> None:
        self._say(self._device.happen(EventCode.LOW_BATTERY, now_s, value=LOW_BATTERY_MV), now_s)
        self._device.lose_power()
        report = self._late[-1]
        self._waiting += self._down.arrived(now_s) + report[: len(report) // 2]

    def _recover(self, now_s: float) -> None:
        self._device.boot(now_s, ResetCause.BROWN_OUT)

    def _tamper(self, now_s: float) -> None:
        self._say(self._device.happen(EventCode.TAMPER, now_s), now_s)

    def _leak_in(self, now_s: float) -> None:
        self._say(self._device.happen(EventCode.WATER_INGRESS, now_s), now_s)
