"""The part of an embedding in which leaks show, made white: what the autoencoder takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import svds

from hydroear.errors import HydroearError

Array = NDArray[np.float32]
Real = NDArray[np.float64]

_RIDGE = 0.01
_NOISE_WEIGHT = 100.0
"""A direction whose rounding noise is a tenth of its deviation counts as if it varied twice as much."""


def whitening(normal: Array, leak_shifts: Array, noise: Array, *, components: int) -> tuple[Array, Array]:
    """Directions that leaks move an embedding along, and normal windows do not, scaled to variance 1.

    The directions maximise the mean square of the shifts over the variance of normal windows, as in a linear
    discriminant analysis with the shifts as the scatter between classes. Principal components would keep what normal
    windows vary by most, which is what leaks have to be told from.

    Parameters
    ----------
    normal
        float32, shape (n, embedding): of normal windows.
    leak_shifts
        float32, shape (m, embedding): what a synthetic leak adds to the embedding of a window.
    noise
        float32, shape (k, embedding): what rounding to int8 adds to the embedding of a window.
    components
        How many directions to keep; fewer where the embeddings span fewer.

    Returns
    -------
    mean, projection
        Shapes (embedding,) and (embedding, components): ``(e - mean) @ projection`` is white over normal windows.

    Raises
    ------
    HydroearError
        If all embeddings are the same.
    """
    mean = normal.mean(axis=0, dtype=np.float64)
    covariance = _second_moment(normal - mean)
    variance = float(np.trace(covariance)) / len(mean)
    if not variance > 0.0:
        raise HydroearError(
            "the extractor says the same of every window",
            where="training",
            expected="embeddings that differ",
            fix="train for more steps, or look at the audio",
        )
    ridge = _RIDGE * variance * np.eye(len(mean))
    factor = np.linalg.cholesky(covariance + ridge + _NOISE_WEIGHT * _second_moment(noise))
    shifts = solve_triangular(factor, leak_shifts.T.astype(np.float64), lower=True)
    kept = solve_triangular(factor, _leading(shifts, components), lower=True, trans="T")
    kept /= np.linalg.norm(kept, axis=0)
    variances, rotation = np.linalg.eigh(kept.T @ covariance @ kept)
    order = np.argsort(variances)[::-1]
    order = order[variances[order] > 1e-6 * variances.max()]
    projection = kept @ (rotation[:, order] / np.sqrt(variances[order]))
    return mean.astype(np.float32), projection.astype(np.float32)


def _leading(matrix: Real, count: int) -> Real:
    """Left singular vectors of the largest singular values."""
    shorter = min(matrix.shape)
    if count >= shorter:
        return np.linalg.svd(matrix, full_matrices=False)[0][:, :count]
    vectors: Real = svds(matrix, k=count, v0=np.ones(shorter), return_singular_vectors="u")[0]
    return vectors


def _second_moment(vectors: NDArray[np.floating[Any]]) -> Real:
    vectors = vectors.astype(np.float64)
    moment: Real = vectors.T @ vectors / len(vectors)
    return moment
