"""Harmonic-percussive separation by median filtering."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

Array = NDArray[np.float32]

KERNEL = 17
"""Length of both median filters, in frames and in bins."""

_TINY = np.finfo(np.float32).tiny


def harmonic_percussive(power: Array) -> tuple[Array, Array]:
    """Split power spectrograms into what lasts and what is short.

    Parameters
    ----------
    power
        float32, shape (n, frames, bins).

    Returns
    -------
    harmonic, percussive
        Power spectrograms, shape (n, frames, bins).

    Notes
    -----
    A median over time keeps what lasts, a median over frequency what is broad; soft masks of exponent 2 share each bin
    of the magnitude between them (D. FitzGerald, "Harmonic/percussive separation using median filtering", Proc. DAFx,
    2010, which also uses filters of length 17).
    """
    magnitude = np.sqrt(power)
    lasting = np.square(median_filter(magnitude, size=(1, KERNEL, 1), mode="reflect"))
    broad = np.square(median_filter(magnitude, size=(1, 1, KERNEL), mode="reflect"))
    total = np.maximum(lasting + broad, _TINY)
    return power * np.square(lasting / total), power * np.square(broad / total)
