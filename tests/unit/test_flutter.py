"""Noise varies from frame to frame as noise does; a line less, drops more."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import polygamma

from hydroear.dsp import Fluctuation, Flutter, FrontEnd, Window
from hydroear.dsp.flutter import _trigamma, steady_correlation, steady_deviation_db
from hydroear.model import SHIPPED_BUNDLE, read_bundle
from hydroear_train.simulate import DEMO_SITE, Span, render

SPEC = read_bundle(SHIPPED_BUNDLE).front_end
RATE_HZ = SPEC.rate_hz
RNG = np.random.default_rng(0)
HISS = RNG.normal(0.0, 0.01, 40 * RATE_HZ).astype(np.float32)


def windows(samples: NDArray[np.floating]) -> list[Window]:
    return FrontEnd(SPEC, input_rate_hz=RATE_HZ).push(samples.astype(np.float32))


def fluctuation(samples: NDArray[np.floating], *, normal: NDArray[np.floating] = HISS) -> Fluctuation:
    """Medians over windows."""
    measure = Flutter(SPEC, np.mean([window.band_db for window in windows(normal)], axis=0, dtype=np.float32))
    found = [value for window in windows(samples) if (value := measure(window)) is not None]
    return Fluctuation(*np.median(found, axis=0))


def flutter(samples: NDArray[np.floating], *, normal: NDArray[np.floating] = HISS) -> float:
    return fluctuation(samples, normal=normal).flutter


def unison(samples: NDArray[np.floating], *, normal: NDArray[np.floating] = HISS) -> float:
    return fluctuation(samples, normal=normal).unison


def band(low_hz: float, high_hz: float, seed: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=len(HISS)))
    hz = np.fft.rfftfreq(len(HISS), 1.0 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0.0
    return np.asarray(np.fft.irfft(spectrum, len(HISS)))


def test_trigamma_is_the_textbooks() -> None:
    x = np.array([0.5, 1.0, 2.0, 7.3, 100.0])
    assert _trigamma(x) == pytest.approx(polygamma(1, x), rel=1e-10)
    assert _trigamma(np.array([1.0]))[0] == pytest.approx(np.pi**2 / 6.0, rel=1e-10)


def test_bands_of_white_noise_vary_as_is_expected() -> None:
    """Frames overlap by half and a window has sixty of them, which takes some hundredths off."""
    measured_db = np.mean([window.features.std(axis=0) for window in windows(HISS)], axis=0)
    assert measured_db == pytest.approx(steady_deviation_db(SPEC), rel=0.2)
    assert np.mean(measured_db / steady_deviation_db(SPEC)) == pytest.approx(1.0, abs=0.1)


def test_bands_of_white_noise_vary_together_as_is_expected() -> None:
    energies = np.concatenate([10.0 ** (window.features / 10.0) for window in windows(HISS)[::4]])
    measured = np.corrcoef(energies, rowvar=False)
    assert np.abs(measured - steady_correlation(SPEC)).max() < 0.2
    assert np.abs(measured - steady_correlation(SPEC)).mean() < 0.04


def drops() -> NDArray[np.float64]:
    """Two hundred knocks at random moments."""
    falls = np.zeros(len(HISS))
    falls[np.random.default_rng(2).integers(0, len(HISS), 200)] = 1.0
    knock = np.random.default_rng(3).normal(size=160) * np.exp(-np.arange(160) / 40.0)
    return np.convolve(falls, knock)[: len(HISS)]


def test_noise_in_a_band_is_steady_however_faint_and_lines_are_steadier_and_drops_are_not() -> None:
    for gain in (0.02, 0.3):
        assert fluctuation(HISS + gain * band(1000.0, 2000.0, 1)) == pytest.approx((0.95, 1.0), abs=0.12)
    time_s = np.arange(len(HISS)) / RATE_HZ
    lines = sum(np.sin(2.0 * np.pi * hz * time_s) for hz in (350.0, 700.0, 1400.0))
    assert flutter(HISS + 0.1 * lines) < 0.7
    assert fluctuation(HISS + drops()) > Fluctuation(2.0, 2.0)


@pytest.mark.parametrize("width_hz", [5.0, 20.0, 100.0])
def test_noise_through_a_narrow_resonance_flutters_but_not_in_unison(width_hz: float) -> None:
    """Few bins make its bands, and so fewer degrees of freedom than those of white noise."""
    for centre_hz in (400.0, 930.0, 2100.0):
        ringing = band(centre_hz - width_hz / 2.0, centre_hz + width_hz / 2.0, 6)
        assert unison(HISS + 0.3 * ringing / ringing.std()) < 1.55


def test_only_what_is_new_counts() -> None:
    """Somebody hammers below 500 Hz when all is well; a leak above it is steady nevertheless."""
    hammering = np.where(np.arange(len(HISS)) % (RATE_HZ // 2) < RATE_HZ // 20, band(200.0, 500.0, 4), 0.0)
    normal = HISS + 0.5 * hammering
    assert max(fluctuation(normal + 0.05 * band(1500.0, 3000.0, 5), normal=normal)) < 1.2


def test_nothing_new_has_no_flutter() -> None:
    flat = Window(0, 0.0, SPEC.window_s, np.zeros(SPEC.shape, np.float32), -40.0)
    assert Flutter(SPEC, np.zeros(SPEC.n_mels, np.float32))(flat) is None


def test_simulated_rain_is_told_from_a_simulated_leak() -> None:
    normal = render(DEMO_SITE, [], 40.0, RATE_HZ, seed=1).samples
    leak, rain = (
        render(DEMO_SITE, [Span(kind, -1.0, 41.0, 3.0)], 40.0, RATE_HZ, seed=2).samples for kind in ("leak", "rain")
    )
    assert unison(leak, normal=normal) < 1.1
    assert unison(rain, normal=normal) > 2.5
