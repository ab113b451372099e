"""The control features against vectors by librosa and SciPy (make_control_features.py), and what they must not hear."""

from pathlib import Path

import numpy as np
import pytest

from hydroear.dsp import FrontEndSpec
from hydroear.errors import AudioError, UsageError
from hydroear_train.features import FEATURES, control_features
from hydroear_train.features.separation import harmonic_percussive

REFERENCE = np.load(Path(__file__).with_name("control_features.npz"))

TOLERANCE_DB = 1e-4
"""The reference computes in double precision. Single precision resolves 4e-6 dB at 50 dB, and that is how far apart
they are; the rest is room for another FFT."""


def case(name: str) -> tuple[np.ndarray, FrontEndSpec]:
    rate_hz, n_fft, hop, n_mels, low_hz, high_hz, window_frames, remove_level = REFERENCE[f"{name}_case"]
    spec = FrontEndSpec(
        rate_hz=int(rate_hz),
        n_fft=int(n_fft),
        hop=int(hop),
        n_mels=int(n_mels),
        low_hz=low_hz,
        high_hz=high_hz,
        window_frames=int(window_frames),
        remove_level=bool(remove_level),
        window_hop_frames=1,
    )
    return (REFERENCE[f"{name}_pcm"] / 32768).astype(np.float32), spec


@pytest.mark.parametrize("name", ["default", "narrow"])
@pytest.mark.parametrize("feature", FEATURES)
def test_features_equal_the_reference(feature: str, name: str) -> None:
    windows, spec = case(name)
    expected = REFERENCE[f"{name}_{feature}"]
    found = control_features(feature, windows, spec)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE_DB)


@pytest.mark.parametrize("feature", FEATURES)
def test_loudness_is_no_feature_where_the_level_is_removed(feature: str) -> None:
    windows, spec = case("default")
    quiet = control_features(feature, np.float32(0.1) * windows, spec)
    np.testing.assert_allclose(quiet, control_features(feature, windows, spec), rtol=0, atol=TOLERANCE_DB)


@pytest.mark.parametrize("feature", FEATURES)
def test_hum_below_the_band_is_not_heard(feature: str) -> None:
    windows, spec = case("default")
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(spec.window_samples) / spec.rate_hz)
    found = control_features(feature, windows + hum.astype(np.float32), spec)
    # The Hann window's side lobes at 200 Hz, 10 bins away, are 100 dB below the hum.
    np.testing.assert_allclose(found, control_features(feature, windows, spec), rtol=0, atol=0.1)


def test_the_harmonic_part_keeps_tones_and_the_percussive_part_knocks() -> None:
    power = np.random.default_rng(1).exponential(1e-3, (1, 60, 200)).astype(np.float32)
    tone, knock = np.s_[0, :25, 100], np.s_[0, 40, :]
    power[tone] = power[knock] = 1.0
    harmonic, percussive = harmonic_percussive(power)
    assert harmonic[tone].mean() > 0.95
    assert percussive[tone].mean() < 0.01
    assert percussive[knock].mean() > 0.95
    assert harmonic[knock].mean() < 0.01


@pytest.mark.parametrize("feature", FEATURES)
def test_silence_and_no_windows_at_all_give_finite_vectors(feature: str) -> None:
    _, spec = case("narrow")
    silent = control_features(feature, np.zeros((2, spec.window_samples), np.float32), spec)
    assert np.isfinite(silent).all()
    assert control_features(feature, np.zeros((0, spec.window_samples), np.float32), spec).shape == (0, silent.shape[1])


def test_what_cannot_be_described_is_refused() -> None:
    windows, spec = case("narrow")
    with pytest.raises(UsageError, match="'chroma' is no control feature; expected one of: line-spectrum"):
        control_features("chroma", windows, spec)
    with pytest.raises(UsageError, match="as the front end says"):
        control_features("log-mel", windows[:, 1:], spec)
    windows[0, 3] = np.nan
    with pytest.raises(AudioError, match="not a finite number"):
        control_features("log-mel", windows, spec)
