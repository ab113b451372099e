"""Whether the labels of a corpus can be told without listening to the pipe.

A detector may learn any difference between the normal recordings and the leaks. Where the site, the day, the level or
the hum alone tells the label, a good result proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Flags = NDArray[np.bool_]
Factor = NDArray[np.float64] | NDArray[np.str_]
"""Of n recordings: numbers, shape (n,); several numbers each, shape (n, d); or names of conditions, shape (n,)."""

MIN_EACH = 5
"""Least normals and leaks for a verdict: of 4 and 4, a number parts one shuffle in 35 perfectly."""
MIN_AUC = 0.65
"""From here a factor tells the label well enough to matter."""
FAMILY_ERROR = 0.05
"""Probability that chance makes any factor tell-tale."""
SHUFFLES = 1000
_BATCH = 1_000_000
"""Labels shuffled at a time, which bounds the memory."""
_LEAST_TO_LEAVE_OUT = 2
_PRIOR_WEIGHT = 1.0


@dataclass(frozen=True)
class Scope:
    """Recordings that are compared with each other.

    Attributes
    ----------
    factors
        By name.
    leak
        bool, shape (n,): which recordings are leaks; the others are normal.
    """

    factors: Mapping[str, Factor]
    leak: Flags

    @property
    def pairs(self) -> int:
        """Pairs of a leak and a normal recording, of which the AUC is the part that is told right."""
        return int(np.count_nonzero(self.leak) * np.count_nonzero(~self.leak))

    @property
    def of_each(self) -> int:
        """Recordings of the rarer class."""
        return int(min(np.count_nonzero(self.leak), np.count_nonzero(~self.leak)))


@dataclass(frozen=True)
class Telltale:
    """How well one factor tells the label.

    Attributes
    ----------
    scope
        The recordings: ``all``, ``COLUMN=VALUE``, or ``within COLUMN``.
    factor
        Name of the factor.
    auc
        Area under the ROC curve, cross-validated, of telling leaks from normals by this factor alone.
    chance_auc
        What 95 % of shuffles of the labels stay below or reach.
    p
        Part of the shuffles that reach the AUC.
    tells
        Whether the AUC matters and chance does not explain it, however many factors and groups were tried.
    """

    scope: str
    factor: str
    auc: float
    chance_auc: float
    p: float
    tells: bool


def find_telltales(scope: Scope, *, seed: int = 0) -> list[Telltale]:
    """Judge every factor that varies, over a whole corpus.

    Returns
    -------
    list of Telltale
        The most telling first; empty where a class has fewer than :data:`MIN_EACH` recordings.
    """
    if scope.of_each < MIN_EACH:
        return []
    aucs = _factor_aucs(scope, np.random.default_rng(seed))
    return _verdicts("all", aucs, _holm(_p_values(aucs)))


def find_telltales_within(column: str, groups: Mapping[str, Scope], *, seed: int = 0) -> list[Telltale]:
    """Judge every factor within the groups of a corpus, together and each.

    Recordings are compared, and labels shuffled, within each group alone; what was found is then put together, weighted
    by pairs. So several small groups may prove together what none of them could, and what differs between the groups
    plays no part. Which groups a factor tells in is only asked of factors that pass for all groups at once: otherwise
    one group in twenty would be flagged by chance.

    Parameters
    ----------
    column
        What the groups are the values of.

    Returns
    -------
    list of Telltale
        Within all first, then by group, the most telling first; empty where there are too few recordings.
    """
    usable = {name: scope for name, scope in groups.items() if scope.of_each >= _LEAST_TO_LEAVE_OUT}
    if sum(scope.of_each for scope in usable.values()) < MIN_EACH:
        return []
    rng = np.random.default_rng(seed)
    by_group = {name: _factor_aucs(scope, rng) for name, scope in usable.items()}
    together: dict[str, NDArray[np.float64]] = {}
    for factor in dict.fromkeys(factor for aucs in by_group.values() for factor in aucs):
        having = [name for name, aucs in by_group.items() if factor in aucs]
        every = np.array([by_group[name][factor] for name in having])
        together[factor] = np.average(every, axis=0, weights=[usable[name].pairs for name in having])
    p_values = {
        factor: {name: _p_value(aucs[factor]) for name, aucs in by_group.items() if factor in aucs}
        for factor in together
    }
    p_together = _p_values(together)
    # A factor counts by the better of two tests, within all groups together or within the most telling one.
    beyond_chance = _holm(
        {factor: 2.0 * min(p_together[factor], len(each) * min(each.values())) for factor, each in p_values.items()}
    )
    flagged = {factor: _holm(p_values[factor]) for factor in beyond_chance}
    within = {factor for factor in beyond_chance if p_together[factor] <= FAMILY_ERROR}
    found = _verdicts(f"within {column}", together, within)
    for name, aucs in by_group.items():
        found += _verdicts(f"{column}={name}", aucs, {factor for factor, names in flagged.items() if name in names})
    return found


def columns_as_factors(rows: Sequence[Mapping[str, str]], leave_out: Sequence[str]) -> dict[str, Factor]:
    """The columns of a manifest that describe conditions.

    A column is one when every row fills it and its values repeat: twice each on average. A column that only leaks
    fill, such as their SNR, describes the label; one without repetition, such as a hash, names the recording. Dates
    also count as numbers, because labels that were recorded one after the other are told by their order.
    """
    factors: dict[str, Factor] = {}
    for column in rows[0]:
        values = np.array([row[column] for row in rows])
        if column in leave_out or not all(values):
            continue
        if len(np.unique(values)) * 2 <= len(values):
            factors[column] = values
        if (days := _days(values)) is not None:
            factors[f"{column} (order)"] = days
    return factors


def auc_of_number(values: NDArray[np.float64], leak: Flags) -> NDArray[np.float64]:
    """AUC of a number, in the better of its two directions.

    The direction is all there is to fit; the shuffles of :func:`find_telltales` choose theirs as well, which pays for
    the choice.

    Parameters
    ----------
    values
        float64, shape (n,).
    leak
        bool, shape (k, n): k ways to label the recordings, with as many leaks each.

    Returns
    -------
    array
        float64, shape (k,).
    """
    rising = _auc(rankdata(values), leak)
    return np.maximum(rising, 1.0 - rising)


def auc_of_numbers(values: NDArray[np.float64], leak: Flags) -> NDArray[np.float64]:
    """AUC of telling the label by a linear combination of several numbers, each recording left out in turn.

    Ridge regression of the label on the standardised numbers, whose leave-one-out predictions follow from the hat
    matrix (T. Hastie, R. Tibshirani, J. Friedman, *The Elements of Statistical Learning*, 2nd ed. 2009, 7.10.1). The
    penalty is their number.

    Parameters
    ----------
    values
        float64, shape (n, d).
    leak
        bool, shape (k, n): k ways to label the recordings, with as many leaks each.

    Returns
    -------
    array
        float64, shape (k,).
    """
    n, d = values.shape
    standard = (values - values.mean(0)) / np.maximum(values.std(0), 1e-12)
    weights = np.linalg.solve(standard.T @ standard + d * np.eye(d), standard.T)
    leverage = np.einsum("nd,dn->n", standard, weights) + 1.0 / n
    centred = leak - leak.mean()
    left_out = (centred @ weights.T @ standard.T - leverage * centred) / (1.0 - leverage)
    return _auc(rankdata(left_out, axis=1), leak)


def auc_of_condition(leaks: NDArray[np.int64], recordings: NDArray[np.int64]) -> float:
    """AUC of telling the label by the part of leaks among the other recordings of the same condition.

    Leave-pair-out cross-validation: of each pair of a leak and a normal recording, both are left out when the parts
    are counted. It is almost unbiased, where folds are not (A. Airola et al., "An experimental comparison of
    cross-validation techniques for estimating the area under the ROC curve", Computational Statistics & Data Analysis
    55(4), 2011). A part is drawn to the mean of all with the weight of one recording.

    Parameters
    ----------
    leaks, recordings
        int64, shape (conditions,): recordings with a leak, and all, of each condition.

    Returns
    -------
    float
        Below 0.5 where conditions hold both labels in equal parts: whatever is left out, the rest says the opposite.
    """
    normals = recordings - leaks
    prior = _PRIOR_WEIGHT * leaks.sum() / recordings.sum()
    others = np.maximum(recordings - 1, 0) + _PRIOR_WEIGHT
    of_leak, of_normal = (leaks - 1 + prior) / others, (leaks + prior) / others
    order = np.argsort(of_normal)
    below = np.concatenate([[0], np.cumsum(normals[order])])
    won = below[np.searchsorted(of_normal[order], of_leak, "left")]
    won_or_tied = below[np.searchsorted(of_normal[order], of_leak, "right")]
    # Pairs of one condition were counted as if of two; they always tie.
    within = np.where(of_leak > of_normal, 1.0, np.where(of_leak == of_normal, 0.5, 0.0))
    pairs = leaks @ (0.5 * (won + won_or_tied)) + (leaks * normals) @ (0.5 - within)
    return float(pairs / (leaks.sum() * normals.sum()))


def _factor_aucs(scope: Scope, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    return {factor: _aucs(values, scope.leak, rng) for factor, values in _varying(scope.factors).items()}


def _verdicts(scope: str, aucs: Mapping[str, NDArray[np.float64]], beyond_chance: Set[str]) -> list[Telltale]:
    found = [
        Telltale(
            scope=scope,
            factor=factor,
            auc=float(every[0]),
            chance_auc=float(np.quantile(every[1:], 0.95)),
            p=_p_value(every),
            tells=bool(every[0] >= MIN_AUC) and factor in beyond_chance,
        )
        for factor, every in aucs.items()
    ]
    return sorted(found, key=lambda one: (-one.auc, one.p))


def _p_values(aucs: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    return {factor: _p_value(every) for factor, every in aucs.items()}


def _p_value(aucs: NDArray[np.float64]) -> float:
    """Part of the labellings, the true one among them, that reach its AUC."""
    return float(np.mean(aucs >= aucs[0] - 1e-9))


def _aucs(values: Factor, leak: Flags, rng: np.random.Generator) -> NDArray[np.float64]:
    """The AUC, and those of the shuffles; float64, shape (1 + SHUFFLES,)."""
    if values.dtype.kind == "f":
        numbers = values.astype(np.float64)
        auc_of = auc_of_number if numbers.ndim == 1 else auc_of_numbers
        batch = max(1, _BATCH // len(leak))
        sizes = [min(batch, SHUFFLES - first) for first in range(0, SHUFFLES, batch)]
        shuffles = (rng.permuted(np.tile(leak, (size, 1)), axis=1) for size in sizes)
        return np.concatenate([auc_of(numbers, labels) for labels in chain([leak[None]], shuffles)])
    _, codes, recordings = np.unique(values, return_inverse=True, return_counts=True)
    leaks = np.bincount(codes[leak], minlength=len(recordings))
    draws = rng.multivariate_hypergeometric(recordings, np.count_nonzero(leak), size=SHUFFLES)
    return np.array([auc_of_condition(draw, recordings) for draw in (leaks, *draws)])


def _auc(ranks: NDArray[np.float64], leak: Flags) -> NDArray[np.float64]:
    """Of the Mann-Whitney statistic: the part of pairs of a leak and a normal in which the leak ranks higher."""
    leaks = np.count_nonzero(leak[0])
    rank_sums = np.where(leak, ranks, 0.0).sum(axis=1)
    return np.asarray((rank_sums - leaks * (leaks + 1) / 2) / (leaks * (leak.shape[1] - leaks)))


def _holm(p_values: Mapping[str, float]) -> set[str]:
    """What chance does not explain (S. Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    beyond: set[str] = set()
    for name in sorted(p_values, key=lambda name: p_values[name]):
        if p_values[name] * (len(p_values) - len(beyond)) > FAMILY_ERROR:
            break
        beyond.add(name)
    return beyond


def _varying(factors: Mapping[str, Factor]) -> dict[str, Factor]:
    """Factors with more than one value; of conditions that part the recordings alike, the first."""
    parts: set[bytes] = set()
    varying: dict[str, Factor] = {}
    for name, values in factors.items():
        _, first, codes = np.unique(values, axis=0, return_index=True, return_inverse=True)
        if len(first) < 2:
            continue
        if values.dtype.kind != "f":
            part = first[codes].tobytes()
            if part in parts:
                continue
            parts.add(part)
        varying[name] = values
    return varying


def _days(texts: NDArray[np.str_]) -> NDArray[np.float64] | None:
    """Days of ISO dates; None where any is none."""
    if not all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) for text in texts):
        return None
    try:
        return np.array([date.fromisoformat(text).toordinal() for text in texts], np.float64)
    except ValueError:
        return None
