"""From what a configuration says of a sensor to its source."""

from __future__ import annotations

from pathlib import Path

from hydroear.capture.recording import RecordingSource
from hydroear.capture.source import Source
from hydroear.config import schema
from hydroear.errors import UsageError


def open_source(settings: schema.Source, *, recordings: Path | None = None) -> Source:
    """Open what a sensor listens to.

    Parameters
    ----------
    settings
        What that is.
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

        return BridgeSource(settings)
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
