"""Where audio comes from: microphones, programs and recordings, each a Source of blocks and gaps."""

from hydroear.capture.open import Lines, open_source
from hydroear.capture.recording import RecordingSource
from hydroear.capture.source import Source

__all__ = ["Lines", "RecordingSource", "Source", "open_source"]
