"""What an operator gets to hear and to see of an event: a clip, a picture and the reasons in plain words."""

from hydroear.evidence.reasons import Normal, Reasons
from hydroear.evidence.recorder import Hearing, Recorder
from hydroear.evidence.store import EvidenceStore
from hydroear.evidence.writer import Writer

__all__ = ["EvidenceStore", "Hearing", "Normal", "Reasons", "Recorder", "Writer"]
