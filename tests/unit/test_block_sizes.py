"""What a sensor is judged by does not depend on how its audio is cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hydroear.app.pipeline import Pipeline, Report
from hydroear.audio import CLIP_LEVEL, Block, Gap
from hydroear.audio.flatline import MIN_S
from hydroear.audio.vitals import PIECE_S, Vitals, VitalSigns
from hydroear.config.schema import Decision
from hydroear.decide import State
from hydroear.dsp import FrontEnd
from hydroear.dsp.highpass import HighPass
from hydroear.health import Cause
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteScorer, calibrate
from listening import LEAK, RATE_HZ, health, scene

Samples = NDArray[np.float32]
SLOW_HZ = 800
"""A sample rate at which many seconds are few samples."""
HELD, LOUD = slice(2_000, 2_100), slice(4_000, 4_400)
LOST = 5_000, 5_333

cuts = st.lists(st.integers(1, 8 * SLOW_HZ - 1), max_size=30).map(lambda found: sorted(set(found)))


def blocks(samples: Samples, borders: list[int]) -> Iterator[tuple[int, Samples]]:
    """Samples cut at some indices, each piece with the index of its first."""
    for begin, end in pairwise([0, *borders, len(samples)]):
        yield begin, samples[begin:end]


def odd_sound() -> Samples:
    """Eight seconds of noise with an offset, in which the sensor hangs once and is too loud once."""
    sound = np.random.default_rng(0).normal(0.05, 0.1, 8 * SLOW_HZ).astype(np.float32)
    sound[HELD] = sound[HELD.start]
    sound[LOUD] = np.clip(20.0 * sound[LOUD], -1.0, 1.0)
    return sound


def vitals_of_windows(borders: list[int]) -> dict[int, Vitals]:
    """The vitals of windows of a second, each asked for as soon as its last sample was pushed, by where it ends."""
    signs, found = VitalSigns(SLOW_HZ), {}
    ends = iter(range(SLOW_HZ, 8 * SLOW_HZ + 1, 123))
    end = next(ends)
    for begin, samples in blocks(odd_sound(), sorted({*borders, *LOST})):
        if LOST[0] <= begin < LOST[1]:
            continue
        signs.push(samples, begin)
        while end <= begin + len(samples):
            found[end] = signs.of(end - SLOW_HZ, end)
            end = next(ends, 8 * SLOW_HZ + 1)
    return found


@given(cuts)
def test_vital_signs_are_the_same_to_the_last_bit(borders: list[int]) -> None:
    assert vitals_of_windows(borders) == vitals_of_windows([])


def test_vital_signs_are_those_of_the_window_to_the_precision_of_a_piece() -> None:
    for end, vitals in vitals_of_windows([]).items():
        begin = end - SLOW_HZ
        if begin < LOST[1] and end > LOST[0]:  # such windows are never judged
            continue
        window = odd_sound()[begin:end]
        assert vitals.clipped_share == pytest.approx(np.mean(np.abs(window) >= CLIP_LEVEL), abs=PIECE_S)
        assert vitals.offset == pytest.approx(window.mean(), abs=0.05)
        # What has stood still for long enough when the window is over, no matter what comes after it.
        heard_end = min(end, HELD.stop)
        assert vitals.flat == (begin < heard_end and heard_end - HELD.start >= MIN_S * SLOW_HZ)


@given(cuts)
def test_the_high_pass_gives_the_same(borders: list[int]) -> None:
    highpass = HighPass(20.0, SLOW_HZ)
    filtered = np.concatenate([highpass.push(samples) for _, samples in blocks(odd_sound(), borders)])
    np.testing.assert_allclose(filtered, HighPass(20.0, SLOW_HZ).push(odd_sound()), rtol=2e-7, atol=1e-12)


@cache
def scorer() -> SiteScorer:
    models = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
    spec = models.bundle.front_end
    return SiteScorer(models, calibrate([FrontEnd(spec, input_rate_hz=RATE_HZ).push(health())], models))


@cache
def troubled_scene() -> Samples:
    """A leak; then the sensor clips, hangs, and hears something in the air, all off any grid."""
    pipe = scene().copy()
    pipe[round(45.03 * RATE_HZ) : round(46.5 * RATE_HZ)] *= 60.0
    pipe[round(50.03 * RATE_HZ) : round(50.17 * RATE_HZ)] = 0.25
    air = np.random.default_rng(3).normal(0.0, 0.001, len(pipe)).astype(np.float32)
    passing = slice(round(55.2 * RATE_HZ), round(59.1 * RATE_HZ))
    hiss = np.random.default_rng(4).normal(0.0, 0.3, passing.stop - passing.start).astype(np.float32)
    pipe[passing] += 0.5 * hiss
    air[passing] += hiss
    return np.clip(np.stack([pipe, air], axis=1), -1.0, 1.0)


def reports_of(borders: list[int]) -> list[Report]:
    """What the pipeline says of the scene, of which half a second is lost."""
    decision = Decision(horizon_s=6.0, recheck_s=2.0, clear_s=6.0, raise_decades=2.5, clear_decades=1.8)
    pipeline = Pipeline(
        "pipe",
        rate_hz=RATE_HZ,
        spec=read_bundle(SHIPPED_BUNDLE).front_end,
        scorer=scorer(),
        decision=decision,
        reference=True,
    )
    lost = round(12.345 * RATE_HZ), round(12.845 * RATE_HZ)
    reports = []
    for begin, samples in blocks(troubled_scene(), sorted({*borders, *lost})):
        if begin == lost[0]:
            reports += pipeline.hear(Gap(begin, lost[1] - lost[0], "test"))
        elif not lost[0] < begin < lost[1]:
            reports += pipeline.hear(Block(samples, begin, 0.0))
    return reports


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([20, 200, 2_000]))
def test_windows_vetoes_ailments_scores_and_states_are_the_same(seed: int, count: int) -> None:
    found = np.random.default_rng(seed).integers(1, len(troubled_scene()), count)
    whole, cut = reports_of([]), reports_of(np.unique(found).tolist())
    assert [judged(report) for report in cut] == [judged(report) for report in whole]
    for name in ("decades", "value", "error", "level_db"):
        one, other = (np.array([getattr(r, name) or np.nan for r in reports]) for reports in (cut, whole))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def judged(report: Report) -> tuple[object, ...]:
    """What of a report is no score."""
    scored = report.decades is not None
    return report.window, report.position_s, scored, report.ailment, report.condition, report.state, report.event


def test_the_scene_holds_all_that_can_be_judged() -> None:
    reports = reports_of([])
    opened = [report.position_s for report in reports if report.event == "open"]
    assert len(opened) == 1
    assert LEAK.start_s < opened[0] < LEAK.end_s
    causes = {report.ailment.cause for report in reports if report.ailment is not None}
    assert causes >= {Cause.CLIPPED, Cause.FLAT, Cause.LOST}
    assert {State.LEAK, State.FAULT} <= {report.state for report in reports}
    assert any("a sound in the air" in report.reason for report in reports)
