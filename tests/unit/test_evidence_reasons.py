"""The reasons are true of sounds whose band, kind and level are known because they were made so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hydroear.audio import Block, Gap, Ring, Stretch
from hydroear.dsp import FrontEnd, FrontEndSpec
from hydroear.evidence.reasons import Abnormal, Normal, Reasons, explain

SPEC = FrontEndSpec()
RATE_HZ = SPEC.rate_hz
SECONDS = 12.0
TIME_S = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ


def noise(seed: int, rms: float = 0.01) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, rms, len(TIME_S))


def band_noise(seed: int, low_hz: float, high_hz: float, rms: float) -> np.ndarray:
    spectrum = np.fft.rfft(noise(seed, 1.0))
    hz = np.fft.rfftfreq(len(TIME_S), 1.0 / RATE_HZ)
    shaped = np.fft.irfft(np.where((low_hz <= hz) & (hz < high_hz), spectrum, 0.0), len(TIME_S))
    return shaped * rms / shaped.std()


def stretch(samples: np.ndarray) -> Stretch:
    return Stretch(RATE_HZ, 0, samples.astype(np.float32), np.ones(len(samples), bool))


def heard(samples: np.ndarray) -> tuple[np.ndarray, float]:
    windows = FrontEnd(SPEC, input_rate_hz=RATE_HZ).push(samples.astype(np.float32))
    band_db = np.mean([window.features.mean(axis=0) for window in windows], axis=0)
    return band_db, float(np.mean([window.level_db for window in windows if window.level_db is not None]))


NORMAL_BAND_DB, NORMAL_LEVEL_DB = heard(noise(1))
NORMAL = Normal(band_db=NORMAL_BAND_DB, level_db=NORMAL_LEVEL_DB)


def reasons(samples: np.ndarray, normal: Normal = NORMAL, sound: Stretch | None = None) -> Reasons:
    band_db, level_db = heard(samples)
    abnormal = Abnormal(
        band_db=band_db, level_db=level_db, decades=3.2, raise_decades=2.0, lasted_s=92.0, share_over=0.97
    )
    return explain(SPEC, normal, abnormal, stretch(samples) if sound is None else sound)


def said(why: Reasons) -> str:
    return " ".join(why.sentences)


@pytest.mark.parametrize("hz", [300.0, 1000.0, 2930.0])
def test_a_tone_is_tonal_in_its_band_and_its_frequency_is_named(hz: float) -> None:
    why = reasons(noise(2) + 0.02 * np.sin(2 * np.pi * hz * TIME_S))
    assert why.low_hz <= hz <= why.high_hz
    assert why.high_hz - why.low_hz < 0.3 * hz + 150
    assert why.line_share is not None
    assert why.line_share > 0.9
    assert why.line_hz == pytest.approx(hz, abs=4.0)
    assert "It is tonal" in said(why)
    assert f"the strongest at {why.line_hz:.0f} Hz" in said(why)


def test_a_pump_with_its_harmonics_is_tonal() -> None:
    pump = sum(0.01 * np.sin(2 * np.pi * 48.5 * k * TIME_S + k) for k in range(5, 15))
    assert "It is tonal" in said(reasons(noise(2) + pump))


@pytest.mark.parametrize(("low_hz", "high_hz"), [(400.0, 900.0), (1000.0, 3000.0)])
def test_a_jet_is_broadband_in_its_band(low_hz: float, high_hz: float) -> None:
    why = reasons(noise(2) + band_noise(3, low_hz, high_hz, 0.03))
    assert why.low_hz == pytest.approx(low_hz, rel=0.2)
    assert why.high_hz == pytest.approx(high_hz, rel=0.2)
    assert why.line_share is not None
    assert why.line_share < 0.01
    assert "It is broadband" in said(why)


def test_the_rise_of_a_band_is_that_which_was_put_in() -> None:
    """Twice the amplitude everywhere is no rise of any band, but 6 dB of level."""
    why = reasons(2.0 * noise(2))
    assert not why.stands_out
    assert "No band stands out" in said(why)
    assert why.over_normal_db == pytest.approx(6.02, abs=0.1)
    assert "6.0 dB louder than normal" in said(why)


def test_a_site_that_hums_when_it_is_well_is_not_blamed_for_its_hum() -> None:
    """Normal is what was learned at the site, not silence."""
    hum = 0.05 * np.sin(2 * np.pi * 600.0 * TIME_S)
    band_db, level_db = heard(noise(1) + hum)
    why = reasons(noise(2) + hum + band_noise(3, 2000.0, 4000.0, 0.03), Normal(band_db=band_db, level_db=level_db))
    assert why.low_hz > 1500.0
    assert "It is broadband" in said(why)


def test_a_sound_that_pulses_is_unsteady_and_one_that_does_not_is_steady() -> None:
    jet = band_noise(3, 400.0, 900.0, 0.03)
    steady, pulsing = reasons(noise(2) + jet), reasons(noise(2) + jet * (np.sin(2 * np.pi * 0.3 * TIME_S) > 0))
    assert "It is steady" in said(steady)
    assert "It is unsteady" in said(pulsing)


def test_how_long_and_how_high_are_told() -> None:
    first = reasons(noise(2)).sentences[0]
    assert "92 s" in first
    assert "97 %" in first
    assert "raise level of 2 decades" in first


def test_without_a_calibration_the_trainers_pipes_are_named_and_no_level_is_compared() -> None:
    why = reasons(noise(2) + band_noise(3, 400.0, 900.0, 0.03), Normal(band_db=NORMAL_BAND_DB, level_db=None))
    assert why.over_normal_db is None
    assert "on the pipes of the trainer" in said(why)
    assert "louder" not in said(why)


def test_lost_audio_does_not_count_as_sound() -> None:
    """The zeros in place of it would make any sound unsteady."""
    samples = noise(2) + band_noise(3, 400.0, 900.0, 0.03)
    ring = Ring(RATE_HZ, SECONDS)
    second = RATE_HZ
    for begin in range(0, len(samples), second):
        lost = round((0.4 if begin < 6 * second else 0.1) * second)
        ring.push(Gap(begin, lost, "test"))
        ring.push(Block(samples[begin + lost : begin + second, None].astype(np.float32), begin + lost, 0.0))
    whole, holed = reasons(samples), reasons(samples, sound=ring.last(SECONDS))
    assert whole.unsteadiness_db is not None
    assert holed.unsteadiness_db == pytest.approx(whole.unsteadiness_db, abs=0.15)
    assert holed.line_share == pytest.approx(whole.line_share, abs=0.01)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), noise(2)[:5000], np.zeros(16000)])
def test_what_too_little_audio_cannot_tell_is_left_out(samples: np.ndarray) -> None:
    why = reasons(noise(2), sound=stretch(samples))
    assert why.line_share is None
    assert why.unsteadiness_db is None
    assert "tonal" not in said(why)
    assert len(why.sentences) == 3


def test_the_numbers_go_into_json() -> None:
    values = json.loads(json.dumps(reasons(noise(2)).to_json(), allow_nan=False))
    assert values["lasted_s"] == 92.0
    assert values["sentences"] == list(reasons(noise(2)).sentences)
