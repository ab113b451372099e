"""Back-ends: detectors that learn from normal vectors alone, behind one interface."""

from hydroear_train.detectors.detector import Detector
from hydroear_train.detectors.fusion import fuse, held_out_scores
from hydroear_train.detectors.make import DETECTORS, make_detector

__all__ = ["DETECTORS", "Detector", "fuse", "held_out_scores", "make_detector"]
