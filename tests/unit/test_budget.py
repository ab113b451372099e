"""The raise level keeps the budget whatever normal windows do."""

from __future__ import annotations

import numpy as np
import pytest

from hydroear.config.budget import MONTH_S, raise_decades
from hydroear.config.schema import Decision
from hydroear.decide import Decider, Policy

HOP_S = 10.0


def test_the_level_falls_with_the_budget_and_with_the_horizon() -> None:
    usual = {"false_alarms_per_month": 0.1, "horizon_s": 600.0, "low_percentile": 20.0}
    level = raise_decades(**usual)
    assert raise_decades(**usual | {"false_alarms_per_month": 1.0}) == pytest.approx(level - 1.0)
    assert raise_decades(**usual | {"horizon_s": 6000.0}) == pytest.approx(level - 1.0)
    assert raise_decades(**usual | {"low_percentile": 35.0}) == pytest.approx(level + np.log10(2.0))
    decision = Decision()
    assert (decision.raise_level, decision.clear_level) == pytest.approx((level, level / 2.0))
    assert Decision(raise_decades=3.0).raise_level == 3.0


@pytest.mark.parametrize("condition_s", [HOP_S, 300.0, 600.0, 3600.0])
def test_normal_windows_make_no_more_alarms_than_the_budget_however_they_hang_together(condition_s: float) -> None:
    """Scores stay for a condition; the budget is large enough to be used up."""
    rng = np.random.default_rng(round(condition_s))
    settings = Decision(false_alarms_per_month=40.0, horizon_s=600.0, recheck_s=0.0, clear_s=60.0)
    assert settings.raise_level < 3.0
    policy = Policy(
        horizon_s=600.0, low_percentile=20.0, raise_decades=settings.raise_level, clear_decades=settings.clear_level,
        recheck_s=0.0, clear_s=60.0, hold_off_s=0.0, hop_s=HOP_S,
    )  # fmt: skip
    decider, alarms, months = Decider(policy), 0, 2.0
    # Decades of a normal window are exponential: minus log10 of what is uniform.
    conditions = rng.exponential(1.0 / np.log(10.0), size=int(months * MONTH_S / condition_s) + 1)
    for number in range(int(months * MONTH_S / HOP_S)):
        was_leaking = decider.leaking
        end_s = (number + 1) * HOP_S
        decider.hear(end_s, float(conditions[int(number * HOP_S / condition_s)]))
        alarms += decider.leaking and not was_leaking
    assert alarms <= months * 40.0
    assert alarms > 0 or condition_s < 600.0
