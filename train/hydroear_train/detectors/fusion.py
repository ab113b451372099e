"""Label-free fusion: several scores brought to one scale by what they are on normal vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from hydroear.errors import HydroearError
from hydroear_train.detectors.detector import Array, Detector, Scores, check_normal

_FOLDS = 5
_MAD_OF_GAUSSIAN = 0.6744897501960817
"""Median absolute deviation of a Gaussian over its standard deviation."""


def fuse(normal_scores: Sequence[Scores], scores: Sequence[Scores]) -> Scores:
    """One score from those of several detectors.

    Parameters
    ----------
    normal_scores
        Of each detector, its scores of normal vectors that it did not learn from, float64, shape (m,).
    scores
        Of each detector, its scores of the vectors to judge, shape (n,).

    Returns
    -------
    ndarray
        float64, shape (n,): the mean over the detectors of ``arsinh(z)``, where z is how many deviations a score lies
        above the normal scores' median.

    Raises
    ------
    HydroearError
        If a detector's normal scores are all the same.

    Notes
    -----
    Median and median absolute deviation bring scores of any scale and sign together (the Gaussian scaling of
    H.-P. Kriegel et al., "Interpreting and unifying outlier scores", Proc. SIAM SDM, 2011, with robust estimates: some
    of what passes for normal is not). The inverse hyperbolic sine is linear for normal scores and logarithmic far out,
    so that a squared distance, which grows without bound, does not outvote a score that cannot.
    """
    unified = []
    for normal, score in zip(normal_scores, scores, strict=True):
        median = np.median(normal)
        deviation = np.median(np.abs(normal - median)) / _MAD_OF_GAUSSIAN
        if not deviation > 0.0:
            raise HydroearError(
                "a detector gives at least half of the normal vectors the same score",
                where="fusion",
                fix="leave this detector out, or add recordings",
            )
        unified.append(np.arcsinh((score - median) / deviation))
    fused: Scores = np.mean(unified, axis=0)
    return fused


def held_out_scores(make: Callable[[], Detector], normal: Array, groups: Sequence[str] | None = None) -> Scores:
    """Score normal vectors by detectors that did not learn from their recordings.

    Parameters
    ----------
    make
        Gives a detector that has learned nothing yet.
    normal
        float32, shape (n, d), n at least 4.
    groups
        The recording that each comes from, held out as a whole: windows of one recording resemble each other more than
        those of the next. Stretches of consecutive rows take the place of recordings where there is but one.

    Returns
    -------
    ndarray
        float64, shape (n,).

    Raises
    ------
    HydroearError
        If there are too few vectors, one is not finite, or those of the other recordings are all the same.
    """
    from sklearn.model_selection import GroupKFold, KFold

    check_normal(normal, groups)
    if len(normal) < 4:
        raise HydroearError(
            f"{len(normal)} normal vectors are too few to hold some out",
            where="detector",
            expected="at least 4",
            fix="add recordings",
        )
    recordings = 1 if groups is None else len(set(groups))
    if recordings > 1:
        folds = GroupKFold(min(_FOLDS, recordings)).split(normal, groups=groups)
    else:
        folds = KFold(min(_FOLDS, len(normal) // 2)).split(normal)
    scores = np.empty(len(normal))
    for kept, held_out in folds:
        scores[held_out] = make().fit(normal[kept]).score(normal[held_out])
    return scores


class Fusion:
    """Several detectors as one.

    Parameters
    ----------
    makers
        Each gives a detector that has learned nothing yet.
    """

    def __init__(self, makers: Sequence[Callable[[], Detector]]) -> None:
        self._makers = makers

    def fit(self, normal: Array, groups: Sequence[str] | None = None) -> Self:
        """See :meth:`Detector.fit`."""
        self._normal_scores = [held_out_scores(make, normal, groups) for make in self._makers]
        self._detectors = [make().fit(normal) for make in self._makers]
        return self

    def score(self, vectors: Array) -> Scores:
        """See :meth:`Detector.score`."""
        return fuse(self._normal_scores, [detector.score(vectors) for detector in self._detectors])
