"""Thresholds and tail probabilities from normal scores alone."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Method(StrEnum):
    """How the tail of the normal scores is described."""

    QUANTILE = "quantile"
    GAMMA = "gamma"
    POT = "pot"
    CONFORMAL = "conformal"


def threshold(scores: Array, *, rate: float, method: Method) -> float:
    """The score that normal windows exceed at the wanted rate."""
    raise NotImplementedError


def tail_probability(scores: Array, value: ArrayLike, *, method: Method) -> Array:
    """How probable a normal score as high as `value` or higher is."""
    raise NotImplementedError
