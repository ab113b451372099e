"""What is there all the time rises with a leak, and with nothing that comes and goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hydroear.dsp import Window
from hydroear.errors import CalibrationError
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, calibrate
from hydroear.score.distribution import Distribution
from hydroear.score.floor import MIN_STRETCHES, FloorMeter, FloorWatch, SiteFloor, StretchMeter

BANDS = 12
HOP_S = 1.0
MEAN_DB = np.linspace(-50.0, -80.0, BANDS)
STEEP = np.linspace(1.0, -1.0, BANDS)

Floors = NDArray[np.float32]


def floors(count: int, seed: int, *, rng: np.random.Generator | None = None) -> Floors:
    """Floors of a site whose level and tilt change, and whose bands repeat to a tenth of a decibel."""
    rng = rng or np.random.default_rng(seed)
    level, tilt = rng.normal(0.0, 1.0, (2, count, 1))
    return (MEAN_DB + level + 0.5 * tilt * STEEP + rng.normal(0.0, 0.1, (count, BANDS))).astype(np.float32)


def learned(count: int = 60, seed: int = 0) -> SiteFloor:
    found = SiteFloor.learn(floors(count, seed))
    assert found is not None
    return found


def window(end_s: float, bands_db: NDArray[np.floating], removed_db: float = -60.0) -> Window:
    features = np.tile(bands_db - removed_db, (4, 1)).astype(np.float32)
    return Window(round(end_s), end_s - 2.0, end_s, features, -40.0, removed_db)


def hear(
    meter: FloorMeter | StretchMeter | FloorWatch, begin_s: float, end_s: float, bands_db: NDArray[np.floating]
) -> list[Floors]:
    ends_s = np.arange(begin_s + HOP_S, end_s + HOP_S / 2, HOP_S)
    found = [meter.hear(window(float(at_s), bands_db)) for at_s in ends_s]
    return [floor_db for floor_db in found if floor_db is not None]


def test_the_floor_of_a_minute_is_what_its_bands_fall_to_and_has_its_level() -> None:
    meter, told = FloorMeter(HOP_S), []
    for at_s in np.arange(1.0, 62.0):
        loud = int(at_s) % 10 < 7
        floor_db = meter.hear(window(float(at_s), MEAN_DB + 20.0 * loud))
        told += [] if floor_db is None else [floor_db]
    assert len(told) == 1
    assert told[0] == pytest.approx(MEAN_DB, abs=1e-3)


def test_a_minute_that_was_not_half_heard_has_no_floor() -> None:
    meter = FloorMeter(HOP_S)
    assert not hear(meter, 0.0, 25.0, MEAN_DB)
    assert not hear(meter, 60.0, 100.0, MEAN_DB)  # the next one ends the first
    assert len(hear(meter, 120.0, 121.0, MEAN_DB)) == 1


def test_ten_minutes_are_a_stretch_and_what_is_left_over_is_none() -> None:
    def stretches(minutes: int) -> list[float]:
        meter = StretchMeter(HOP_S)
        # A minute is over with the first window of the next.
        heard = [
            hear(meter, 60.0 * n - HOP_S, 60.0 * (n + 1) - HOP_S, np.full(BANDS, float(n))) for n in range(minutes)
        ]
        return [float(floor_db[0]) for floors_db in heard for floor_db in floors_db]

    assert stretches(26) == pytest.approx([1.8, 11.8])
    assert stretches(10) == []


def test_a_few_stretches_teach_no_floor() -> None:
    assert SiteFloor.learn(floors(MIN_STRETCHES - 1, 0)) is None
    assert SiteFloor.learn(floors(MIN_STRETCHES, 0)) is not None
    assert SiteFloor.learn(np.zeros((0, BANDS), np.float32)) is None


def test_independent_bands_rise_by_the_root_of_the_sum_of_their_squares_above_the_mean() -> None:
    deviation_db = np.array([0.5, 0.25, 2.0])
    site = SiteFloor(np.zeros(3), np.diag(deviation_db**-2.0), Distribution(1.0, 1.0, 10.0, 10.0))
    assert site.rise(np.array([1.0, -5.0, 1.0], np.float32)) == pytest.approx(np.hypot(1.0 / 0.5, 1.0 / 2.0))
    assert site.rise(np.array([-1.0, -5.0, 0.0], np.float32)) == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(-3.0, 6.0, width=32), min_size=BANDS, max_size=BANDS))
def test_what_is_best_explained_by_a_rise_is_found(change_db: list[float]) -> None:
    """No rise that may be explains more than the one that is found."""
    site = learned()
    deviation = np.asarray(change_db)
    most = np.maximum(deviation - min(0.0, float(np.median(deviation))), 0.0)
    risen = site.rise((site.mean_db + deviation).astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(50):
        tried = np.minimum(rng.exponential(1.0, BANDS) * rng.integers(0, 2, BANDS), most)
        left = deviation - tried
        explained = deviation @ site.precision @ deviation - left @ site.precision @ left
        assert explained <= risen**2 * (1.0 + 1e-3) + 0.05


def test_a_faint_leak_in_some_bands_stands_out_and_a_louder_or_tilted_site_or_a_quieter_one_does_not() -> None:
    site, rng = learned(), np.random.default_rng(1)
    healthy = floors(40, 0, rng=rng)
    leak_db = np.zeros(BANDS)
    leak_db[4:7] = 10.0 * np.log10(1.0 + 10.0 ** (-0.3))  # 3 dB below the background of three bands
    assert np.median([site.decades(floor_db) for floor_db in healthy]) < 1.0
    assert max(site.decades(floor_db) for floor_db in healthy) < 3.0
    assert min(site.decades((floor_db + leak_db).astype(np.float32)) for floor_db in healthy) > 4.0
    assert site.decades((MEAN_DB + 2.0).astype(np.float32)) < 1.0
    assert site.decades((MEAN_DB - 8.0).astype(np.float32)) < 1.0
    fallen = MEAN_DB.copy()
    fallen[4:7] -= 6.0
    assert site.decades(fallen.astype(np.float32)) < 2.5  # it may as well be the others that rise by a little


def test_somebody_who_showers_while_a_site_is_learned_hides_no_leak() -> None:
    heard = floors(60, 0)
    heard[10:18, 3:9] += 12.0
    disturbed = SiteFloor.learn(heard)
    assert disturbed is not None
    leak_db = MEAN_DB.copy()
    leak_db[4:7] += 2.0
    assert disturbed.decades(leak_db.astype(np.float32)) > 4.0


def test_decades_of_a_site_that_is_well_are_not_said_more_often_than_they_should() -> None:
    rng, said = np.random.default_rng(3), []
    for _ in range(40):
        site = SiteFloor.learn(floors(24, 0, rng=rng))
        assert site is not None
        said += [site.decades(floor_db) for floor_db in floors(25, 0, rng=rng)]
    assert np.mean(np.array(said) > 1.0) <= 0.1
    assert np.mean(np.array(said) > 2.0) <= 0.01


def test_a_horizon_is_judged_once_half_of_it_was_heard_by_what_stays_through_it() -> None:
    site = learned()
    watch = FloorWatch(site.decades, horizon_s=600.0, hop_s=HOP_S)
    hear(watch, 0.0, 290.0, MEAN_DB)
    assert watch.decades is None
    hear(watch, 290.0, 601.0, MEAN_DB)
    assert watch.decades is not None
    assert watch.decades < 1.0
    risen = MEAN_DB.copy()
    risen[4:7] += 2.0
    hear(watch, 601.0, 961.0, risen)  # six minutes of ten
    assert watch.decades < 1.0
    hear(watch, 961.0, 1201.0, risen)
    assert watch.decades > 4.0
    hear(watch, 1201.0, 1501.0, MEAN_DB)
    assert watch.decades < 1.0
    hear(watch, 9000.0, 9130.0, MEAN_DB)
    assert watch.decades is None


@pytest.fixture(scope="module")
def site() -> SiteCalibration:
    scorer = Scorer(read_bundle(SHIPPED_BUNDLE), choose_runtime())
    rng, spec = np.random.default_rng(0), scorer.bundle.front_end
    windows = [
        Window(n, n * spec.window_hop_s, n * spec.window_hop_s + spec.window_s, features, -50.0)
        for n, features in enumerate(rng.normal(0.0, 3.0, (8, *spec.shape)).astype(np.float32))
    ]
    return replace(calibrate([windows], scorer), floor=learned())


def test_it_survives_the_disk(site: SiteCalibration, tmp_path: Path) -> None:
    site.save(tmp_path / "site.json")
    again = SiteCalibration.load(tmp_path / "site.json").floor
    assert again is not None
    assert site.floor is not None
    assert np.array_equal(again.mean_db, site.floor.mean_db)
    assert np.array_equal(again.precision, site.floor.precision)
    assert again.rises == site.floor.rises
    replace(site, floor=None).save(tmp_path / "site.json")
    assert SiteCalibration.load(tmp_path / "site.json").floor is None


@pytest.mark.parametrize(
    "damage",
    [
        {"precision": np.eye(BANDS - 1)},
        {"precision": -np.eye(BANDS)},
        {"mean_db": np.full(BANDS, np.nan)},
        {"rises": Distribution(1.0, 0.0, 10.0, 10.0)},
    ],
)
def test_a_damaged_one_is_refused(site: SiteCalibration, damage: dict[str, object], tmp_path: Path) -> None:
    assert site.floor is not None
    replace(site, floor=replace(site.floor, **damage)).save(tmp_path / "site.json")
    with pytest.raises(CalibrationError, match="damaged"):
        SiteCalibration.load(tmp_path / "site.json")
