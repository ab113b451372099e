"""A stretch is judged by how stretches scatter, and that is learned from the time a site was heard."""

from __future__ import annotations

import numpy as np
import pytest

from hydroear.score.distribution import Distribution
from hydroear.score.persistence import CONDITION_S, MIN_STRETCHES, Trace

WINDOWS = Distribution(mean=0.0, deviation=1.0, conditions=1440.0, freedom=1470.0)
STEP_S = 10.0
DAY = round(86400.0 / STEP_S)
HORIZON_S = 600.0


def trace(slow: float, count: int = DAY, seed: int = 0) -> Trace:
    """Scores that scatter by 1 from window to window, and by `slow` from condition to condition."""
    rng = np.random.default_rng(seed)
    conditions = slow * rng.standard_normal(int(count * STEP_S / CONDITION_S) + 1)
    drift = np.repeat(conditions, round(CONDITION_S / STEP_S))[:count]
    return Trace((drift + rng.standard_normal(count)).astype(np.float32), STEP_S)


def test_what_scatters_by_chance_alone_hardly_scatters_over_a_stretch() -> None:
    steady, shifting = (trace(slow).stretches(HORIZON_S, 20.0, windows=WINDOWS) for slow in (0.0, 1.0))
    assert steady.mean == pytest.approx(-0.84, abs=0.1)
    # Of 60 windows a percentile scatters by about 0.2; what is expected without having heard anything adds 0.4.
    assert 0.35 < steady.deviation < 0.55
    assert shifting.deviation > 1.1 * steady.deviation


def test_a_shift_that_no_window_shows_is_rare_for_a_stretch() -> None:
    stretches = trace(0.0).stretches(HORIZON_S, 20.0, windows=WINDOWS)
    shifted = np.percentile(trace(0.0, 60, seed=9).fused + 2.0, 20.0)
    assert stretches.decades(float(shifted)) > 4.0
    assert WINDOWS.decades(float(shifted)) < 2.0


def test_a_day_of_normal_stretches_is_seldom_rare() -> None:
    stretches = trace(0.5).stretches(HORIZON_S, 20.0, windows=WINDOWS)
    later = trace(0.5, 10 * DAY, seed=5).fused.reshape(-1, 60)
    decades = np.array([stretches.decades(float(x)) for x in np.percentile(later, 20.0, axis=1)])
    assert np.mean(decades > 2.0) < 0.01
    assert np.mean(decades > 1.0) < 0.1


@pytest.mark.parametrize(
    ("count", "horizon_s"), [(round(MIN_STRETCHES * HORIZON_S / STEP_S) - 1, HORIZON_S), (DAY, 3.0 * STEP_S)]
)
def test_where_too_little_was_heard_stretches_are_judged_as_windows_are(count: int, horizon_s: float) -> None:
    assert trace(0.0, count).stretches(horizon_s, 20.0, windows=WINDOWS) is WINDOWS


def test_few_stretches_make_every_one_less_certain() -> None:
    day, hours = (trace(0.0, count).stretches(HORIZON_S, 20.0, windows=WINDOWS) for count in (DAY, DAY // 12))
    assert day.decades(1.0) > hours.decades(1.0)
