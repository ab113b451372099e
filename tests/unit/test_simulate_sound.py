"""The simulator's physics: jets, pipes, sensors, and scenes that hold what their labels say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from hydroear.errors import UsageError
from hydroear_train.simulate import (
    DEMO_SITE,
    MATERIALS,
    Jet,
    Leak,
    Sensor,
    Site,
    Span,
    band_rms,
    demo_scene,
    leak_component,
    leak_noise,
    quantise,
    quiet_scene,
    random_leak,
    random_leak_noise,
    random_pipe,
    random_sensor,
    random_site,
    random_spans,
    render,
)
from hydroear_train.simulate.noise import harmonics
from hydroear_train.simulate.scene import Kind

RATE_HZ = 16000
FLAT = Sensor(highpass_hz=1.0, resonance_hz=50_000.0, q=0.7, noise_dbfs=-120.0, adc_bits=24)


def site_like(seed: int) -> Site:
    """A random site whose converter is good enough to measure through."""
    site = random_site(np.random.default_rng(seed))
    return replace(site, sensor=replace(site.sensor, adc_bits=24))


def line_db(x: NDArray[np.floating[Any]], frequency_hz: float, *, width_hz: float = 1.0) -> float:
    """Power around a frequency, in dB, of a Hann-windowed spectrum."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(x), 1 / RATE_HZ)
    return 10 * float(np.log10(power[np.abs(frequencies_hz - frequency_hz) <= width_hz].max()))


def centroid_hz(x: NDArray[np.floating[Any]]) -> float:
    power = np.abs(np.fft.rfft(x)) ** 2
    return float((np.fft.rfftfreq(len(x), 1 / RATE_HZ) * power).sum() / power.sum())


def test_band_rms_counts_only_what_lies_within_the_band() -> None:
    t = np.arange(5 * RATE_HZ + 77) / RATE_HZ
    inside, outside = np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 5000 * t)
    assert band_rms(inside + outside, RATE_HZ) == pytest.approx(np.sqrt(0.5), rel=1e-3)


def test_more_pressure_makes_a_jet_faster_brighter_and_louder() -> None:
    low, high = Jet(head_m=20.0, orifice_m=0.004), Jet(head_m=80.0, orifice_m=0.004)
    assert high.velocity_m_s == pytest.approx(2 * low.velocity_m_s)
    assert high.corner_hz == pytest.approx(2 * low.corner_hz)

    def power(jet: Jet) -> float:
        return float(integrate.quad(lambda f: float(jet.spectrum(np.array([f]), 0.1)[0]) ** 2, 0, np.inf, limit=200)[0])

    assert power(high) == pytest.approx(16 * power(low), rel=1e-3)  # pressure goes with the head, power with its square


def test_a_smaller_hole_hisses_higher() -> None:
    pipe = replace(random_pipe(np.random.default_rng(0), "steel"), modes=())
    small, large = (
        leak_noise(Leak(Jet(40.0, d), 1.0), pipe, FLAT, 2 * RATE_HZ, RATE_HZ, np.random.default_rng(1))
        for d in (0.0015, 0.010)
    )
    assert centroid_hz(small) > 1.3 * centroid_hz(large)


def test_wave_speed_is_near_that_of_water_in_metal_and_far_below_it_in_plastic() -> None:
    speeds = {name: random_pipe(np.random.default_rng(0), name).wave_speed_m_s for name in MATERIALS}
    assert all(1150 < speeds[name] < 1480 for name in ("ductile-iron", "steel", "cast-iron", "galvanised"))
    assert all(250 < speeds[name] < 500 for name in ("pe", "ppr"))


def test_plastic_takes_the_high_frequencies_and_metal_hardly_does() -> None:
    rng = np.random.default_rng(0)
    steel, plastic = random_pipe(rng, "steel"), random_pipe(rng, "pe")
    f = np.array([100.0, 1000.0])
    assert plastic.attenuation_db(f, 10.0)[1] > 30 * steel.attenuation_db(f, 10.0)[1]
    assert plastic.attenuation_db(f, 10.0)[1] == pytest.approx(10 * plastic.attenuation_db(f, 10.0)[0])
    jet = Jet(40.0, 0.004)

    def darkening(material: str) -> float:
        pipe = replace(random_pipe(np.random.default_rng(3), material), modes=())
        near, far = (
            leak_noise(Leak(jet, d), pipe, FLAT, 2 * RATE_HZ, RATE_HZ, np.random.default_rng(4)) for d in (0.5, 15.0)
        )
        return centroid_hz(near) / centroid_hz(far)

    assert darkening("steel") < 1.5
    assert darkening("pe") > 4.0


