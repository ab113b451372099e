"""Audio on its way in: blocks of samples, gaps where samples were lost, their level, and recordings."""

from hydroear.audio.block import CLIP_LEVEL, Block, Gap, Samples, channels_of, clipped_count, level_db
from hydroear.audio.recording import Recording, open_recording
from hydroear.audio.ring import Ring, Stretch
from hydroear.audio.scale import Scale, level_of, unit_of

__all__ = [
    "CLIP_LEVEL",
    "Block",
    "Gap",
    "Recording",
    "Ring",
    "Samples",
    "Scale",
    "Stretch",
    "channels_of",
    "clipped_count",
    "level_db",
    "level_of",
    "open_recording",
    "unit_of",
]
