"""Metrics against scikit-learn and against cases counted by hand."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score, roc_curve

from hydroear.errors import UsageError
from hydroear_train.evaluate import (
    METRICS,
    Scored,
    by_fold_auc,
    interval,
    measure,
    operating_tpr,
    partial_auc,
    recording_auc,
    window_auc,
)


def table(score: ArrayLike, leak: list[int], **columns: list[str]) -> Scored:
    """Windows; each is a recording, and each recording an operating point, unless columns say otherwise."""
    n = len(leak)
    names = columns.get("file") or [f"{number:04d}.wav" for number in range(n)]
    return Scored(
        file=np.array(names),
        start_s=np.arange(n, dtype=np.float64),
        score=np.asarray(score, np.float64),
        leak=np.array(leak, bool),
        group=np.full(n, "site"),
        fold=np.array(columns.get("fold") or ["0"] * n),
        point=np.array(columns.get("point") or names),
    )


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_curves_are_those_of_scikit_learn_with_ties_and_without(decimals: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        leak = rng.random(200) < rng.uniform(0.1, 0.9)
        scored = table(np.round(rng.standard_normal(200) + 0.7 * leak, decimals), list(leak))
        fpr, tpr, _ = roc_curve(scored.leak, scored.score)
        assert measure(scored, window_auc) == pytest.approx(roc_auc_score(scored.leak, scored.score), abs=1e-12)
        assert measure(scored, partial_auc) == pytest.approx(
            roc_auc_score(scored.leak, scored.score, max_fpr=0.1), abs=1e-12
        )
        assert measure(scored, operating_tpr) == pytest.approx(np.interp(0.05, fpr, tpr), abs=1e-12)


def test_folds_and_recordings_are_averaged_as_they_say() -> None:
    # Fold a tells its leak apart, fold b does not, fold c holds no leak; b's scores lie a thousand higher.
    folds = table([1, 2, 3, 1002, 1001, 5], [0, 0, 1, 0, 1, 0], fold=list("aaabbc"))
    assert measure(folds, by_fold_auc) == 0.5
    # Of 4 x 2 pairs all are in order but 1002 over 3 and over 1001, and 5 over 3.
    assert measure(folds, window_auc) == 5 / 8
    # One loud window makes no leak of a recording: its median counts.
    clicks = table([0, 9, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], file=["n", "n", "n", "l", "l", "l"])
    assert measure(clicks, recording_auc) == 1.0
    assert measure(clicks, window_auc) == pytest.approx(6 / 9)


def test_more_windows_of_the_same_recordings_prove_no_more() -> None:
    rng = np.random.default_rng(3)
    leak = [0] * 10 + [1] * 10
    few = table(rng.standard_normal(20) + np.array(leak), leak)
    many = Scored(**{field.name: np.repeat(getattr(few, field.name), 40) for field in fields(Scored)})
    for metric in METRICS.values():
        assert interval(many, metric) == pytest.approx(interval(few, metric), abs=1e-9)
    low, high = interval(few, window_auc)
    assert low < measure(few, window_auc) < high
    assert high - low > 0.3


def test_recordings_at_one_operating_point_are_drawn_together() -> None:
    """Two points alone: every draw of both is perfect, every other holds one class, so nothing is left to vary."""
    scored = table([0, 1, 2, 3], [0, 0, 1, 1], point=["quiet", "quiet", "leaky", "leaky"])
    assert interval(scored, window_auc) == (1.0, 1.0)
    alone = table([0, 1, 2, 3], [0, 1, 0, 1], point=["p", "p", "p", "p"])
    assert interval(alone, window_auc) == (0.75, 0.75)


def test_large_tables_are_drawn_in_parts_that_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scored = table(rng.standard_normal(60), [0, 1] * 30)
    whole = interval(scored, by_fold_auc)
    monkeypatch.setattr("hydroear_train.evaluate._CELLS", 100)
    assert interval(scored, by_fold_auc) == whole


def test_seeds_are_averaged_window_by_window() -> None:
    one, other = table([1, 5], [0, 1]), table([3, 1], [0, 1])
    assert Scored.mean_of([one, other]).score.tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="other windows"):
        Scored.mean_of([one, table([1, 2], [0, 1], file=["a", "b"])])


def test_one_class_has_no_metric_and_no_score_may_be_infinite() -> None:
    for metric in METRICS.values():
        assert np.isnan(measure(table([1, 2], [0, 0]), metric))
        assert np.isnan(interval(table([1, 2], [1, 1]), metric)).all()
    with pytest.raises(UsageError, match=r"0001\.wav: the score of the window at 1 s is not finite"):
        table([0, np.inf], [0, 1])
