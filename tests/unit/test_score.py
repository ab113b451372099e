"""Scores mean what they say: tail probabilities of a site that was learned honestly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from hydroear.dsp import FrontEnd, Window
from hydroear.errors import BundleError, CalibrationError
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate
from hydroear.score.distribution import MAX_DECADES, PRIOR_CONDITIONS, Distribution
from hydroear.score.site import SiteHead
from hydroear_train.simulate import Span, quiet_scene, random_site, render

SCORER = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
SITE = random_site(np.random.default_rng(5), material="cast-iron")


def windows(samples: np.ndarray) -> list[Window]:
    return FrontEnd(SCORER.bundle.front_end, input_rate_hz=16000).push(samples)


@pytest.fixture(scope="module")
def normal() -> list[Window]:
    return windows(quiet_scene(SITE, 120.0, seed=1).samples)


@pytest.fixture(scope="module")
def site(normal: list[Window]) -> SiteCalibration:
    return calibrate([normal], SCORER)


@pytest.mark.parametrize("conditions", [1.0, 8.0, 100.0, 1e5])
def test_decades_are_the_tail_of_students_predictive_distribution(conditions: float) -> None:
    distribution = Distribution(mean=2.0, deviation=0.5, conditions=conditions, freedom=PRIOR_CONDITIONS + conditions)
    for value in np.linspace(-3.0, 8.0, 500).tolist():
        expected = scipy.stats.t.sf((value - 2.0) / (0.5 * np.sqrt(1 + 1 / conditions)), df=distribution.freedom)
        expected = max(expected, 10**-MAX_DECADES)
        assert distribution.decades(value) == pytest.approx(-np.log10(expected), abs=1e-7)
    assert Distribution(0.0, 1e-3, 1000.0, 1000.0).decades(1e6) == MAX_DECADES


def test_a_short_calibration_is_less_certain() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    short = Distribution.of(values, conditions=4, expected_deviation=1.0)
    long = Distribution.of(values, conditions=400, expected_deviation=1.0)
    assert short.decades(6.0) < long.decades(6.0)


@pytest.mark.parametrize("count", [5, 40])
def test_decades_are_right_as_often_as_they_say(count: int) -> None:
    rng = np.random.default_rng(count)
    exceeded = []
    for _ in range(4000):
        distribution = Distribution.of(rng.standard_normal(count), conditions=count, expected_deviation=1.0)
        exceeded.append(distribution.decades(rng.standard_normal()) > 1.0)
    assert np.mean(exceeded) == pytest.approx(0.1, abs=0.03)


def test_a_few_outliers_do_not_widen_what_is_normal() -> None:
    values = np.random.default_rng(0).standard_normal(200)
    with_taps = np.concatenate([values, np.full(20, 50.0)])
    clean = Distribution.of(values, conditions=200, expected_deviation=1.0)
    assert Distribution.of(with_taps, conditions=220, expected_deviation=1.0).deviation < 1.3 * clean.deviation


def test_the_head_whitens_with_much_data_and_trusts_the_trainer_with_little() -> None:
    rng = np.random.default_rng(1)
    embeddings = (rng.standard_normal((5000, 4)) * [1.0, 5.0, 0.2, 1.0] + 3.0).astype(np.float32)
    much = SiteHead.fit(embeddings, conditions=5000)
    spread = (embeddings - much.mean) @ much.whitening.T
    assert spread.std(axis=0).max() / spread.std(axis=0).min() < 1.2
    little = SiteHead.fit(embeddings[:4], conditions=0.01)
    np.testing.assert_allclose(little.whitening, np.eye(4), atol=0.2)


def test_normal_windows_of_the_site_score_low_and_a_leak_scores_high(site: SiteCalibration) -> None:
    scorer = SiteScorer(SCORER, site)
    again = [scorer.score(w).decades for w in windows(quiet_scene(SITE, 60.0, seed=2).samples)]
    leak = [scorer.score(w).decades for w in windows(render(SITE, [Span("leak", 0, 30, 10.0)], 30.0, seed=3).samples)]
    assert np.median(again) < 1.0
    assert np.percentile(leak, 20) > 3.0


def test_a_minute_is_a_condition_and_so_is_a_short_stretch(site: SiteCalibration, normal: list[Window]) -> None:
    assert site.fused.conditions == pytest.approx(2.0, abs=0.05)
    stretches = [normal[start : start + 10] for start in range(0, 60, 20)]
    assert calibrate(stretches, SCORER).fused.conditions == 3.0


def test_after_minutes_a_site_scatters_as_the_trainer_expects_and_after_days_as_it_does() -> None:
    values = np.random.default_rng(2).standard_normal(2000)
    minutes = Distribution.of(values, conditions=2, expected_deviation=3.0)
    days = Distribution.of(values, conditions=5000, expected_deviation=3.0)
    assert minutes.deviation > 2.8
    assert days.deviation < 1.1


def test_a_bundle_says_what_scores_scatter_by(site: SiteCalibration, normal: list[Window]) -> None:
    bundle = SCORER.bundle
    wider = replace(bundle, varied_scores=2.0 * bundle.varied_scores)
    learned = calibrate([normal], Scorer(wider, choose_runtime()))
    assert learned.likeness.deviation == pytest.approx(2.0 * site.likeness.deviation, rel=0.1)
    assert learned.likeness.mean == site.likeness.mean
    with pytest.raises(BundleError, match="no varied scores"):
        calibrate([normal], Scorer(replace(bundle, varied_scores=bundle.varied_scores[:1]), choose_runtime()))


def test_a_calibration_survives_the_disk(site: SiteCalibration, normal: list[Window], tmp_path: Path) -> None:
    site.save(tmp_path / "deep" / "site.json")
    loaded = SiteCalibration.load(tmp_path / "deep" / "site.json")
    for window in normal[:5]:
        assert SiteScorer(SCORER, loaded).score(window) == SiteScorer(SCORER, site).score(window)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": "hydroear/site/3"}', "nonsense"])
def test_a_damaged_calibration_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "site.json"
    file.write_text(content)
    with pytest.raises(CalibrationError, match="run hydroear calibrate again"):
        SiteCalibration.load(file)


@pytest.mark.parametrize("fused", [{"deviation": 0.0}, {"mean": "high"}, {"mean": float("nan")}, {"mean": None}])
def test_a_calibration_with_impossible_numbers_is_refused(
    site: SiteCalibration, tmp_path: Path, fused: dict[str, object]
) -> None:
    file = tmp_path / "site.json"
    site.save(file)
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "fused": document["fused"] | fused}))
    with pytest.raises(CalibrationError, match="run hydroear calibrate again"):
        SiteCalibration.load(file)


def test_a_missing_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot be read"):
        SiteCalibration.load(tmp_path / "gone.json")


def test_a_calibration_fits_no_other_bundle(site: SiteCalibration) -> None:
    with pytest.raises(CalibrationError, match="learned with bundle 000000000000"):
        SiteScorer(SCORER, replace(site, bundle_sha256="0" * 64))


def test_a_calibration_fits_no_other_interpreter(site: SiteCalibration) -> None:
    with pytest.raises(CalibrationError, match="learned with abacus; expected"):
        SiteScorer(SCORER, replace(site, runtime="abacus"))


def test_too_little_audio_is_refused(normal: list[Window]) -> None:
    with pytest.raises(CalibrationError, match="too few"):
        calibrate([normal[:2]], SCORER)


def test_digital_silence_is_refused(normal: list[Window]) -> None:
    silent = windows(np.zeros(16000 * 10, np.float32))
    with pytest.raises(CalibrationError, match="digital silence"):
        calibrate([normal, silent], SCORER)


def test_golden_windows_notice_another_model() -> None:
    bundle = SCORER.bundle
    other = replace(bundle, projection=bundle.projection * np.float32(1.1))
    with pytest.raises(BundleError, match="golden windows differ"):
        Scorer(other, SCORER.runtime).check_golden()


def test_models_for_another_front_end_are_refused() -> None:
    bundle = SCORER.bundle
    other = replace(bundle, front_end=replace(bundle.front_end, n_mels=40), band_mean=bundle.band_mean[:40])
    with pytest.raises(BundleError, match="made for another front end: extractor input"):
        Scorer(other, SCORER.runtime)
