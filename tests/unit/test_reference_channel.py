"""A microphone in the air vetoes what it hears louder than the pipe does, and no leak."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter

from hydroear.app.pipeline import Pipeline, Report
from hydroear.audio import Block
from hydroear.config.schema import Decision
from hydroear.decide import State
from hydroear.health import Cause, Condition
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer
from hydroear_train.simulate import DEMO_SITE, Span, render
from listening import RATE_HZ, health

Samples = NDArray[np.float32]
BUNDLE = read_bundle(SHIPPED_BUNDLE)
SECONDS = 20.0
DECISION = Decision(horizon_s=6.0, recheck_s=2.0, clear_s=6.0, raise_decades=2.5, clear_decades=1.8)


Listen = Callable[[Samples, Samples], tuple[Pipeline, list[Report]]]


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def at(samples: Samples, level_db: float, reference: Samples) -> Samples:
    """Samples at a level relative to that of others."""
    return (samples * (rms(reference) * 10.0 ** (level_db / 20.0) / rms(samples))).astype(np.float32)


def hiss(n: int, seed: int) -> Samples:
    return np.random.default_rng(seed).normal(size=n).astype(np.float32)


def street(n: int, seed: int = 5) -> Samples:
    """Noise that falls towards high frequencies, as that of tyres and engines does."""
    coloured: Samples = lfilter([1.0], [1.0, -0.9], hiss(n, seed)).astype(np.float32)
    return coloured


def through_a_room(sound: Samples, *, delay_s: float, ring_s: float, direct_db: float, seed: int) -> Samples:
    """Sound after a delay, with echoes that fall by 60 dB in `ring_s`, and with `direct_db` more energy before them."""
    decay = np.arange(round(ring_s * RATE_HZ)) / RATE_HZ
    echoes = np.random.default_rng(seed).normal(size=len(decay)) * 10.0 ** (-3.0 * decay / ring_s)
    response = echoes / np.sqrt(np.sum(echoes**2))
    response[0] += 10.0 ** (direct_db / 20.0)
    arrived = np.concatenate([np.zeros(round(delay_s * RATE_HZ)), fftconvolve(sound, response)])
    return arrived[: len(sound)].astype(np.float32)


@pytest.fixture
def listen(site: Path) -> Listen:
    """Every report of a sensor with a reference channel, from the samples of the two."""
    scorer = SiteScorer(Scorer(BUNDLE, choose_runtime("auto")), SiteCalibration.load(site))

    def hear(pipe: Samples, reference: Samples) -> tuple[Pipeline, list[Report]]:
        pipeline = Pipeline(
            "pipe", rate_hz=RATE_HZ, spec=BUNDLE.front_end, scorer=scorer, decision=DECISION, reference=True
        )
        samples = np.stack([pipe, reference], axis=1).astype(np.float32)
        reports: list[Report] = []
        for begin in range(0, len(samples), RATE_HZ // 10):
            reports += pipeline.hear(Block(samples[begin : begin + RATE_HZ // 10], begin, 0.0))
        return pipeline, reports

    return hear


@pytest.mark.parametrize(("delay_s", "ring_s", "direct_db"), [(0.0, 0.001, 20.0), (0.004, 0.1, 6.0), (0.006, 0.3, 6.0)])
@pytest.mark.parametrize(("level_db", "share"), [(20.0, 1.0), (10.0, 1.0), (-6.0, 0.0), (-20.0, 0.0)])
def test_a_sound_in_the_air_is_vetoed_where_it_dominates_the_pipe(
    listen: Listen, delay_s: float, ring_s: float, direct_db: float, level_db: float, share: float
) -> None:
    """It reaches both microphones through responses of their own, the pipe's later."""
    own = health(SECONDS)
    sound = street(len(own))
    room = {"ring_s": ring_s, "direct_db": direct_db}
    pipe = own + at(through_a_room(sound, delay_s=delay_s, seed=1, **room), level_db, own)
    reference = at(through_a_room(sound, delay_s=0.0, seed=2, **room), level_db + 20.0, own)
    reference += at(hiss(len(own), 3), -10.0, own)
    pipeline, reports = listen(pipe, reference)
    assert pipeline.windows_vetoed / len(reports) == pytest.approx(share, abs=0.1)


def test_a_sound_in_the_air_that_stays_makes_the_sensor_noisy_and_is_told(listen: Listen) -> None:
    own = health(SECONDS)
    sound = at(street(len(own)), 15.0, own)
    pipeline, reports = listen(own + sound, np.float32(3.0) * sound)
    assert {report.state for report in reports} == {State.LEARNING, State.NOISY}
    assert all(report.decades is None and report.event is None for report in reports)
    assert "% of what the pipe sounds like is a sound in the air: not scored" in reports[-1].reason
    assert pipeline.windows_skipped == pipeline.windows_vetoed == len(reports)
    assert reports[-1].condition is Condition.HEALTHY


@cache
def leak() -> Samples:
    return render(DEMO_SITE, [Span("leak", 0.0, SECONDS, 16.0)], SECONDS, RATE_HZ, seed=7).samples


@pytest.mark.parametrize("own_noise_db", [-10.0, -20.0, -60.0])
def test_a_leak_that_is_in_the_air_as_well_is_not_vetoed(listen: Listen, own_noise_db: float) -> None:
    """20 dB below the pipe, from under the reference's own noise to far over it."""
    reference = np.float32(0.1) * leak() + at(hiss(len(leak()), 4), own_noise_db, leak())
    pipeline, reports = listen(leak(), reference)
    assert pipeline.windows_vetoed == 0
    assert [report.event for report in reports].count("open") == 1


def test_a_leak_that_is_louder_in_the_reference_makes_the_sensor_noisy_but_never_quiet(listen: Listen) -> None:
    """The limit: a reference on the pipe, or with far too much gain, hears leaks as well. It is told."""
    _, reports = listen(leak(), np.float32(2.0) * leak())
    assert {report.state for report in reports} == {State.LEARNING, State.NOISY}


def test_a_reference_that_is_dead_vetoes_nothing_and_is_told(listen: Listen) -> None:
    own = health(SECONDS)
    pipeline, reports = listen(own, np.zeros_like(own))
    assert pipeline.windows_vetoed == 0
    assert all(report.decades is not None for report in reports)
    assert all(report.ailment is not None and report.ailment.cause is Cause.FLAT for report in reports)
    assert reports[-1].condition is Condition.DEGRADED
    assert pipeline.liveness.ailment.startswith("the reference channel cannot veto: the audio stands still")
