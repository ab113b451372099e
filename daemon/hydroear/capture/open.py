"""From what a configuration says of a sensor to its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydroear.capture.recording import RecordingSource
from hydroear.capture.source import Source
from hydroear.config import schema
from hydroear.errors import UsageError

if TYPE_CHECKING:
    from hydroear.capture.line import Line


class Lines:
    """The lines of a unit: sources that hear sensors of one device share its port."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def line(self, settings: schema.BridgeSource) -> Line:
        """The line to the port of a source; from any thread."""
        from hydroear.capture.line import Line  # and with it the bridge, for those who have one

        return self._lines.setdefault(settings.port, Line(settings.port, settings.baud))


def open_source(settings: schema.Source, lines: Lines | None = None, *, recordings: Path | None = None) -> Source:
    """Open what a sensor listens to.

    Parameters
    ----------
    settings
        What that is.
    lines
        What it shares with the other sensors of its unit; None if it is opened alone.
    recordings
        Where a logger's recordings wait to be heard; None where a logger is of no use.

    Raises
    ------
    AudioError, CaptureError, UsageError
        If it cannot be opened.
    """
    if isinstance(settings, schema.WavSource):
        return RecordingSource(
            settings.files,
            channel=settings.channel,
            reference_channel=settings.reference_channel,
            speed=settings.speed,
        )
    if isinstance(settings, schema.PipeSource):
        from hydroear.capture.pipe import PipeSource

        return PipeSource(settings)
    if isinstance(settings, schema.BridgeSource):
        from hydroear.capture.bridge import BridgeSource

        return BridgeSource(settings, None if lines is None else lines.line(settings))
    if isinstance(settings, schema.LoggerSource):
        if recordings is None:
            raise UsageError(
                "a logger does not sound now",
                where=settings.port,
                expected="a live sensor",
                fix="see what it has recorded with hydroear-bridge upload",
            )
        from hydroear.capture.logger import LoggerSource

        return LoggerSource(settings, recordings)
    from hydroear.capture.microphone import MicrophoneSource

    return MicrophoneSource(settings)
