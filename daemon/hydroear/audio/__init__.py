"""Audio on its way in: blocks of samples, gaps where samples were lost, their level, and recordings."""

from hydroear.audio.block import CLIP_LEVEL, Block, Gap, Samples, clipped_count, level_db

__all__ = ["CLIP_LEVEL", "Block", "Gap", "Samples", "clipped_count", "level_db"]
