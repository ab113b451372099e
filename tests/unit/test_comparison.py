"""A shadow is held against the model at work: its faults are found, and to be of another mind is none."""

from __future__ import annotations

import numpy as np
import pytest

from hydroear.decide.comparison import Comparison, Look

RAISE, CLEAR = 3.0, 1.5
rng = np.random.default_rng(3)
QUIET = rng.exponential(0.4, 200).tolist()
LOUD = (6.0 + rng.exponential(0.4, 200)).tolist()


def compare(active: list[float], shadow: list[float | None]) -> Comparison:
    """Both models give rarities for scores, so that a score is its own rarity."""
    comparison = Comparison(
        raise_decades=RAISE, clear_decades=CLEAR, low_percentile=20.0, active_rarity=float, shadow_rarity=float
    )
    for a, s in zip(active, shadow, strict=True):
        comparison.push(Look(a, a, 5.0), None if s is None else Look(s, s, 7.0))
    return comparison


def test_models_that_hear_alike_agree_and_nothing_speaks_against_the_new_one() -> None:
    comparison = compare(QUIET, [1.2 * score for score in QUIET])
    result = comparison.result()
    assert comparison.objection() == ""
    assert (result.windows, result.missed) == (200, 0)
    assert result.agreement is not None
    assert result.agreement > 0.98
    assert result.active is not None
    assert result.candidate is not None
    assert (result.active.median_ms, result.candidate.median_ms) == (5.0, 7.0)
    assert result.candidate.p95_decades == pytest.approx(1.2 * result.active.p95_decades)
    assert result.active.low_decades < result.active.p50_decades < result.active.p95_decades < result.active.p99_decades


def test_one_that_alarms_where_all_is_quiet_is_objected_to() -> None:
    comparison = compare(QUIET, LOUD)
    assert comparison.objection().startswith("would alarm where the model at work hears nothing: 6.")
    assert comparison.result().agreement == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    ("active", "shadow"),
    [
        (LOUD, LOUD),  # both hear a leak
        (LOUD, QUIET),  # the model at work may be wrong
        (QUIET, [*LOUD[:150], *QUIET[150:]]),  # taps and lorries: it was quiet in between
        ([2.0 + 0.1 * score for score in QUIET], LOUD),  # the model at work is of two minds
    ],
)
def test_one_that_is_of_another_mind_for_a_reason_is_not(active: list[float], shadow: list[float | None]) -> None:
    assert compare(active, shadow).objection() == ""


def test_one_that_says_the_same_whatever_it_hears_is_deaf() -> None:
    assert "is deaf: it gives at least half of 200 windows" in compare(QUIET, [0.7] * 200).objection()
    assert "is deaf" in compare(QUIET, [0.7] * 140 + QUIET[140:]).objection()
    assert compare(QUIET, [0.7] * 40 + QUIET[40:]).objection() == ""


def test_one_is_not_deaf_for_saying_the_same_of_the_same_sound() -> None:
    assert compare([0.4] * 200, [0.7] * 200).objection() == ""


def test_one_that_does_not_score_what_the_model_at_work_scores_is_objected_to() -> None:
    few = compare(QUIET, [*QUIET[:80], *[None] * 120])
    assert few.objection() == "did not score 120 of 200 windows that the model at work scored"
    assert (few.windows, few.result().missed) == (200, 120)
    assert compare(QUIET, [*QUIET[:120], *[None] * 80]).objection() == ""
    assert compare(QUIET, [None] * 200).result().candidate is None


def test_of_nothing_nothing_is_said() -> None:
    comparison = compare([], [])
    assert (comparison.objection(), comparison.result().agreement) == ("", None)