@pytest.mark.parametrize(("material", "least"), [("ductile-iron", 0.6), ("cast-iron", 0.6), ("pe", 0.85)])
def test_leak_energy_lies_mostly_between_50_and_2000_hz(material: str, least: float) -> None:
    fractions = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pipe = random_pipe(rng, material)
        x = leak_noise(random_leak(pipe, rng), pipe, random_sensor(rng), RATE_HZ, RATE_HZ, rng)
        fractions.append(band_rms(x, RATE_HZ) ** 2 / float(np.mean(np.square(x))))
    assert np.median(fractions) > least


@pytest.mark.parametrize("n", [1, 1000, 32000])
def test_leak_noise_for_augmentation_is_finite_steady_and_of_unit_rms(n: int) -> None:
    for seed in range(20):
        x = random_leak_noise(n, RATE_HZ, np.random.default_rng(seed))
        assert x.shape == (n,)
        assert x.dtype == np.float32
        assert np.sqrt(np.mean(np.square(x, dtype=np.float64))) == pytest.approx(1.0, rel=1e-4)
    x = leak_component(DEMO_SITE, 20 * RATE_HZ, RATE_HZ, np.random.default_rng(0))
    seconds_db = 10 * np.log10(np.mean(np.square(x).reshape(20, RATE_HZ), axis=1))
    assert np.ptp(seconds_db) < 4.0


@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 6.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_leak_is_as_loud_as_asked_for(snr_db: float, seed: int) -> None:
    site = site_like(seed)
    quiet = render(site, [], 20.0, RATE_HZ, seed=seed)
    leaking = render(site, [Span("leak", -1.0, 21.0, snr_db)], 20.0, RATE_HZ, seed=seed)
    leak = leaking.samples - quiet.samples
    assert 20 * np.log10(band_rms(leak, RATE_HZ) / band_rms(quiet.samples, RATE_HZ)) == pytest.approx(snr_db, abs=1.0)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_sound_is_heard_within_its_span_only_and_starts_without_a_click(kind: Kind) -> None:
    site = replace(DEMO_SITE, sensor=replace(DEMO_SITE.sensor, adc_bits=24))
    quiet = render(site, [], 30.0, RATE_HZ, seed=5).samples
    sound = render(site, [Span(kind, 10.0, 20.0, -3.0)], 30.0, RATE_HZ, seed=5).samples - quiet
    inside = slice(10 * RATE_HZ, 20 * RATE_HZ)
    assert band_rms(sound[inside], RATE_HZ) == pytest.approx(band_rms(quiet, RATE_HZ) * 10 ** (-3 / 20), rel=0.02)
    assert not np.delete(sound, np.r_[inside]).any()
    edge = np.abs(np.r_[sound[inside][:32], sound[inside][-32:]]).max()
    assert edge < 0.1 * np.abs(sound).max()


@pytest.mark.parametrize(("mains_hz", "other_hz"), [(50.0, 60.0), (60.0, 50.0)])
def test_hum_stands_at_the_mains_frequency(mains_hz: float, other_hz: float) -> None:
    site = replace(DEMO_SITE, hum=replace(DEMO_SITE.hum, frequency_hz=mains_hz, level_db=0.0))
    x = render(site, [], 20.0, RATE_HZ, seed=0).samples
    assert line_db(x, mains_hz) > line_db(x, other_hz) + 20
    assert line_db(x, 3 * mains_hz) > line_db(x, 3 * other_hz) + 10


def test_a_tone_does_not_know_in_how_many_blocks_it_is_made() -> None:
    n, amplitudes = 100_000, np.array([1.0, 0.5, 0.2])
    rng = np.random.default_rng(5)
    nodes = rng.normal(0.0, 1e-3, int(n / (10 * RATE_HZ)) + 2)
    frequency = 50.0 * (1.0 + np.interp(np.arange(n) / (10 * RATE_HZ), np.arange(len(nodes)), nodes))
    phase = 2.0 * np.pi * np.cumsum(frequency) / RATE_HZ
    offsets = rng.uniform(0.0, 2.0 * np.pi, 3)
    whole = sum(a * np.sin(k * phase + o) for k, (a, o) in enumerate(zip(amplitudes, offsets, strict=True), start=1))
    tone = harmonics(50.0, amplitudes, n, RATE_HZ, np.random.default_rng(5), drift=1e-3)
    np.testing.assert_allclose(tone, whole, rtol=0.0, atol=1e-6)


