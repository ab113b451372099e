"""From what a configuration says of a sensor to its source."""

from __future__ import annotations

from hydroear.capture.recording import RecordingSource
from hydroear.capture.source import Source
from hydroear.config import schema


def open_source(settings: schema.Source) -> Source:
    """Open what a sensor listens to.

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
    from hydroear.capture.microphone import MicrophoneSource

    return MicrophoneSource(settings)
