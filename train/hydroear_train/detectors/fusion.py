"""Label-free fusion of scores."""

from __future__ import annotations

from collections.abc import Sequence

from hydroear_train.detectors.detector import Scores


def fuse(normal_scores: Sequence[Scores], scores: Sequence[Scores]) -> Scores:
    """One score from several."""
    raise NotImplementedError
