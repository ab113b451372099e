"""A sensor whose microcontroller speaks the bridge protocol, over a serial line or TCP."""

from __future__ import annotations

from hydroear.audio import Scale
from hydroear.capture.line import Line, Share
from hydroear.capture.stream import Stream
from hydroear.capture.supervised import SupervisedSource
from hydroear.config import schema
from hydroear.health.alarm import DeviceNews
from hydroear.health.device import DeviceHealth


class BridgeSource(SupervisedSource):
    """One channel of a sensor with a microcontroller, for ever.

    The device counts its samples, so that a gap has the length of what was lost, to the sample, also over a cut of
    the connection; over a restart of the device, which counts anew, it has the length that the clock says.

    Parameters
    ----------
    settings
        The port, and what to ask of the device.
    line
        The line to that port, where other sources hear it as well.
    """

    def __init__(self, settings: schema.BridgeSource, line: Line | None = None) -> None:
        self._line = line or Line(settings.port, settings.baud)
        self._stream = Stream(settings)
        super().__init__(settings.port, settings, Share(self._line, self._stream, settings.rate_hz))

    @property
    def device(self) -> DeviceHealth:
        """How the device is doing."""
        return self._line.health(self._stream.number)

    def news(self) -> list[DeviceNews]:
        """Take what the device has told of itself since the last time, to whichever of its sensors is asked first."""
        return self._line.news()

    @property
    def scale(self) -> Scale | None:
        """What the samples stand for; None where the device does not tell, or has not told yet."""
        return self._stream.scale
