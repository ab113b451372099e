"""What is drawn for a soak, and what is made of what was heard."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson

from hydroear.config.schema import Decision
from hydroear_train.simulate import Span, band_rms, random_leak, render
from hydroear_train.simulate.scene import DEMO_SITE
from hydroear_train.soak import scenario, unit
from hydroear_train.soak.confounders import BAND_HZ, looped, mixed
from hydroear_train.soak.run import Cost, Kind, Mode, Outcome, Plan, Record, tasks_of
from hydroear_train.soak.scenario import NIGHT, RAIN_SHARE, Scenario, commissioning, healthy_night, leak_nights, onset
from hydroear_train.soak.share import Share
from hydroear_train.soak.table import detections, false_alarms, nights_csv, poisson_upper, record_of, to_markdown

RATE_HZ = 16000
PLAN = Plan(
    bundle=Path("some.hydroear"),
    bundle_sha256="",
    seed=0,
    sites=2,
    nights=5,
    minutes=60.0,
    commissioning_minutes=60.0,
    onset_minutes=45.0,
    snrs_db=(-10.0, 0.0),
    leaks_per_site=2,
    nightly=("horizon_s=1500",),
    continuous=(),
)


def heard(
    kind: Kind,
    number: int,
    *opened_s: float,
    night: int = 1,
    snr_db: float | None = None,
    mode: Mode = "nightly",
) -> Record:
    return Record(
        kind=kind,
        mode=mode,
        site="simulated-0-site001",
        material="steel",
        number=number,
        night=night,
        snr_db=snr_db,
        minutes=60.0,
        leak_s={"healthy": None, "leak": 0.0, "onset": 600.0}[kind],
        opened_s=opened_s,
        sounding=("shower",) * len(opened_s),
        median_decades=0.3,
        highest_decades=1.0,
    )


def nights_in_health(count: int) -> list[Scenario]:
    return [healthy_night(0, number % 20, number // 20, 3600.0) for number in range(count)]


def test_the_same_seed_draws_the_same_and_another_night_site_or_seed_something_else() -> None:
    assert healthy_night(1, 2, 3, 600.0) == healthy_night(1, 2, 3, 600.0)
    drawn = [healthy_night(*which, 600.0) for which in ((1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3))]
    assert len({scenario.seed for scenario in drawn}) == 4
    assert drawn[0].site == drawn[1].site
    assert len({scenario.site.name for scenario in drawn}) == 3
    assert np.array_equal(drawn[0].render(8000).samples, healthy_night(1, 2, 3, 600.0).render(8000).samples)


def test_nights_hold_what_is_said_as_often_as_is_said() -> None:
    nights = nights_in_health(600)
    spans = [span for night in nights for span in night.spans if span.end_s > 0.0]
    begun = Counter(scenario._name(span) for span in spans if span.start_s >= 0.0)
    for kind in ("tap", "flush", "shower", "lorry", "footsteps"):
        expected = 600 * getattr(NIGHT, kind)
        assert abs(begun[kind] - expected) < 5.0 * np.sqrt(expected)
    lengths = {kind: [s.end_s - s.start_s for s in spans if scenario._name(s) == kind] for kind in ("tap", "shower")}
    assert 3.0 <= min(lengths["tap"]) < max(lengths["tap"]) <= 90.0
    assert 300.0 <= min(lengths["shower"]) < max(lengths["shower"]) <= 1200.0
    rainy = sum(any(span.kind == "rain" for span in night.spans) for night in nights)
    assert abs(rainy - 600 * RAIN_SHARE) < 5.0 * np.sqrt(600 * RAIN_SHARE)
    assert not any(span.kind == "leak" for span in spans)
    assert all(span.start_s < 3600.0 for span in spans)


def test_a_pump_goes_on_and_off_and_a_valve_hisses_always_each_where_the_site_has_one() -> None:
    nights = nights_in_health(200)
    with_pump = [night for night in nights if night.site.pump]
    assert 0 < len(with_pump) < len(nights)
    for night in nights:
        pumping = sorted((s.start_s, s.end_s) for s in night.spans if s.kind == "pump")
        assert not pumping or night.site.pump
        assert all(end_s < start_s for (_, end_s), (start_s, _) in pairwise(pumping))
        assert sum(span.kind == "prv" for span in night.spans) == (night.site.valve is not None)
    assert max(sum(span.kind == "pump" for span in night.spans) for night in with_pump) > 2


def test_a_commissioning_is_as_long_as_asked_for_by_night_and_by_day_and_has_no_leak() -> None:
    parts = commissioning(0, 1, 3600.0)
    assert sum(part.duration_s for part in parts) == pytest.approx(3600.0)
    assert not any(span.kind == "leak" for part in parts for span in part.spans)
    taps = [
        sum(span.kind == "tap" for site in range(40) for span in commissioning(0, site, 3600.0)[part].spans)
        for part in range(2)
    ]
    assert taps[1] > 3 * taps[0]


def test_a_leak_is_the_same_in_all_its_nights_and_never_stops() -> None:
    nights = leak_nights(0, 1, 0, -5.0, 600.0)
    assert len(nights) == 3
    assert len({night.leak for night in nights}) == 1
    assert len({night.seed for night in nights}) == 3
    for night in nights:
        (leak,) = (span for span in night.spans if span.kind == "leak")
        assert leak.start_s < 0.0
        assert leak.end_s > 600.0
        assert leak.snr_db == -5.0
    assert leak_nights(0, 1, 1, -5.0, 600.0)[0].leak != nights[0].leak
    (begins,) = (span for span in onset(0, 1, 0.0, 2700.0).spans if span.kind == "leak")
    assert begins.start_s == pytest.approx(600.0)


def test_scenes_of_one_leak_sound_alike_and_those_of_another_do_not() -> None:
    rng = np.random.default_rng(0)
    leaks = [random_leak(DEMO_SITE.pipe, rng) for _ in range(2)]

    def spectrum(leak_number: int, seed: int) -> np.ndarray:
        span = Span("leak", -1.0, 21.0, 40.0)
        samples = render(DEMO_SITE, [span], 20.0, 8000, seed=seed, leak=leaks[leak_number]).samples
        power = np.square(np.abs(np.fft.rfft(samples.reshape(-1, 800), axis=1))).mean(0)[5:200]
        return 10.0 * np.log10(power / power.sum())

    same = np.abs(spectrum(0, 1) - spectrum(0, 2)).mean()
    other = np.abs(spectrum(0, 1) - spectrum(1, 2)).mean()
    assert same < 1.0
    assert other > 2.0 * same


def test_what_sounded_before_an_event_is_told_by_its_share_of_the_time() -> None:
    spans = (
        Span("tap", 0.0, 400.0, 3.0),
        Span("tap", 500.0, 530.0, 3.0),
        Span("rain", 450.0, 900.0, 3.0),
        Span("leak", -1.0, 900.0, 3.0),
    )
    night = Scenario(DEMO_SITE, spans, 900.0, 0)
    assert night.sounding(0.0, 600.0, share=0.2) == ["rain", "shower"]
    assert night.sounding(0.0, 600.0, share=0.5) == ["shower"]
    assert night.sounding(480.0, 580.0, share=0.2) == ["rain", "tap"]
    assert Scenario(DEMO_SITE, (), 900.0, 0).sounding(0.0, 600.0, share=0.2) == []


def test_an_upper_limit_is_that_mean_of_which_so_few_are_counted_one_time_in_twenty() -> None:
    assert poisson_upper(0) == pytest.approx(-np.log(0.05))
    for count in (1, 3, 20):
        assert poisson.cdf(count, poisson_upper(count)) == pytest.approx(0.05)


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    assert Share(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert Share(5, 5).interval[1] == 1.0
    assert Share(0, 0).interval == (0.0, 1.0)
    assert str(Share(19, 20)) == "19/20 [76, 99] %"


def test_false_alarms_are_counted_by_the_month_and_by_what_sounded() -> None:
    nights = [heard("healthy", number) for number in range(1, 899)]
    nights += [heard("healthy", 899, 700.0, 2000.0), heard("healthy", 900)]
    other = heard("healthy", 1, 900.0, mode="continuous")
    alarms = false_alarms([*nights, other, heard("leak", 1, 800.0, snr_db=0.0)], "nightly")
    assert false_alarms([*nights, other], "continuous").events == 1
    assert (alarms.nights, alarms.hours, alarms.events) == (900, 900.0, 2)
    assert alarms.by_sound == {"shower": 2}
    assert alarms.per_month == pytest.approx(2 / 900 * 30.4375)
    assert false_alarms(nights[:898], "nightly").per_month_at_most == pytest.approx(2.9957 / 898 * 30.4375, rel=1e-4)


def test_leaks_are_counted_by_the_night_in_which_they_are_called_and_by_how_long_that_took() -> None:
    quiet = [heard("leak", 1, night=night, snr_db=-10.0) for night in (1, 2)]
    quiet += [heard("leak", 1, 900.0, night=3, snr_db=-10.0)]
    quiet += [heard("leak", 2, night=night, snr_db=-10.0) for night in (1, 2, 3)]
    loud = [heard("leak", 1, 800.0, snr_db=0.0), heard("onset", 1, 1400.0, snr_db=0.0)]
    loud += [heard("onset", 1, 1600.0, snr_db=0.0), heard("onset", 1, 300.0, snr_db=0.0)]
    first, second = detections([*quiet, *loud, heard("healthy", 1)])
    assert (first.snr_db, second.snr_db) == (-10.0, 0.0)
    assert [(share.count, share.total) for share in first.within] == [(0, 2), (0, 2), (1, 2)]
    assert [(share.count, share.total) for share in second.within] == [(1, 1)] * 3
    # After 800 s, after 1000 s, and before the leak began, which is no detection.
    assert (second.prompt.count, second.prompt.total) == (1, 3)
    assert second.median_s == 1000.0

    healthy = [heard("healthy", 1), heard("healthy", 1, mode="continuous")]
    outcome = Outcome([*quiet, *loud, *healthy], {"simulated-0-site001": ("strange",)}, Cost(60.0, 1.0, 60.0, 1.0))
    text = to_markdown(PLAN, outcome)
    assert "| -10 dB | 0/2 [0, 66] % | 0/2 [0, 66] % | 1/2 [9, 91] % | - |  |" in text
    assert "| +0 dB | 1/1 [21, 100] % |" in text
    assert "1/3 [6, 79] % | 16.7 min |" in text
    assert "At 1 of 2 sites" in text
    assert record_of(PLAN, outcome)["detection"][0]["median_delay_s"] is None
    rows = nights_csv(outcome.records).splitlines()
    assert rows[1].startswith("leak,nightly,simulated-0-site001,steel,1,1,-10.0,60.0,0.0,,,")
    assert len(rows) == 1 + len(outcome.records)


def test_more_nights_leave_those_that_are_there_as_they_are() -> None:
    tasks = tasks_of(PLAN)
    assert Counter(task.kind for task in tasks) == {"healthy": 5, "leak": 8, "onset": 4}
    assert len({str(task) for task in tasks}) == len(tasks)
    assert Counter(task.site for task in tasks if task.kind == "healthy") == {0: 3, 1: 2}


def test_the_horizon_is_the_configurations_unless_it_is_set() -> None:
    assert unit.horizon_s(()) == Decision().horizon_s
    assert unit.horizon_s(("recheck_s=20", "horizon_s=1200")) == 1200.0


def test_a_mix_is_at_its_level_where_the_noise_sounds_and_untouched_elsewhere() -> None:
    rng = np.random.default_rng(0)
    pipe = (0.1 * rng.standard_normal(10 * RATE_HZ)).astype(np.float32)
    noise = rng.standard_normal(3 * RATE_HZ).astype(np.float32)
    for level_db in (20.0, 0.0):
        added = mixed(pipe, noise, 4 * RATE_HZ, level_db, RATE_HZ) - pipe
        assert not added[: 4 * RATE_HZ].any()
        assert not added[7 * RATE_HZ :].any()
        heard_db = 20.0 * np.log10(
            band_rms(pipe, RATE_HZ, BAND_HZ) / band_rms(added[4 * RATE_HZ : 7 * RATE_HZ], RATE_HZ, BAND_HZ)
        )
        assert heard_db == pytest.approx(level_db, abs=0.1)
    assert np.abs(mixed(pipe, noise, 0, -40.0, RATE_HZ)).max() < 1.0


def test_a_looped_recording_is_as_loud_at_its_joints_as_elsewhere() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    joints = np.concatenate(
        [
            looped(noise, 3 * RATE_HZ, RATE_HZ)[start - 400 : start + 400]
            for start in (RATE_HZ - 400, 2 * (RATE_HZ - 800) + 400)
        ]
    )
    assert joints.std() == pytest.approx(1.0, abs=0.1)
    assert len(looped(noise, 100, RATE_HZ)) == 100
