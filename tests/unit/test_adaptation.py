"""A site is followed through the seasons, and never so far that a leak that grows slowly would be learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydroear.dsp import FrontEnd, Window
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate
from hydroear.score.adaptation import CAP_DEVIATIONS, LEVEL_CAP_DB, Adaptation
from hydroear_train.simulate import DEMO_SITE, Span, quiet_scene, render

SCORER = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
DAY_S = 86400.0
CLEAR, RAISE = 1.0, 2.0


def windows(samples: np.ndarray) -> list[Window]:
    return FrontEnd(SCORER.bundle.front_end, input_rate_hz=16000).push(samples)


@pytest.fixture(scope="module")
def site() -> SiteCalibration:
    return calibrate([windows(quiet_scene(DEMO_SITE, 120.0, seed=1).samples)], SCORER)


def follow(adaptation: Adaptation, scorer: SiteScorer, heard: list[Window], *, days: float) -> list[float]:
    """Let windows stand for some days of a quiet sensor; their decades."""
    decades = []
    for window in heard:
        score = scorer.score(window)
        assert window.level_db is not None
        adaptation.follow(score.value, window.level_db, elapsed_s=days * DAY_S / len(heard))
        decades.append(score.decades)
    return decades


def test_a_leak_that_grows_over_weeks_is_still_raised(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    scorer = SiteScorer(SCORER, site, adaptation=adaptation)
    lows = []
    for snr_db in np.arange(-20.0, 16.1, 2.0):  # nineteen steps of three days: eight weeks
        scene = render(DEMO_SITE, [Span("leak", -1.0, 31.0, float(snr_db))], 30.0, seed=4)
        lows.append(np.percentile(follow(adaptation, scorer, windows(scene.samples), days=3.0), 20))
    assert lows[0] < CLEAR
    assert lows[-1] > RAISE
    assert 0.0 < adaptation.shift <= CAP_DEVIATIONS


def test_a_leak_that_grows_so_slowly_that_it_passes_for_normal_stops_at_the_cap(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    rng, reference = np.random.default_rng(0), site.fused
    decades = []
    for hour in range(24 * 7 * 12):
        deviations = 6.0 * hour / (24 * 7 * 12) + 0.3 * rng.standard_normal()
        fused = reference.mean + deviations * reference.deviation
        decades.append(adaptation.fused.decades(fused))
        adaptation.follow(fused, site.level_db, elapsed_s=3600.0)
    assert adaptation.shift <= CAP_DEVIATIONS
    assert np.percentile(decades[-24:], 20) > RAISE


def test_a_season_within_the_cap_is_followed(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    rng, reference = np.random.default_rng(1), site.fused
    lag, level_lag_db = [], []
    for hour in range(24 * 365):
        season = 0.8 * np.sin(2 * np.pi * hour / (24 * 365))
        fused = reference.mean + (season + 0.5 * rng.standard_normal()) * reference.deviation
        adaptation.follow(fused, site.level_db + 4.0 * season, elapsed_s=3600.0)
        lag.append(season - adaptation.shift)
        level_lag_db.append(site.level_db + 4.0 * season - adaptation.level_db)
    assert np.abs(lag).max() < 0.3
    assert np.abs(level_lag_db).max() < 0.5


def test_a_site_that_stays_as_it_is_stays_normal_for_ever(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    rng, reference = np.random.default_rng(2), site.fused
    shifts = []
    for deviations in rng.standard_normal(24 * 365):
        adaptation.follow(reference.mean + deviations * reference.deviation, site.level_db, elapsed_s=3600.0)
        shifts.append(adaptation.shift)
    assert abs(np.mean(shifts)) < 0.1


def test_what_is_rarer_than_the_clear_level_moves_nothing(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    for deviations in (-9.0, 3.0, 9.0):
        fused = site.fused.mean + deviations * site.fused.deviation
        adaptation.follow(fused, site.level_db + 20.0, elapsed_s=30 * DAY_S)
    assert (adaptation.shift, adaptation.level_shift_db) == (0.0, 0.0)
    adaptation.follow(site.fused.mean, site.level_db + 20.0, elapsed_s=300 * DAY_S)
    assert adaptation.level_shift_db == LEVEL_CAP_DB


def test_it_survives_the_disk_but_not_another_calibration(
    site: SiteCalibration, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "site" / "pipe.adaptation.json"
    Adaptation(site, clear_decades=CLEAR, shift=0.5, level_shift_db=-2.0).save(file)
    site.save(tmp_path / "pipe.json")
    again = Adaptation.load(file, SiteCalibration.load(tmp_path / "pipe.json"), clear_decades=CLEAR)
    assert (again.shift, again.level_shift_db) == (0.5, -2.0)
    assert Adaptation.load(file, replace(site, level_db=-1.0), clear_decades=CLEAR).shift == 0.0
    assert Adaptation.load(tmp_path / "gone.json", site, clear_decades=CLEAR).shift == 0.0
    assert not caplog.records
    for damaged in ("", "[]", file.read_text().replace("0.5", "7.5"), file.read_text().replace("0.5", "NaN")):
        file.write_text(damaged)
        assert Adaptation.load(file, site, clear_decades=CLEAR).shift == 0.0
        assert "taken as it was commissioned" in caplog.records.pop().message
