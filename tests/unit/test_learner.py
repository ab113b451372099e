"""A site learned window by window is the site that all windows tell of, in memory that does not grow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydroear.dsp import FrontEnd, Window
from hydroear.errors import CalibrationError
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate
from hydroear.score.learner import STILL, SiteLearner
from hydroear_train.simulate import DEMO_SITE, Span, quiet_scene, render

SCORER = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
BUNDLE = SCORER.bundle
LONG_S = 600.0


def windows(samples: np.ndarray) -> list[Window]:
    return FrontEnd(BUNDLE.front_end, input_rate_hz=16000).push(samples)


@pytest.fixture(scope="module")
def normal() -> list[Window]:
    return windows(quiet_scene(DEMO_SITE, LONG_S, seed=1).samples)


@pytest.fixture(scope="module")
def leak() -> list[Window]:
    return windows(render(DEMO_SITE, [Span("leak", -1.0, 31.0, 6.0)], 30.0, seed=2).samples)


def taught(heard: list[Window], *, capacity: int = 2048) -> SiteLearner:
    learner = SiteLearner(BUNDLE, capacity=capacity)
    for window in heard:
        learner.hear(window)
    return learner


def decades(site: SiteCalibration, heard: list[Window]) -> np.ndarray:
    return np.array([SiteScorer(SCORER, site).score(window).decades for window in heard])


def test_a_learner_that_keeps_all_windows_learns_what_calibrate_learns(normal: list[Window]) -> None:
    whole, kept = calibrate([normal], SCORER), taught(normal).finish(SCORER)
    assert kept.windows == whole.windows
    assert kept.fused.conditions == pytest.approx(whole.fused.conditions)
    assert kept.level_db == pytest.approx(whole.level_db, abs=1e-3)
    np.testing.assert_allclose(kept.band_mean, whole.band_mean, atol=0.05)
    assert kept.fused.deviation == pytest.approx(whole.fused.deviation, rel=0.01)


def test_a_learner_that_keeps_a_tenth_of_the_windows_scores_nearly_as_if_it_had_kept_them_all(
    normal: list[Window], leak: list[Window]
) -> None:
    learner = taught(normal, capacity=100)
    assert 50 <= learner.windows <= 100
    whole, kept = calibrate([normal], SCORER), learner.finish(SCORER)
    assert kept.fused.conditions == pytest.approx(whole.fused.conditions)
    assert kept.level_db == pytest.approx(whole.level_db, abs=0.3)
    assert np.median(decades(kept, normal)) == pytest.approx(np.median(decades(whole, normal)), abs=0.1)
    assert np.median(decades(kept, leak)) == pytest.approx(np.median(decades(whole, leak)), rel=0.1)


def test_what_is_kept_is_spread_evenly_over_the_time_that_was_heard() -> None:
    spec = BUNDLE.front_end
    learner = SiteLearner(BUNDLE, capacity=64)
    for number in range(1000):
        start_s = number * spec.window_hop_s
        features = np.full(spec.shape, float(number), np.float32)
        learner.hear(Window(number, start_s, start_s + spec.window_s, features, -60.0))
    kept = learner._features[: learner.windows, 0, 0].astype(int)
    assert len(kept) > 32
    assert set(np.diff(kept)) == {16}
    assert kept[0] == 0
    assert kept[-1] > 1000 - 32


def test_memory_does_not_grow_with_the_time_heard() -> None:
    spec, rng = BUNDLE.front_end, np.random.default_rng(0)

    def hours(count: int) -> Iterator[Window]:
        for number in range(count):
            start_s = number * spec.window_hop_s
            yield Window(number, start_s, start_s + spec.window_s, rng.random(spec.shape, np.float32), -60.0)

    learner = SiteLearner(BUNDLE, capacity=128)
    tracemalloc.start()
    try:
        peaks = []
        for count in (500, 5000):
            tracemalloc.reset_peak()
            for window in hours(count):
                learner.hear(window)
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert SiteLearner(BUNDLE)._features.nbytes < 20e6


def test_conditions_are_those_heard_and_not_the_windows_kept(normal: list[Window]) -> None:
    learner = taught(normal, capacity=16)
    assert learner.conditions == pytest.approx(LONG_S / 60.0, rel=0.01)
    assert learner.heard_s == pytest.approx(LONG_S, rel=0.01)
    learner.restart()
    for window in normal[:5]:
        learner.hear(window)
    assert learner.conditions == pytest.approx(LONG_S / 60.0 + 1.0, rel=0.01)


def test_gaps_shorter_than_a_condition_do_not_make_conditions(normal: list[Window]) -> None:
    torn = [window for window in normal if window.index % 10 < 5]
    assert taught(torn).conditions == pytest.approx(taught(torn).heard_s / 60.0)
    far = [replace(window, start_s=window.start_s + 500.0, end_s=window.end_s + 500.0) for window in normal[20:25]]
    assert taught(normal[:5] + far).conditions == 2.0


def test_learning_goes_on_after_a_restart_where_it_was_saved(normal: list[Window], tmp_path: Path) -> None:
    file = tmp_path / "deep" / "learning.npz"
    first = SiteLearner(BUNDLE, capacity=64)
    for window in normal[:300]:
        first.hear(window, night="2025-07-03")
    for why in ("airborne", "clipped", "airborne"):
        first.leave_out(why)
    first.save(file)
    second = SiteLearner.load(file, BUNDLE)
    assert (second.heard_s, second.nights, second.windows) == (first.heard_s, first.nights, first.windows)
    assert second.left_out == {"airborne": 2, "clipped": 1}
    for learner in (first, second):
        learner.restart()
        for window in normal[300:]:
            learner.hear(window)
    assert second.conditions == first.conditions
    np.testing.assert_array_equal(
        decades(second.finish(SCORER), normal[:20]), decades(first.finish(SCORER), normal[:20])
    )
    assert list(file.parent.iterdir()) == [file]


def test_a_learning_that_is_damaged_or_of_another_bundle_is_refused(normal: list[Window], tmp_path: Path) -> None:
    file = tmp_path / "learning.npz"
    taught(normal[:20]).save(file)
    with pytest.raises(CalibrationError, match="begun with bundle"):
        SiteLearner.load(file, replace(BUNDLE, sha256="0" * 64))
    content = file.read_bytes()
    for damaged in (b"", b"nonsense", content[: len(content) // 2], content[:200] + b"\xff" * 100 + content[300:]):
        file.write_bytes(damaged)
        with pytest.raises(CalibrationError, match="remove the file to begin anew"):
            SiteLearner.load(file, BUNDLE)


def test_too_little_audio_is_refused(normal: list[Window]) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        taught(normal[:3]).finish(SCORER)
    with pytest.raises(CalibrationError, match="too few"):
        taught([]).finish(SCORER)


def test_digital_silence_is_refused_but_a_moment_of_it_is_left_out(normal: list[Window]) -> None:
    learner = taught(normal)
    learner.leave_out(STILL)
    assert learner.finish(SCORER).windows == len(normal)
    for _ in windows(np.zeros(16000 * 20, np.float32)):
        learner.leave_out(STILL)
    with pytest.raises(CalibrationError, match="digital silence"):
        learner.finish(SCORER)


def test_hours_teach_the_noise_floor_also_across_a_restart(normal: list[Window], tmp_path: Path) -> None:
    rng, learner = np.random.default_rng(3), SiteLearner(BUNDLE)
    for stretch in range(20):
        level_db = float(rng.normal(0.0, 1.0))
        for window in normal:
            start_s = window.start_s + stretch * LONG_S
            learner.hear(
                replace(
                    window,
                    start_s=start_s,
                    end_s=start_s + BUNDLE.front_end.window_s,
                    removed_db=window.removed_db + level_db,
                )
            )
        if stretch == 10:
            learner.save(tmp_path / "learning.npz")
            learner = SiteLearner.load(tmp_path / "learning.npz", BUNDLE)
    site = learner.finish(SCORER)
    assert site.floor is not None
    bands_db = [window.features.mean(axis=0) + window.removed_db for window in normal]
    quiet_db = np.percentile(bands_db, 10.0, axis=0)
    assert np.median(np.abs(site.floor.mean_db - quiet_db)) < 1.5
    assert taught(normal).finish(SCORER).floor is None
