"""A site is followed through the seasons, and never so far that a leak that grows slowly would be learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hydroear.audio.vitals import Vitals
from hydroear.dsp import FrontEnd, Window
from hydroear.health import Cause, examine
from hydroear.health.ailment import FAINT_DB
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer, calibrate
from hydroear.score.adaptation import CAP_DEVIATIONS, FLOOR_CAP_DEVIATIONS, Adaptation
from hydroear.score.floor import SiteFloor
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
        adaptation.follow(score.value, elapsed_s=days * DAY_S / len(heard))
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
        adaptation.follow(fused, elapsed_s=3600.0)
    assert adaptation.shift <= CAP_DEVIATIONS
    assert np.percentile(decades[-24:], 20) > RAISE


def test_a_season_within_the_cap_is_followed(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    rng, reference = np.random.default_rng(1), site.fused
    lag = []
    for hour in range(24 * 365):
        season = 0.8 * np.sin(2 * np.pi * hour / (24 * 365))
        fused = reference.mean + (season + 0.5 * rng.standard_normal()) * reference.deviation
        adaptation.follow(fused, elapsed_s=3600.0)
        lag.append(season - adaptation.shift)
    assert np.abs(lag).max() < 0.3


def test_a_site_that_stays_as_it_is_stays_normal_for_ever(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    rng, reference = np.random.default_rng(2), site.fused
    shifts = []
    for deviations in rng.standard_normal(24 * 365):
        adaptation.follow(reference.mean + deviations * reference.deviation, elapsed_s=3600.0)
        shifts.append(adaptation.shift)
    assert abs(np.mean(shifts)) < 0.1


def test_what_is_rarer_than_the_clear_level_moves_nothing(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    for deviations in (-9.0, 3.0, 9.0):
        fused = site.fused.mean + deviations * site.fused.deviation
        adaptation.follow(fused, elapsed_s=30 * DAY_S)
    assert adaptation.shift == 0.0


@pytest.fixture(scope="module")
def floored(site: SiteCalibration) -> SiteCalibration:
    """The site with a noise floor whose level and tilt change, and whose bands repeat to a tenth of a decibel."""
    rng, bands = np.random.default_rng(5), len(site.band_mean)
    level, tilt = rng.normal(0.0, 1.0, (2, 60, 1))
    floors = -60.0 + level + 0.5 * tilt * np.linspace(1.0, -1.0, bands) + rng.normal(0.0, 0.1, (60, bands))
    floor = SiteFloor.learn(floors.astype(np.float32))
    assert floor is not None
    return replace(site, floor=floor)


def test_a_floor_is_followed_through_a_season_but_not_into_a_leak(floored: SiteCalibration) -> None:
    assert floored.floor is not None
    rng, mean_db = np.random.default_rng(6), floored.floor.mean_db
    bands = np.arange(len(mean_db))
    season_db = 0.1 * np.exp(-(((bands - 20.0) / 6.0) ** 2))
    leak_db = 6.0 * np.exp(-(((bands - 40.0) / 4.0) ** 2))

    def year(change_db: np.ndarray) -> tuple[Adaptation, float]:
        """After half a year in which a change grows, and how rare it is then."""
        adaptation = Adaptation(floored, clear_decades=CLEAR)
        scorer = SiteScorer(SCORER, floored, adaptation=adaptation)
        rare = []
        for half_day in range(360):
            heard = mean_db + change_db * half_day / 360 + rng.normal(0.0, 0.1, len(bands))
            rare.append(scorer.floor_rarity(heard.astype(np.float32)))
            adaptation.follow_floor(heard.astype(np.float32), elapsed_s=0.5 * DAY_S)
        return adaptation, float(np.median(rare[-10:]))

    season, rare = year(season_db)
    assert rare < CLEAR
    assert season.floor_shift_db[20] == pytest.approx(0.1, abs=0.03)
    leak, rare = year(leak_db)
    assert rare > 5.0
    shifted = floored.floor.rise(mean_db + leak.floor_shift_db)
    assert shifted <= FLOOR_CAP_DEVIATIONS * floored.floor.rises.deviation * (1.0 + 1e-9)


def test_a_site_without_a_floor_has_none_to_follow(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    adaptation.follow_floor(np.full(len(site.band_mean), -20.0, np.float32), elapsed_s=DAY_S)
    assert not adaptation.floor_shift_db.any()


def test_a_sensor_that_comes_loose_slowly_is_not_followed_into_silence(site: SiteCalibration) -> None:
    adaptation = Adaptation(site, clear_decades=CLEAR)
    scorer = SiteScorer(SCORER, site, adaptation=adaptation)
    heard = windows(quiet_scene(DEMO_SITE, 20.0, seed=4).samples)
    faint = np.float32(10.0 ** (-(FAINT_DB + 15.0) / 20.0)) * quiet_scene(DEMO_SITE, 20.0, seed=4).samples
    for window in heard:
        adaptation.follow(scorer.score(window).value, elapsed_s=30.0 * DAY_S)
    assert adaptation.shift != 0.0
    for window in windows(faint):
        adaptation.follow(scorer.score(window).value, elapsed_s=30.0 * DAY_S)
        ailment = examine(Vitals(False, 0.0, 0.0), window.level_db, quietest_db=scorer.quietest_db)
        assert ailment is not None
        assert ailment.cause is Cause.FAINT


def test_it_survives_the_disk_but_not_another_calibration(
    floored: SiteCalibration, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, shift_db = tmp_path / "site" / "pipe.adaptation.json", np.full(len(floored.band_mean), 0.25)
    Adaptation(floored, clear_decades=CLEAR, shift=0.5, floor_shift_db=shift_db).save(file)
    floored.save(tmp_path / "pipe.json")
    again = Adaptation.load(file, SiteCalibration.load(tmp_path / "pipe.json"), clear_decades=CLEAR)
    assert again.shift == 0.5
    assert np.array_equal(again.floor_shift_db, shift_db)
    assert Adaptation.load(file, replace(floored, level_db=-1.0), clear_decades=CLEAR).shift == 0.0
    assert Adaptation.load(tmp_path / "gone.json", floored, clear_decades=CLEAR).shift == 0.0
    assert not caplog.records
    written = file.read_text()
    for damaged in (
        "",
        "[]",
        written.replace("0.5,", "7.5,"),
        written.replace("0.5,", "NaN,"),
        written.replace("0.25", "25.0", 1),
        written.replace("0.25, ", "", 1),
        written.replace("0.25", "NaN", 1),
    ):
        file.write_text(damaged)
        assert Adaptation.load(file, floored, clear_decades=CLEAR).shift == 0.0
        assert "taken as it was commissioned" in caplog.records.pop().message
