"""Percentiles over a moving span are those of the scores in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroear.decide.recent import Recent

steps = st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(-50.0, 50.0)), min_size=1, max_size=60)


@given(steps, st.floats(0.5, 40.0), st.floats(0.0, 100.0))
def test_a_percentile_is_the_one_of_the_scores_in_the_span(
    steps: list[tuple[float, float]], span_s: float, percentile: float
) -> None:
    recent, now_s, told = Recent(span_s), 0.0, []
    for step_s, score in steps:
        now_s += step_s
        told.append((now_s, score))
        recent.push(now_s, score)
        within = [score for end_s, score in told if end_s > now_s - span_s]
        assert len(recent) == len(within)
        assert recent.percentile(percentile) == pytest.approx(np.percentile(within, percentile), abs=1e-9)
