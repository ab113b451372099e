"""Whether a sensor can be believed: from what its samples are like to a state."""

from hydroear.health.ailment import Ailment, Cause, examine
from hydroear.health.liveness import Condition, Liveness

__all__ = ["Ailment", "Cause", "Condition", "Liveness", "examine"]
