"""The export gate: a bundle leaves only if its int8 models say what the float models said, on every runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hydroear.errors import BundleError
from hydroear.model import Bundle
from hydroear_train.evaluate import MAX_FPR, OPERATING_FPR, Roc
from hydroear_train.golden import window_errors

Real = NDArray[np.float64]

MAX_AUC_CHANGE = 0.005
"""Largest difference between the areas under the curve, int8 and float."""

MAX_PAUC_CHANGE = 0.01
"""Largest difference between the partial areas up to a false-positive rate of 0.1."""

MIN_SPEARMAN = 0.995
"""Smallest rank correlation of errors, of int8 with float and of one runtime with another."""


@dataclass(frozen=True, eq=False)
class Validation:
    """Held-out windows, and what the models said of them before they were quantised.

    Attributes
    ----------
    features
        float32, shape (n, window_frames, n_mels), as :class:`hydroear.dsp.Window` holds them.
    band_means
        float32, shape (n, n_mels): the normal mean of each band at the site of each window.
    leak
        bool, shape (n,): which windows hold a synthetic leak.
    float_errors
        float64, shape (n,): reconstruction errors of the float models.
    """

    features: NDArray[np.float32]
    band_means: NDArray[np.float32]
    leak: NDArray[np.bool_]
    float_errors: Real


@dataclass(frozen=True)
class RuntimeFidelity:
    """What int8 does on one runtime.

    Attributes
    ----------
    auc, pauc
        Area under the curve, and McClish's partial area up to a false-positive rate of 0.1.
    spearman
        Rank correlation of the errors with those of the float models.
    """

    auc: float
    pauc: float
    spearman: float


@dataclass(frozen=True)
class Fidelity:
    """How far the int8 models, on every runtime, are from the float ones.

    Attributes
    ----------
    windows
        How many windows were compared.
    auc_float, pauc_float
        Areas of the float models.
    runtimes
        Each runtime against float, by its name.
    between_spearman
        The lowest rank correlation between two runtimes; 1 where there is one alone.
    differing_decisions
        Windows that are over the threshold on one runtime, but not on another. The threshold is where 5 % of the normal
        windows are over it on the first of them.
    """

    windows: int
    auc_float: float
    pauc_float: float
    runtimes: dict[str, RuntimeFidelity]
    between_spearman: float
    differing_decisions: int

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values, for the bundle's provenance."""
        return asdict(self)


def gate(bundle: Bundle, validation: Validation) -> Fidelity:
    """Compare a bundle with the float models it was made from, on every runtime that is installed.

    Returns
    -------
    Fidelity
        The figures, all within their limits.

    Raises
    ------
    BundleError
        If a figure is beyond its limit, or the bundle does not run.
    """
    errors = window_errors(bundle, validation.features, validation.band_means)
    fidelity = compare(validation.float_errors, errors, validation.leak)
    check(fidelity, name=bundle.name)
    return fidelity


def compare(float_errors: Real, int8_errors: Mapping[str, Real], leak: NDArray[np.bool_]) -> Fidelity:
    """Figures of errors, each shape (n,), of the same windows.

    Parameters
    ----------
    float_errors
        Errors of the float models.
    int8_errors
        Errors of the int8 models, by the runtime's name; at least one.
    leak
        bool, shape (n,): which windows hold a leak; some do and some do not.

    Raises
    ------
    BundleError
        If an error is not finite.
    """
    for name, errors in {"float": float_errors, **int8_errors}.items():
        wrong = np.count_nonzero(~np.isfinite(errors))
        if wrong:
            raise BundleError(f"{wrong} of {len(errors)} errors are not finite", where=f"{name} models")
    auc_float, pauc_float = _areas(float_errors, leak)
    first = next(iter(int8_errors.values()))
    threshold = np.quantile(first[~leak], 1.0 - OPERATING_FPR)
    decisions = np.stack([errors > threshold for errors in int8_errors.values()])
    return Fidelity(
        windows=len(leak),
        auc_float=auc_float,
        pauc_float=pauc_float,
        runtimes={
            name: RuntimeFidelity(*_areas(errors, leak), spearman=_spearman(errors, float_errors))
            for name, errors in int8_errors.items()
        },
        between_spearman=min((_spearman(*pair) for pair in combinations(int8_errors.values(), 2)), default=1.0),
        differing_decisions=int(np.count_nonzero(np.any(decisions != decisions[0], axis=0))),
    )


def check(fidelity: Fidelity, *, name: str) -> None:
    """Refuse a bundle that is not faithful.

    Parameters
    ----------
    fidelity
        The figures.
    name
        What to call the bundle in the error.

    Raises
    ------
    BundleError
        If a figure is beyond its limit; names every such figure and its limit.
    """
    failures = []
    for runtime, int8 in fidelity.runtimes.items():
        for figure, change, limit in (
            ("AUC", int8.auc - fidelity.auc_float, MAX_AUC_CHANGE),
            ("pAUC", int8.pauc - fidelity.pauc_float, MAX_PAUC_CHANGE),
        ):
            if not abs(change) <= limit:
                failures.append(f"{figure} on {runtime} is {change:+.4f} from float (limit {limit:g})")
        if not int8.spearman >= MIN_SPEARMAN:
            failures.append(f"Spearman of {runtime} with float is {int8.spearman:.4f} (limit {MIN_SPEARMAN:g})")
    if not fidelity.between_spearman >= MIN_SPEARMAN:
        failures.append(f"Spearman between runtimes is {fidelity.between_spearman:.4f} (limit {MIN_SPEARMAN:g})")
    if fidelity.differing_decisions:
        failures.append(
            f"runtimes decide differently on {fidelity.differing_decisions} of {fidelity.windows} windows (limit 0)"
        )
    if failures:
        raise BundleError(
            f"int8 is not faithful: {', '.join(failures)}",
            where=name,
            fix="train for more steps, embed at an earlier layer or narrow the bottleneck",
        )


def _areas(errors: Real, leak: NDArray[np.bool_]) -> tuple[float, float]:
    roc = Roc.of(errors, leak)
    return float(roc.area()[0]), float(roc.partial_area(MAX_FPR)[0])


def _spearman(first: Real, second: Real) -> float:
    """Rank correlation; 0 where one of them says the same of every window."""
    ranks = [rankdata(errors) - 0.5 * (len(errors) + 1) for errors in (first, second)]
    scale = np.sqrt(np.prod([np.sum(np.square(r)) for r in ranks]))
    return float(np.dot(*ranks) / scale) if scale > 0.0 else 0.0
