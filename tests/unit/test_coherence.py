"""What two channels have in common: scipy's coherence, the bias of few frames, and the grid of the front end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from hydroear.dsp import CommonSound, FrontEnd, FrontEndSpec, ReferencedFrontEnd, Window
from hydroear.dsp.coherence import coherence
from hydroear.dsp.stft import Framer, PowerSpectrum

SPEC = FrontEndSpec()
RATE_HZ = SPEC.rate_hz


def noise(n: int, rms: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(scale=rms, size=n).astype(np.float32)


def heard(pipe: NDArray[np.float32], reference: NDArray[np.float32]) -> list[tuple[Window, CommonSound]]:
    return ReferencedFrontEnd(FrontEnd(SPEC, input_rate_hz=RATE_HZ)).push(np.stack([pipe, reference], axis=1))


def shares(pipe: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([common.share for _, common in heard(pipe, reference)])


def test_coherence_is_scipys() -> None:
    pipe = noise(SPEC.window_samples)
    reference = scipy.signal.lfilter([0.5, 0.0, 0.3], [1.0, -0.6], pipe).astype(np.float32)
    reference += noise(len(pipe), 0.05, seed=1)
    transform = PowerSpectrum(SPEC.n_fft)
    spectra = [transform.spectra(Framer(SPEC.n_fft, SPEC.hop).push(samples)) for samples in (pipe, reference)]
    _, theirs = scipy.signal.coherence(
        pipe.astype(np.float64), reference.astype(np.float64), nperseg=SPEC.n_fft, noverlap=SPEC.hop, detrend=False
    )
    np.testing.assert_allclose(coherence(*spectra), theirs, rtol=1e-3)


def test_what_has_nothing_in_common_is_as_coherent_as_the_frames_are_few() -> None:
    independent = SPEC.window_frames / (1.0 + 2.0 * (1.0 - 1.0 / SPEC.window_frames) / 36.0)
    assert 1.0 / independent < 0.018
    found = shares(noise(20 * RATE_HZ), noise(20 * RATE_HZ, seed=1))
    assert np.mean(found) == pytest.approx(1.0 / independent, rel=0.1)
    assert np.max(found) < 0.025


@pytest.mark.parametrize("airborne_db", [-20.0, -10.0, 0.0, 10.0, 20.0])
def test_the_share_is_that_of_the_power_and_the_ratio_of_levels_that_of_the_sound_in_common(airborne_db: float) -> None:
    sound, own = noise(10 * RATE_HZ), noise(10 * RATE_HZ, seed=1)
    gain = np.float32(10.0 ** (airborne_db / 20.0))
    found = heard(own + gain * sound, np.float32(2.0) * gain * sound)
    power = 10.0 ** (airborne_db / 10.0)
    for _, common in found:
        assert common.share == pytest.approx(power / (1.0 + power), abs=0.05)
    louder_db = np.mean([common.louder_db for _, common in found if common.louder_db is not None])
    # The reference holds nothing but the sound, the pipe's channel its own noise too.
    assert louder_db == pytest.approx(20.0 * np.log10(2.0) - 10.0 * np.log10((1.0 + power) / power), abs=0.5)


def test_only_the_band_of_the_front_end_counts() -> None:
    t = np.arange(5 * RATE_HZ) / RATE_HZ
    below = np.sin(2.0 * np.pi * 140.0 * t).astype(np.float32)
    within = np.sin(2.0 * np.pi * 1000.0 * t).astype(np.float32)
    pipe, reference = noise(len(t), 0.01), noise(len(t), 0.01, seed=1)
    assert shares(pipe + below, reference + below).max() < 0.05
    assert shares(pipe + within, reference + within).min() > 0.95


def test_a_silent_channel_has_nothing_in_common() -> None:
    silence = np.zeros(5 * RATE_HZ, np.float32)
    for pipe, reference in ((silence, noise(len(silence))), (noise(len(silence)), silence)):
        assert {common for _, common in heard(pipe, reference)} == {CommonSound(0.0, None)}


@pytest.mark.parametrize("input_rate_hz", [16_000, 48_000])
@pytest.mark.parametrize("block", [700, 1_600, 200_000])
def test_windows_are_those_of_the_front_end_alone_and_gaps_leave_the_channels_together(
    input_rate_hz: int, block: int
) -> None:
    """The reference is the pipe: a frame of another place would break the coherence."""
    spec = replace(SPEC, window_frames=8, window_hop_frames=3)
    pipe = noise(4 * input_rate_hz)
    alone, front_end = (FrontEnd(spec, input_rate_hz=input_rate_hz) for _ in range(2))
    referenced = ReferencedFrontEnd(front_end)
    expected: list[Window] = []
    found: list[tuple[Window, CommonSound]] = []
    for lost in (5_000, 7, 20_011):
        for begin in range(0, len(pipe), block):
            samples = pipe[begin : begin + block]
            expected += alone.push(samples)
            found += referenced.push(np.stack([samples, samples], axis=1))
        alone.lose(lost)
        referenced.lose(lost)
    assert [window.index for window, _ in found] == [window.index for window in expected]
    assert front_end.windows_skipped == alone.windows_skipped > 0
    for (window, common), other in zip(found, expected, strict=True):
        # Not to the bit: how a matrix product rounds hangs on how many frames it has at once.
        np.testing.assert_allclose(window.features, other.features, atol=1e-4)
        assert common.share == pytest.approx(1.0, abs=1e-5)
        assert common.louder_db == pytest.approx(0.0, abs=1e-5)
