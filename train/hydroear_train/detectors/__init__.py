"""Back-ends: detectors that learn from normal vectors alone, behind one interface, and a bound that is taught leaks."""

from hydroear_train.detectors.detector import Detector
from hydroear_train.detectors.fusion import fuse, held_out_scores
from hydroear_train.detectors.make import DETECTORS, make_detector
from hydroear_train.detectors.supervised import SUPERVISED, supervised_scores

__all__ = [
    "DETECTORS",
    "SUPERVISED",
    "Detector",
    "fuse",
    "held_out_scores",
    "make_detector",
    "supervised_scores",
]
