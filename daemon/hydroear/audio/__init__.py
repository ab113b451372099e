"""Audio on its way in: blocks of samples, gaps where samples were lost, their level, and recordings."""

from hydroear.audio.block import CLIP_LEVEL, Block, Gap, Samples, channels_of, clipped_count, level_db
from hydroear.audio.recording import Recording, open_recording
from hydroear.audio.ring import Ring, Stretch

__all__ = [
    "CLIP_LEVEL",
    "Block",
    "Gap",
    "Recording",
    "Ring",
    "Samples",
    "Stretch",
    "channels_of",
    "clipped_count",
    "level_db",
    "open_recording",
]
