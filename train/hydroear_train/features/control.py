"""Control features of windows of audio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec

Array = NDArray[np.float32]

FEATURES = ("line-spectrum", "log-mel", "mfcc", "hpss-h", "hpss-p")


def control_features(name: str, windows: Array, spec: FrontEndSpec) -> Array:
    """One vector of traditional features for each window."""
    raise NotImplementedError
