"""Embeddings made white: what the autoencoder takes, so that every component counts the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import HydroearError

Array = NDArray[np.float32]


def whitening(embeddings: Array, *, components: int) -> tuple[Array, Array]:
    """Principal components of embeddings, scaled to variance 1.

    Parameters
    ----------
    embeddings
        float32, shape (n, embedding).
    components
        How many to keep; fewer where the embeddings span fewer.

    Returns
    -------
    mean, projection
        Shapes (embedding,) and (embedding, components): ``(e - mean) @ projection`` is white.

    Raises
    ------
    HydroearError
        If all embeddings are the same.
    """
    mean = embeddings.mean(axis=0, dtype=np.float64)
    _, singular, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
    deviations = singular / np.sqrt(len(embeddings) - 1)
    if not singular[0] > 0.0:
        raise HydroearError(
            "the extractor says the same of every window",
            where="training",
            expected="embeddings that differ",
            fix="train for more steps, or look at the audio",
        )
    kept = min(components, int(np.count_nonzero(deviations > 1e-3 * deviations[0])))
    return mean.astype(np.float32), (axes[:kept].T / deviations[:kept]).astype(np.float32)
