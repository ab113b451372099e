"""Synthetic leaks do to a window what a leak does to a pipe, and normal variation does nothing of the kind."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hydroear.dsp import FrontEndSpec
from hydroear_train.augment import Augmentation, Variation, Windows, WindowSampler
from hydroear_train.corpus import Clip, Entry
from hydroear_train.curves import resonances, smooth_curves
from hydroear_train.leaks import GENERATORS, LeakGenerators
from hydroear_train.spectra import SpectrumBatch

SPEC = FrontEndSpec(rate_hz=8000, n_fft=256, hop=128, n_mels=32, high_hz=4000.0, window_frames=24, window_hop_frames=8)
NAMES = tuple(GENERATORS)
STILL = Variation(tilt_db=0.0, resonance_db=0.0, texture=(1.0, 1.0))
LOUD = (3.0, 3.0)
# float32 at the levels of a log-mel, in dB.
ROUNDING_DB = 2e-4


@pytest.fixture(scope="module")
def windows() -> Windows:
    """Pink-like noise that swells and fades."""
    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.standard_normal((64, SPEC.window_samples)), axis=1)
    noise -= np.mean(noise, axis=1, keepdims=True)
    swell = 1.0 + 0.5 * np.sin(np.linspace(0.0, 6.0, SPEC.window_samples))
    return Windows((noise * swell).astype(np.float32), ["a", "b"] * 32, ["a.wav", "b.wav"] * 32)


@pytest.fixture(scope="module")
def log_mel(windows: Windows) -> NDArray[np.float32]:
    return SpectrumBatch(SPEC).log_mel(windows.samples)


def generators(*names: str, snr_db: tuple[float, float] = LOUD) -> LeakGenerators:
    return LeakGenerators(SPEC, dict.fromkeys(names, 1.0), snr_db, np.random.default_rng(1))


def course(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a window does in time: its bands without their means."""
    course: NDArray[np.float32] = log_mel - log_mel.mean(axis=1, keepdims=True)
    return course


@pytest.mark.parametrize("name", ["jet", "band", "colour", "enhancement"])
def test_a_leak_adds_power_to_all_frames_alike(name: str, log_mel: NDArray[np.float32]) -> None:
    leaks, _ = generators(name)(log_mel, np.random.default_rng(0))
    rise_db = leaks - log_mel
    assert rise_db.min() > -ROUNDING_DB
    assert rise_db.max(axis=(1, 2)).min() > 1.0
    np.testing.assert_allclose(course(leaks), course(log_mel), atol=ROUNDING_DB)


@pytest.mark.parametrize("name", ["jet", "band", "colour", "enhancement"])
@pytest.mark.parametrize("snr_db", [-6.0, 12.0])
def test_a_leak_is_as_audible_as_asked(name: str, snr_db: float, log_mel: NDArray[np.float32]) -> None:
    leaks, _ = generators(name, snr_db=(snr_db, snr_db))(log_mel, np.random.default_rng(0))
    normal = 10.0 ** (log_mel.mean(axis=1, dtype=np.float64) / 10.0)
    leak = 10.0 ** (leaks.mean(axis=1, dtype=np.float64) / 10.0) - normal
    audibility = np.sum(leak * leak / normal, axis=1) / np.sum(leak, axis=1)
    np.testing.assert_allclose(10.0 * np.log10(audibility), snr_db, atol=0.05)


def test_shuffled_windows_hold_the_same_frames_in_another_order(log_mel: NDArray[np.float32]) -> None:
    leaks, _ = generators("shuffle")(log_mel, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(leaks, axis=1), np.sort(log_mel, axis=1))
    assert np.mean(np.any(leaks != log_mel, axis=(1, 2))) > 0.8


def test_a_surrogate_keeps_the_spectrum_and_loses_the_course(log_mel: NDArray[np.float32]) -> None:
    leaks, _ = generators("surrogate")(log_mel, np.random.default_rng(0))
    error_db = np.abs(np.mean(leaks - log_mel, axis=(0, 1)))
    assert error_db.max() < 1.0
    assert abs(np.corrcoef(course(leaks).ravel(), course(log_mel).ravel())[0, 1]) < 0.05


