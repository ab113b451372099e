"""A sensor whose microcontroller speaks the bridge protocol, over a serial line or TCP."""

from __future__ import annotations

import time
from collections import deque

from hydroear.capture.microcontroller import Microcontroller
from hydroear.capture.supervised import Feed, FeedEnd, Frame, SupervisedSource
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear.health.alarm import DeviceNews
from hydroear.health.clock import clock_quality
from hydroear.health.device import DeviceHealth
from hydroear_bridge import BridgeError
from hydroear_bridge.errors import PortEndError, PortError
from hydroear_bridge.ports import Port, open_port

START_S = 20.0
"""Patience with a device that speaks but sends no samples."""


class BridgeSource(SupervisedSource):
    """One channel of a sensor with a microcontroller, for ever.

    The device counts its samples, so that a gap has the length of what was lost, to the sample, also over a cut of
    the connection; over a restart of the device, which counts anew, it has the length that the clock says.

    Parameters
    ----------
    settings
        The port, and what to ask of the device.
    """

    def __init__(self, settings: schema.BridgeSource) -> None:
        super().__init__(settings.port, settings)
        self._settings = settings
        self._device = Microcontroller(settings, time.monotonic())

    @property
    def device(self) -> DeviceHealth:
        """How the device is doing."""
        return self._device.health

    def news(self) -> list[DeviceNews]:
        """Take what the device has told of itself since the last time."""
        return self._device.news()

    def _start(self) -> Feed:
        return _Connection(self._settings, self._device)


class _Connection:
    """An open port with the device at its other end."""

    def __init__(self, settings: schema.BridgeSource, device: Microcontroller) -> None:
        self._device = device
        self._frames: deque[Frame] = deque()
        self._killed = False
        try:
            self._port = open_port(settings.port, baud=settings.baud)
        except BridgeError as error:
            raise _capture_error(error) from error
        self._started_s = self._last_s = time.monotonic()
        self._heard = False
        device.connect(self._started_s)

    @property
    def heard_for_s(self) -> float:
        """Time from the start to the last frame of audio."""
        return self._last_s - self._started_s if self._heard else 0.0

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame of audio until a monotonic time.

        Raises
        ------
        CaptureError
            If the port fails, or the device is silent or cannot do what it is asked for.
        FeedEnd
            At the end of a file of captured bytes.
        """
        try:
            return self._receive(self._port, until_s)
        except PortEndError:
            raise FeedEnd from None
        except BridgeError as error:
            raise _capture_error(error) from error

    def check_stalled(self) -> None:
        """Raise CaptureError if a device that speaks has sent no samples for too long."""
        if time.monotonic() - self._last_s >= START_S:
            raise self._device.error("it speaks, but sends no samples", fix="restart it")

    def kill(self) -> None:
        """End a wait in another thread."""
        self._killed = True
        self._port.wake()

    def end(self) -> None:
        """Close the port."""
        self._port.close()

    def _receive(self, port: Port, until_s: float) -> Frame | None:
        device, now_s = self._device, time.monotonic()
        while not self._frames and not self._killed:
            if device.failure is not None:
                raise device.failure
            if now_s >= device.due_s:
                device.tick(now_s, time.time() if clock_quality() == "synchronised" else None)
                continue
            port.write(device.outgoing())
            data = port.read(min(until_s, device.due_s))
            now_s = time.monotonic()
            self._frames += device.receive(data, now_s)
            if now_s >= until_s and not self._frames:
                return None
        if self._killed:
            return None
        self._heard, self._last_s = True, now_s
        return self._frames.popleft()


def _capture_error(error: BridgeError) -> CaptureError:
    if isinstance(error, PortError):
        return CaptureError(error.what, where=error.port)
    return CaptureError(str(error))