def test_a_pump_hums_at_shaft_times_blades() -> None:
    x = render(DEMO_SITE, [Span("pump", -2.0, 22.0, 6.0)], 20.0, RATE_HZ, seed=0).samples
    assert line_db(x, 24.3 * 6, width_hz=2.0) > line_db(x, 24.3 * 6.5, width_hz=2.0) + 15


def test_a_lorry_rumbles_and_passes() -> None:
    x = render(DEMO_SITE, [Span("lorry", 0.0, 12.0, 20.0)], 12.0, RATE_HZ, seed=0).samples
    thirds = [band_rms(part, RATE_HZ) for part in np.split(x, 3)]
    assert thirds[1] > 2 * max(thirds[0], thirds[2])
    assert band_rms(x, RATE_HZ, (5.0, 125.0)) > 3 * band_rms(x, RATE_HZ, (500.0, 8000.0))


def test_a_converter_rounds_to_its_step_and_clips_at_full_scale() -> None:
    x = np.linspace(-1.2, 1.2, 10_001, dtype=np.float32)
    for bits in (8, 12, 16):
        step = 2.0 / 2**bits
        y = quantise(x, bits)
        assert np.array_equal(y / step, np.rint(y / step))
        unclipped = np.abs(x) < 1.0 - step
        assert np.abs(y - x)[unclipped].max() <= 0.5001 * step
        assert (y.min(), y.max()) == (-1.0, 1.0 - step)
    coarse = replace(DEMO_SITE, sensor=replace(DEMO_SITE.sensor, adc_bits=10))
    levels = np.unique(render(coarse, [], 5.0, RATE_HZ, seed=0).samples)
    assert np.diff(levels).min() == 2.0 / 2**10


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    rng = np.random.default_rng(9)
    site = random_site(rng)
    spans = [*random_spans(site, 30.0, rng), Span("tap", 5.0, 12.0, 6.0)]
    first, again, other = (render(site, spans, 30.0, RATE_HZ, seed=seed).samples for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.1


def test_sites_differ_and_one_site_stays_itself() -> None:
    def spectrum_db(site: Site, seed: int) -> NDArray[np.floating[Any]]:
        power = np.abs(np.fft.rfft(render(site, [], 20.0, RATE_HZ, seed=seed).samples)) ** 2
        bands = np.array_split(power[4000:120_000], 40)
        return np.array([10 * np.log10(band.mean()) for band in bands], dtype=np.float64)

    one, two = site_like(1), site_like(2)
    within = np.std(spectrum_db(one, 1) - spectrum_db(one, 2))
    between = np.std(spectrum_db(one, 1) - spectrum_db(two, 1))
    assert within < 1.0 < 2.0 < between


def test_the_demo_leaks_from_100_to_170_s_and_is_repaired() -> None:
    scene = demo_scene(0)
    assert len(scene.samples) == 240 * RATE_HZ
    assert np.abs(scene.samples).max() < 0.9

    def level_db(start_s: int, end_s: int) -> float:
        return 20 * float(np.log10(band_rms(scene.samples[start_s * RATE_HZ : end_s * RATE_HZ], RATE_HZ)))

    before, tap, leak, after = level_db(0, 34), level_db(36, 49), level_db(101, 169), level_db(172, 240)
    assert tap > before + 6
    assert 3.0 < leak - before < 6.0  # a leak of +2 dB adds to the background
    assert abs(after - before) < 1.0
    quiet = quiet_scene(DEMO_SITE, 60.0, RATE_HZ, seed=1)
    assert {span.kind for span in quiet.spans} == {"tap", "footsteps"}
    assert abs(20 * np.log10(band_rms(quiet.samples[: 20 * RATE_HZ], RATE_HZ)) - before) < 4.0


@pytest.mark.parametrize(
    ("spans", "duration_s", "rate_hz", "complaint"),
    [
        ([], 10.0, 4000, "sample rate 4000 Hz"),
        ([], 0.0, RATE_HZ, "duration 0 s"),
        ([Span("leak", 5.0, 5.0, 0.0)], 10.0, RATE_HZ, "leak from 5 to 5 s"),
        ([Span("tap", 11.0, 12.0, 0.0)], 10.0, RATE_HZ, "tap from 11 to 12 s"),
        ([Span("tap", 1.0, 2.0, float("nan"))], 10.0, RATE_HZ, "snr_db=nan"),
        ([Span("whale", 1.0, 2.0, 0.0)], 10.0, RATE_HZ, "'whale'"),  # type: ignore[arg-type]
    ],
)
def test_a_scene_that_cannot_be_is_refused(spans: list[Span], duration_s: float, rate_hz: int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        render(DEMO_SITE, spans, duration_s, rate_hz, seed=0)
