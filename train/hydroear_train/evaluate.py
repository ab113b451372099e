"""Metrics of anomaly scores: how well they tell leaks from normal, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hydroear.errors import UsageError

Real = NDArray[np.float64]
Names = NDArray[np.str_]

MAX_FPR = 0.1
"""Where the partial AUC ends."""

OPERATING_FPR = 0.05
"""At which the true-positive rate is stated."""

RESAMPLES = 1000
_CELLS = 2_000_000
_SEED = 0


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of windows, as columns of one length n.

    Attributes
    ----------
    file
        The recording of each window.
    start_s
        Where in it the window begins.
    score
        Higher is more anomalous; finite.
    leak
        Whether the recording is labelled a leak.
    group, fold
        Which model scored it: the site or session, and the part of it that was held out.
    point
        The operating point: recordings at one point are no independent evidence.
    """

    file: Names
    start_s: Real
    score: Real
    leak: NDArray[np.bool_]
    group: Names
    fold: Names
    point: Names

    def __post_init__(self) -> None:
        if len({len(getattr(self, field.name)) for field in fields(self)}) != 1:
            raise ValueError("columns of different lengths")
        wrong = np.flatnonzero(~np.isfinite(self.score))
        if len(wrong):
            raise UsageError(
                f"the score of the window at {self.start_s[wrong[0]]:g} s is not finite",
                where=self.file[wrong[0]],
                expected="a number",
            )

    def __len__(self) -> int:
        return len(self.score)

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """The windows for which `mask`, shape (n,), holds."""
        return replace(self, **{field.name: getattr(self, field.name)[mask] for field in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Scored]) -> Self:
        """Tables one below the other."""
        return cls(**{field.name: np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)})

    @classmethod
    def mean_of(cls, runs: Sequence[Scored]) -> Self:
        """The same windows scored several times, in the same order, with the mean of their scores."""
        first = runs[0]
        for run in runs[1:]:
            if not (np.array_equal(run.file, first.file) and np.array_equal(run.start_s, first.start_s)):
                raise ValueError("runs that scored other windows")
        columns = {field.name: getattr(first, field.name) for field in fields(cls)}
        return cls(**columns | {"score": np.mean([run.score for run in runs], axis=0)})

    def recordings(self) -> Self:
        """One line a recording, sorted by name: the median score of its windows."""
        names, first, which = np.unique(self.file, return_index=True, return_inverse=True)
        medians = np.array([np.median(self.score[which == number]) for number in range(len(names))])
        columns = {field.name: getattr(self, field.name)[first] for field in fields(self)}
        return replace(self, **columns | {"score": medians})