def test_generators_are_drawn_by_their_weights_and_named(log_mel: NDArray[np.float32]) -> None:
    weights = {"colour": 3.0, "jet": 1.0, "band": 0.0}
    leaks = LeakGenerators(SPEC, weights, LOUD, np.random.default_rng(1))
    _, kinds = leaks(np.tile(log_mel, (25, 1, 1)), np.random.default_rng(0))
    share = {name: np.mean(kinds == number) for number, name in enumerate(NAMES)}
    assert share["colour"] == pytest.approx(0.75, abs=0.04)
    assert share["colour"] + share["jet"] == 1.0


def test_resonances_are_narrow() -> None:
    """Up to three peaks with σ of at most 2.5 bands leave 128 - 3 · 2 · 4σ bands and more as they were."""
    curves = np.abs(resonances(500, 128, 10.0, np.random.default_rng(0)))
    assert np.count_nonzero(curves < 0.02, axis=1).min() >= 128 - 60
    assert np.mean(curves.max(axis=1) > 3.0) > 0.7
    assert np.mean(curves.max(axis=1) == 0.0) == pytest.approx(0.4**3, abs=0.04)


def test_smooth_curves_have_the_deviation_asked_for_and_no_level() -> None:
    curves = smooth_curves(4000, 64, 2.0, np.random.default_rng(0), terms=6)
    np.testing.assert_allclose(curves.mean(axis=1), 0.0, atol=1e-9)
    assert np.sqrt(np.mean(np.square(curves))) == pytest.approx(2.0, rel=0.03)
    assert np.abs(np.diff(curves, axis=1)).max() < 2.0


def test_a_pair_differs_by_its_leak_alone(windows: Windows) -> None:
    varied = Variation(tilt_db=2.0, resonance_db=10.0, texture=(0.5, 1.5))
    augmentation = Augmentation(SPEC, varied, generators("colour"), {})
    normal, leak, _ = augmentation.pairs(windows, np.random.default_rng(0))
    np.testing.assert_allclose(normal.mean(axis=(1, 2)), 0.0, atol=ROUNDING_DB)
    np.testing.assert_allclose(course(leak), course(normal), atol=2 * ROUNDING_DB)
    assert np.abs((leak - normal).mean(axis=1)).max(axis=1).min() > 0.5
    again = augmentation.pairs(windows, np.random.default_rng(0))
    np.testing.assert_array_equal(again[0], normal)
    np.testing.assert_array_equal(again[1], leak)


def test_variation_changes_steadiness_and_spectrum_only_as_asked(windows: Windows) -> None:
    plain = Augmentation(SPEC, STILL, generators("jet"), {})
    normal, _, _ = plain.pairs(windows, np.random.default_rng(0))
    np.testing.assert_allclose(normal, plain.normals(windows), atol=ROUNDING_DB)
    frozen = Augmentation(SPEC, Variation(0.0, 0.0, (0.0, 0.0)), generators("jet"), {})
    normal, _, _ = frozen.pairs(windows, np.random.default_rng(0))
    np.testing.assert_allclose(course(normal), 0.0, atol=ROUNDING_DB)


def test_windows_are_centred_on_their_own_site() -> None:
    means = {"a": np.full(32, 1.0, np.float32), "b": np.arange(32, dtype=np.float32)}
    augmentation = Augmentation(SPEC, STILL, generators("jet"), means)
    centred = augmentation.centred(np.zeros((3, *SPEC.shape), np.float32), ["b", "a", "b"])
    assert centred.shape == (3, *SPEC.shape, 1)
    np.testing.assert_array_equal(centred[1, ..., 0], np.full(SPEC.shape, -1.0))
    np.testing.assert_array_equal(centred[2, 5, :, 0], -np.arange(32))


def test_windows_are_drawn_with_their_site_and_recording() -> None:
    ramps = [
        Clip(Entry(Path(f"{group}.wav"), {}), group, start + np.arange(20_000, dtype=np.float32))
        for group, start in (("a", 0), ("b", 100_000))
    ]
    drawn = WindowSampler(ramps, SPEC, np.random.default_rng(0)).draw(50)
    assert [("b" if first >= 100_000 else "a") for first in drawn.samples[:, 0]] == drawn.groups
    assert drawn.recordings == [f"{group}.wav" for group in drawn.groups]
    np.testing.assert_array_equal(np.diff(drawn.samples, axis=1), 1.0)
    some = drawn.take(np.array([3, 1]))
    assert some.groups == [drawn.groups[3], drawn.groups[1]]
    np.testing.assert_array_equal(some.samples, drawn.samples[[3, 1]])
