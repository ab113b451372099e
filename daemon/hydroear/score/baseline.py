"""Whether what was heard can pass for a healthy site: a unit that learns a leak will never find it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hydroear.dsp import Window
from hydroear.errors import CalibrationError
from hydroear.score.scorer import Scorer
from hydroear.score.site import SiteCalibration, expected_deviations

STEP_DB = 6.0
"""Largest lasting change of the level. A choice: consumption changes a main's hiss too, and by more than simulated."""

STEP_DEVIATIONS = 1.0
"""Largest lasting change of the fused score, in deviations of what is normal at the site. A choice likewise."""

LEAK_DEVIATIONS = 2.0
"""How far over the bundle's normals the median error may be, in their deviations. See :func:`sounds_like_a_leak`."""

_SPLITS = (1 / 3, 1 / 2, 2 / 3)
_LOW_PERCENTILE = 20.0
_LEAST_WINDOWS = 60
_JUDGED_WINDOWS = 256


def judge(windows: Sequence[Window], site: SiteCalibration, scorer: Scorer, *, accept_anyway: bool) -> tuple[str, ...]:
    """Hold a site that was just learned against what a healthy one is.

    Parameters
    ----------
    windows
        Those it was learned from, in order, one a window hop or fewer; up to 256 of them, spread evenly, are judged.
    site
        What was learned.
    scorer
        The bundle at work.
    accept_anyway
        Give the objections instead of raising them.

    Returns
    -------
    tuple of str
        The objections that were overridden.

    Raises
    ------
    CalibrationError
        With every objection, unless overridden.
    """
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _JUDGED_WINDOWS)).round().astype(int))
    judged = [windows[number] for number in chosen]
    fused = np.array([site.parts(scorer.score(window.features, site.band_mean)).fused for window in judged])
    levels_db = [np.nan if window.level_db is None else window.level_db for window in judged]
    objections = tuple(
        objection
        for objection in (
            unsteady(levels_db, (fused - site.fused.mean) / site.fused.deviation),
            sounds_like_a_leak(judged, scorer),
        )
        if objection
    )
    if objections and not accept_anyway:
        raise CalibrationError(
            " and ".join(objections),
            where="calibration",
            expected="a steady, healthy pipe",
            fix="look for a leak and calibrate again, or insist with --accept-anyway",
        )
    return objections


def unsteady(levels_db: ArrayLike, fused_deviations: ArrayLike) -> str:
    """What changed for good while a site was learned; empty if nothing did.

    The 20th percentile before and after a third, a half and two thirds of the time are compared: draws of water and
    lorries come and go and hardly move it, a leak that begins does. Fewer than 60 windows tell nothing.

    Parameters
    ----------
    levels_db, fused_deviations
        Level, and fused score in deviations of the site, of each window, shape (n,), in order.

    Notes
    -----
    Measured with the shipped bundle on five minutes of each of 24 simulated sites that it never heard: refused were
    none by night, 1 by day, and with a leak that begins halfway at +10, 0 and -10 dB over the background 23, 3 and 1.
    The simulator varies only what is heard beside the main; a real main's own hiss follows consumption, which is why
    the limit of the level lies far above the 1.2 dB that every site kept to by night.
    """
    for values, limit, unit, what in (
        (levels_db, STEP_DB, "dB", "level"),
        (fused_deviations, STEP_DEVIATIONS, "deviations", "score"),
    ):
        steps = list(_steps(np.asarray(values, dtype=np.float64)))
        if not steps:
            return ""
        step, share = max(steps, key=lambda pair: abs(pair[0]))
        if abs(step) > limit:
            return (
                f"the site is unsteady: its {what} {'rose' if step > 0 else 'fell'} by {abs(step):.1f} {unit} after "
                f"{100 * share:.0f} % of the time (at most {limit:g})"
            )
    return ""


def _steps(values: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """How much the low percentile rises at each split, and where that is."""
    if len(values) < _LEAST_WINDOWS:
        return
    for share in _SPLITS:
        before, after = np.split(values, [round(share * len(values))])
        step = float(np.percentile(after, _LOW_PERCENTILE) - np.percentile(before, _LOW_PERCENTILE))
        yield step, share


def sounds_like_a_leak(windows: Sequence[Window], scorer: Scorer) -> str:
    """Why a site is no healthy one by the bundle's own normals; empty if it may be.

    The median logarithm of the reconstruction error, as of a unit that knows no site, is held against that of the
    bundle's normals. A pipe nobody heard before is strange in itself, so that this finds few leaks: it refuses what no
    healthy pipe was like. Where the bundle was trained on few sites, their deviation is taken for no less than what
    operating conditions alone make.

    Parameters
    ----------
    windows
        Of the site.
    scorer
        The bundle at work.

    Notes
    -----
    Measured on 250 simulated sites that the shipped bundle never heard, 40 s each, with a limit of 2 deviations:
    refused were 1 healthy site in 250, and of the same sites with a leak at +10, 0 and -10 dB over the background 9, 3
    and 1. At 1.75 deviations it would be 4 healthy ones, and 30, 10 and 3 with a leak.
    """
    errors = [scorer.score(window.features).error for window in windows]
    normal = np.log(scorer.bundle.normal_errors.astype(np.float64) + 1e-12)
    deviation = max(float(normal.std()), expected_deviations(scorer.bundle)[0].error)
    deviations = (float(np.median(np.log(np.asarray(errors) + 1e-12))) - normal.mean()) / deviation
    if deviations <= LEAK_DEVIATIONS:
        return ""
    return (
        f"the site sounds like a leak already: {deviations:.1f} deviations over the bundle's normal windows "
        f"(at most {LEAK_DEVIATIONS:g})"
    )
