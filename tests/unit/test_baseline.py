"""What cannot pass for a healthy site is not learned: a leak that begins meanwhile, or that was there before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hydroear.dsp import FrontEnd, Window
from hydroear.errors import CalibrationError
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer
from hydroear.score.baseline import STEP_DB, sounds_like_a_leak, unsteady
from hydroear.score.learner import SiteLearner
from hydroear_train.simulate import DEMO_SITE, Site, Span, random_site, random_spans, render

SCORER = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
DURATION_S = 180.0


def windows(site: Site, spans: list[Span], seed: int) -> list[Window]:
    samples = render(site, spans, DURATION_S, seed=seed).samples
    return FrontEnd(SCORER.bundle.front_end, input_rate_hz=16000).push(samples)


def taught(heard: list[Window]) -> SiteLearner:
    learner = SiteLearner(SCORER.bundle)
    for window in heard:
        learner.hear(window)
    return learner


@pytest.mark.parametrize("number", range(4))
def test_a_site_where_water_is_drawn_and_lorries_pass_is_learned(number: int) -> None:
    rng = np.random.default_rng([77, number])
    site = random_site(rng)
    spans = [*random_spans(site, DURATION_S, rng), Span("tap", 100.0, 125.0, 12.0)]
    assert taught(windows(site, spans, number)).finish(SCORER).accepted == ()


def test_a_leak_that_begins_meanwhile_is_refused_unless_one_insists_and_then_it_is_on_record() -> None:
    learner = taught(windows(DEMO_SITE, [Span("leak", 0.5 * DURATION_S, DURATION_S + 1.0, 12.0)], 1))
    with pytest.raises(CalibrationError, match=r"unsteady: its level rose by \d+\.\d dB after 50 % of the time"):
        learner.finish(SCORER)
    (objection,) = learner.finish(SCORER, accept_anyway=True).accepted
    assert "unsteady" in objection


def test_a_lasting_change_of_the_score_alone_is_refused_and_a_passing_one_is_not() -> None:
    levels_db, scores = np.full(120, -60.0), np.zeros(120)
    assert unsteady(levels_db, scores) == ""
    scores[40:60] = 9.0
    assert unsteady(levels_db, scores) == ""
    scores[40:60], scores[60:] = 0.0, 2.0
    assert "its score rose by 2.0 deviations after 50 %" in unsteady(levels_db, scores)
    assert "its level fell by 7.0 dB" in unsteady(levels_db - (STEP_DB + 1.0) * (np.arange(120) >= 80), scores)
    assert unsteady(levels_db[:59], scores[-59:]) == ""


def test_a_site_unlike_any_healthy_one_is_refused_by_the_bundles_own_normals() -> None:
    heard = windows(DEMO_SITE, [], 3)
    assert sounds_like_a_leak(heard, SCORER) == ""
    odd = [replace(window, features=3.0 * window.features) for window in heard]
    assert "sounds like a leak already" in sounds_like_a_leak(odd, SCORER)
    with pytest.raises(CalibrationError, match="sounds like a leak already"):
        taught(odd).finish(SCORER)
