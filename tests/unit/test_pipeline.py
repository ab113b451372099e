"""What of a sensor's audio is held against its raise level, and when."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from hydroear.app.pipeline import Pipeline, Report
from hydroear.audio import Block, Gap
from hydroear.config.schema import Decision
from hydroear.decide import State
from hydroear.dsp import FrontEnd, Window
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate
from hydroear.score.distribution import Distribution
from hydroear.score.floor import SiteFloor, StretchMeter
from hydroear_train.simulate import DEMO_SITE, Span, render
from listening import LEAK, RATE_HZ, health, scene

Samples = NDArray[np.float32]
SCORER = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
SPEC = SCORER.bundle.front_end
QUICK = {"horizon_s": 6.0, "recheck_s": 2.0, "clear_s": 6.0, "raise_decades": 2.5, "clear_decades": 1.8}


def windows(samples: Samples) -> list[Window]:
    return FrontEnd(SPEC, input_rate_hz=RATE_HZ).push(samples)


@cache
def site() -> SiteCalibration:
    return calibrate([windows(health(60.0))], SCORER)


def pipeline(decision: Decision, site: SiteCalibration) -> Pipeline:
    return Pipeline("pipe", rate_hz=RATE_HZ, spec=SPEC, scorer=SiteScorer(SCORER, site), decision=decision)


def play(listener: Pipeline, samples: Samples, *, judged: bool = True, after_s: float = 0.0) -> list[Report]:
    reports = []
    for begin in range(0, len(samples), RATE_HZ):
        block = Block(samples[begin : begin + RATE_HZ, None], round(after_s * RATE_HZ) + begin, 0.0)
        reports += listener.hear(block, judged=judged)
    return reports


def test_it_knows_how_loud_the_sensor_is_how_quiet_it_becomes_and_what_was_lost() -> None:
    listener = pipeline(Decision(**QUICK), site())
    assert (listener.level_db, listener.floor_db) == (None, None)
    quiet = 0.01 * np.random.default_rng(0).normal(size=20 * RATE_HZ).astype(np.float32)
    play(listener, quiet)
    play(listener, 10.0 * quiet[: 5 * RATE_HZ], after_s=20.0)
    assert listener.level_db is not None
    assert listener.floor_db is not None
    assert listener.level_db - listener.floor_db == pytest.approx(20.0, abs=1.0)
    listener.hear(Gap(25 * RATE_HZ, 1600, "overflow"))
    listener.hear(Gap(25 * RATE_HZ + 1600, 400, "overflow"))
    assert (listener.gaps, listener.samples_lost, listener.level_db) == (2, 2000, None)


def test_a_leak_that_no_window_shows_is_heard_in_the_noise_floor() -> None:
    rng = np.random.default_rng(0)
    n = 1200 * RATE_HZ
    normal = rng.normal(0.0, 0.01, n).astype(np.float32)
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1.0 / RATE_HZ)
    spectrum[(hz < 1000.0) | (hz > 2000.0)] = 0.0
    leak = np.fft.irfft(spectrum, n).astype(np.float32)
    faint = normal + 0.006 * leak  # 2 dB under the noise of its octave

    heard = windows(normal)
    meter = StretchMeter(SPEC.window_hop_s)
    (floor_db,) = [floor_db for window in heard if (floor_db := meter.hear(window)) is not None]
    known = SiteFloor(floor_db.astype(np.float64), np.eye(SPEC.n_mels) / 0.3**2, Distribution(1.0, 2.0, 100.0, 100.0))
    learned = calibrate([heard[:300]], SCORER)
    decision = Decision(horizon_s=600.0, recheck_s=60.0)
    deaf = play(pipeline(decision, replace(learned, floor=None)), faint)
    assert {report.state for report in deaf} == {State.LEARNING, State.QUIET}
    well = play(pipeline(decision, replace(learned, floor=known)), normal)
    assert {report.state for report in well} == {State.LEARNING, State.QUIET}
    states = [report.state for report in play(pipeline(decision, replace(learned, floor=known)), faint)]
    assert states[-1] is State.LEAK


def test_what_drips_is_no_leak_however_strange_and_the_warning_says_why() -> None:
    rain = render(DEMO_SITE, [Span("rain", -1.0, 41.0, 12.0)], 40.0, RATE_HZ, seed=3).samples
    slow = QUICK | {"horizon_s": 20.0}  # enough windows that chance makes no median of them
    last = play(pipeline(Decision(**slow, max_unison=1.5), site()), rain)[-1]
    assert last.state is State.WARNING
    assert "no leak varies as they do" in last.reason
    asked_for_nothing = play(pipeline(Decision(**slow, max_unison=None), site()), rain)[-1]
    assert asked_for_nothing.state is State.LEAK


def test_what_is_not_to_be_judged_is_scored_and_changes_nothing() -> None:
    leaking = scene()[round(LEAK.start_s) * RATE_HZ :]
    listener = pipeline(Decision(**QUICK), site())
    by_day = play(listener, leaking, judged=False)
    assert {report.state for report in by_day} == {State.LEARNING}
    assert all(report.decades is not None for report in by_day)
    by_night = play(listener, leaking[: 18 * RATE_HZ], after_s=len(leaking) / RATE_HZ)
    assert by_night[-1].state is State.LEAK
