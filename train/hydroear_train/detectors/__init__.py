"""Back-ends: detectors that learn from normal vectors alone, behind one interface."""

from hydroear_train.detectors.detector import Detector
from hydroear_train.detectors.fusion import fuse
from hydroear_train.detectors.make import DETECTORS, make_detector

__all__ = ["DETECTORS", "Detector", "fuse", "make_detector"]
