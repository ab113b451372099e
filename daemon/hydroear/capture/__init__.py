"""Where audio comes from: recordings and microphones, each a Source of blocks and gaps."""

from hydroear.capture.recording import RecordingSource
from hydroear.capture.source import Source

__all__ = ["RecordingSource", "Source"]