@dataclass(frozen=True, eq=False)
class Roc:
    """Receiver operating curves, one a row of the weights they were made with.

    Attributes
    ----------
    fpr, tpr
        float64, shape (rows, k): rising from 0 to 1. NaN in rows whose weights leave only one class.
    """

    fpr: Real
    tpr: Real

    @classmethod
    def of(cls, score: Real, leak: NDArray[np.bool_], weights: Real | None = None) -> Self:
        """Curves of scores, shape (n,), under non-negative weights of the windows, shape (rows, n); once, all 1."""
        weights = np.ones((1, len(score))) if weights is None else weights
        order = np.argsort(-score, kind="stable")
        last_of_tie = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))

        def rate(one_class: NDArray[np.bool_]) -> Real:
            counts = np.cumsum(np.where(one_class, weights, 0.0)[:, order], axis=1)
            total = counts[:, -1:]
            rates = np.divide(
                counts[:, last_of_tie], total, out=np.full(counts[:, last_of_tie].shape, np.nan), where=total > 0
            )
            return np.hstack([np.zeros_like(total), rates])

        fpr, tpr = rate(~leak), rate(leak)
        lacking = np.isnan(fpr[:, -1]) | np.isnan(tpr[:, -1])
        fpr[lacking] = tpr[lacking] = np.nan
        return cls(fpr, tpr)

    def area(self) -> Real:
        """Area under each curve, shape (rows,)."""
        return self._areas()[:, -1]

    def partial_area(self, max_fpr: float) -> Real:
        """Area up to a false-positive rate, rescaled to .5 for chance and 1 for perfection, shape (rows,).

        The rescaling is that of D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9,
        1989, pp. 190-195.
        """
        left, end = self._at(max_fpr)
        rows = np.arange(len(self.fpr))
        last = 0.5 * (self.tpr[rows, left] + end) * (max_fpr - self.fpr[rows, left])
        chance = 0.5 * max_fpr**2
        rescaled: Real = 0.5 * (1.0 + (self._areas()[rows, left] + last - chance) / (max_fpr - chance))
        return rescaled

    def tpr_at(self, fpr: float) -> Real:
        """True-positive rate at a false-positive rate below 1, interpolated linearly, shape (rows,)."""
        return self._at(fpr)[1]

    def _areas(self) -> Real:
        """Area under each curve up to each of its points, shape (rows, k)."""
        steps = np.diff(self.fpr) * 0.5 * (self.tpr[:, 1:] + self.tpr[:, :-1])
        return np.hstack([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)])

    def _at(self, fpr: float) -> tuple[NDArray[np.intp], Real]:
        """The last point of each curve not beyond a false-positive rate, and the true-positive rate there."""
        lacking = np.isnan(self.fpr[:, 0])
        left = np.where(lacking, 0, np.sum(self.fpr <= fpr, axis=1) - 1)
        rows = np.arange(len(self.fpr))
        x, y = self.fpr[rows, left], self.tpr[rows, left]
        right = np.minimum(left + 1, self.fpr.shape[1] - 1)
        slope = np.divide(
            self.tpr[rows, right] - y,
            self.fpr[rows, right] - x,
            out=np.zeros(len(rows)),
            where=self.fpr[rows, right] > x,
        )
        return left, np.where(lacking, np.nan, y + slope * (fpr - x))


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each operating point is drawn.

    Attributes
    ----------
    points
        Names of the points.
    counts
        float64, shape (rows, points): a row a draw.
    """

    points: Names
    counts: Real

    @classmethod
    def once(cls, scored: Scored) -> Self:
        """Every point, once: the data as they are."""
        points = np.unique(scored.point)
        return cls(points, np.ones((1, len(points))))

    @classmethod
    def bootstrap(cls, scored: Scored, draws: int) -> Self:
        """As many points as there are, drawn with replacement, `draws` times; the same ones every time.

        The points are taken in the order in which the sorted recordings first name them.
        """
        recordings = scored.recordings().point
        points = recordings[np.sort(np.unique(recordings, return_index=True)[1])]
        rng = np.random.default_rng(_SEED)
        counts = [np.bincount(rng.choice(len(points), len(points)), minlength=len(points)) for _ in range(draws)]
        return cls(points, np.array(counts, dtype=np.float64))

    def weights(self, scored: Scored) -> Real:
        """Weight of each line of a table, shape (rows, n)."""
        order = np.argsort(self.points)
        weights: Real = self.counts[:, order[np.searchsorted(self.points, scored.point, sorter=order)]]
        return weights

    def parts(self, lines: int) -> list[Resamples]:
        """The same draws, few enough at a time that the weights of so many lines fit in memory."""
        pieces = np.array_split(self.counts, min(len(self.counts), 1 + self.counts.shape[0] * lines // _CELLS))
        return [Resamples(self.points, piece) for piece in pieces]


Metric = Callable[[Scored, Resamples], Real]
"""Gives a number, shape (rows,), for every row of the draws; NaN where a draw holds only one class."""


def window_auc(scored: Scored, draws: Resamples) -> Real:
    """Area under the curve of all windows, all folds together: one threshold, so their scores must mean the same."""
    return _windows(scored, draws).area()


def by_fold_auc(scored: Scored, draws: Resamples) -> Real:
    """Mean over folds of the area under the curve of each; folds with one class alone are left out."""
    areas = []
    for fold in np.unique(scored.fold):
        part = scored.where(scored.fold == fold)
        areas.append(_windows(part, draws).area())
    stacked = np.stack(areas)
    known = np.sum(np.isfinite(stacked), axis=0)
    return np.divide(np.nansum(stacked, axis=0), known, out=np.full(len(known), np.nan), where=known > 0)


def partial_auc(scored: Scored, draws: Resamples) -> Real:
    """Partial area up to a false-positive rate of :data:`MAX_FPR`, McClish's."""
    return _windows(scored, draws).partial_area(MAX_FPR)


def operating_tpr(scored: Scored, draws: Resamples) -> Real:
    """True-positive rate at the false-positive rate :data:`OPERATING_FPR`."""
    return _windows(scored, draws).tpr_at(OPERATING_FPR)


def recording_auc(scored: Scored, draws: Resamples) -> Real:
    """Area under the curve of recordings, each with the median score of its windows."""
    return _windows(scored.recordings(), draws).area()


METRICS: dict[str, Metric] = {
    "window_auc": window_auc,
    "by_fold_auc": by_fold_auc,
    "partial_auc": partial_auc,
    "tpr_at_5pct_fpr": operating_tpr,
    "recording_auc": recording_auc,
}

HEADINGS = {
    "window_auc": "window AUC",
    "by_fold_auc": "by-fold AUC",
    "partial_auc": "pAUC(0.1)",
    "tpr_at_5pct_fpr": "TPR at 5 % FPR",
    "recording_auc": "recording AUC",
}
"""What tables call the metrics."""


def measure(scored: Scored, metric: Metric) -> float:
    """The metric of a table; NaN where it holds only one class."""
    return float(metric(scored, Resamples.once(scored))[0])


def interval(scored: Scored, metric: Metric, *, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Bootstrap interval, 95 %: percentiles over draws of operating points.

    Windows of one recording, and recordings at one operating point, resemble each other; to draw windows would make
    the interval too narrow (B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8
    and 13). Draws that hold one class alone are left out.

    Returns
    -------
    low, high
        NaN where no draw holds both classes.
    """
    draws = Resamples.bootstrap(scored, resamples)
    values = np.concatenate([metric(scored, part) for part in draws.parts(len(scored))])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _windows(scored: Scored, draws: Resamples) -> Roc:
    return Roc.of(scored.score, scored.leak, draws.weights(scored))
