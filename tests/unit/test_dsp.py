"""Streaming equals whole-file, lost audio is never scored, and the numbers mean what they say."""

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroear.dsp import FrontEnd, FrontEndSpec, Window, mel_bank
from hydroear.dsp.highpass import HighPass
from hydroear.dsp.resample import Resampler, anti_alias_filter
from hydroear.dsp.stft import Framer, PowerSpectrum
from hydroear.errors import AudioError, UsageError

SPEC = FrontEndSpec(window_frames=10, window_hop_frames=4)
RATES_HZ = [16000, 48000, 44100, 22050, 96000, 14000]


def noise(rate_hz: int, seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(int(rate_hz * seconds))).astype(np.float32)


def in_blocks(samples: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    begin = 0
    while begin < len(samples):
        for size in sizes:
            yield samples[begin : begin + size]
            begin += size


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=6), rate_hz=st.sampled_from(RATES_HZ))
def test_stream_equals_whole_file_for_any_block_sizes(sizes: list[int], rate_hz: int) -> None:
    samples = noise(rate_hz, 2.0)
    whole = FrontEnd(SPEC, input_rate_hz=rate_hz).push(samples)
    stream = FrontEnd(SPEC, input_rate_hz=rate_hz)
    streamed = [window for block in in_blocks(samples, sizes) for window in stream.push(block)]
    assert len(whole) == len(streamed) > 5
    for a, b in zip(whole, streamed, strict=True):
        assert (a.index, a.start_s, a.end_s) == (b.index, b.start_s, b.end_s)
        np.testing.assert_allclose(a.features, b.features, rtol=1e-5, atol=1e-5)


def test_single_samples_give_the_same_windows() -> None:
    samples = noise(16000, 0.5)
    whole = FrontEnd(SPEC, input_rate_hz=16000).push(samples)
    stream = FrontEnd(SPEC, input_rate_hz=16000)
    streamed = [window for i in range(len(samples)) for window in stream.push(samples[i : i + 1])]
    np.testing.assert_allclose(streamed[0].features, whole[0].features, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [48000, 44100, 22050, 14000])
def test_resampling_equals_scipy_with_the_same_taps(rate_hz: int) -> None:
    samples = noise(rate_hz, 0.5)
    resampler = Resampler(rate_hz, 16000)
    ours = np.concatenate([resampler.push(block) for block in in_blocks(samples, [777, 1, 50])])
    taps = anti_alias_filter(resampler.up, resampler.down)
    theirs = scipy.signal.resample_poly(
        samples.astype(np.float64), resampler.up, resampler.down, window=taps / resampler.up
    )
    assert len(theirs) - len(ours) <= 60
    np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-6)


def test_resampling_keeps_the_band_and_stops_the_images() -> None:
    t = np.arange(48000) / 48000
    kept = Resampler(48000, 16000).push(np.sin(2 * np.pi * 7000 * t).astype(np.float32))[1000:-1000]
    stopped = Resampler(48000, 16000).push(np.sin(2 * np.pi * 9000 * t).astype(np.float32))[1000:-1000]
    assert 20 * np.log10(np.sqrt(2) * kept.std()) == pytest.approx(0, abs=0.1)
    assert 20 * np.log10(stopped.std()) < -70


@pytest.mark.parametrize("corner_hz", [3000.0, 100.0, 5.0, 0.1])
@pytest.mark.parametrize("size", [333, 1, 32, 6400])
def test_highpass_is_scipys_and_starts_without_a_step(corner_hz: float, size: int) -> None:
    highpass = HighPass(corner_hz, 16000)
    samples = noise(16000, 0.4) + np.float32(0.5)
    ours = np.concatenate([highpass.push(block) for block in in_blocks(samples, [size])])
    sos = scipy.signal.butter(4, corner_hz, "highpass", fs=16000, output="sos")
    theirs, _ = scipy.signal.sosfilt(sos, samples.astype(np.float64), zi=scipy.signal.sosfilt_zi(sos) * samples[0])
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    assert np.abs(HighPass(corner_hz, 16000).push(np.full(1000, 0.5, np.float32))).max() < 1e-12


def test_frames_come_once_each_and_their_power_is_that_of_the_textbook() -> None:
    samples = noise(16000, 1.0)
    framer, power_of = Framer(1024, 256), PowerSpectrum(1024)
    power = np.concatenate([power_of(framer.push(block)) for block in in_blocks(samples, [100, 3000])])
    window = scipy.signal.windows.hann(1024, sym=False)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 1024)[::256] * window
    expected = np.abs(np.fft.rfft(frames)) ** 2 / np.sum(window**2)
    np.testing.assert_allclose(power, expected, rtol=1e-3, atol=1e-9)
    mean_square = np.sum(frames**2, axis=1) / np.sum(window**2)
    np.testing.assert_allclose(power @ power_of.to_mean_square, mean_square, rtol=1e-5)


def test_level_is_that_of_the_audio() -> None:
    t = np.arange(16000 * 2) / 16000
    sine = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    window = FrontEnd(SPEC, input_rate_hz=16000).push(sine)[3]
    assert window.level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)


def test_silence_has_no_level() -> None:
    windows = FrontEnd(SPEC, input_rate_hz=16000).push(np.zeros(16000, np.float32))
    assert windows
    assert all(window.level_db is None for window in windows)


def test_removed_level_makes_loudness_no_feature() -> None:
    quiet = FrontEnd(SPEC, input_rate_hz=16000).push(noise(16000, 1.0))
    loud = FrontEnd(SPEC, input_rate_hz=16000).push(np.float32(4.0) * noise(16000, 1.0))
    np.testing.assert_allclose(quiet[0].features, loud[0].features, atol=1e-4)
    assert loud[0].level_db - quiet[0].level_db == pytest.approx(12.04, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    at=st.integers(1, 30000),
    lost=st.integers(1, 60000),
    rate_hz=st.sampled_from([16000, 48000, 44100]),
    block=st.integers(50, 5000),
)
def test_no_window_spans_lost_audio_and_all_others_come(at: int, lost: int, rate_hz: int, block: int) -> None:
    samples = noise(rate_hz, 4.0)
    whole = {window.index: window for window in FrontEnd(SPEC, input_rate_hz=rate_hz).push(samples)}
    stream = FrontEnd(SPEC, input_rate_hz=rate_hz)
    windows: list[Window] = [w for b in in_blocks(samples[:at], [block]) for w in stream.push(b)]
    stream.lose(lost)
    windows += [w for b in in_blocks(samples[at + lost :], [block]) for w in stream.push(b)]
    came = {window.index for window in windows}
    margin_s = 50 / 14000 + 441 / rate_hz
    gap_from_s, gap_to_s = at / rate_hz, (at + lost) / rate_hz
    for index, window in whole.items():
        if window.end_s <= gap_from_s - margin_s or window.start_s >= gap_to_s + margin_s:
            assert index in came
        elif window.start_s < gap_to_s and window.end_s > gap_from_s:
            assert index not in came
    assert len(came) == len(windows)
    if windows and max(came) >= gap_to_s / SPEC.window_hop_s:
        assert stream.windows_skipped + len(windows) == max(came) + 1


def test_a_window_after_the_gap_sits_at_its_true_time() -> None:
    t = np.arange(16000 * 4) / 16000
    chirp = scipy.signal.chirp(t, 300, 4, 6000).astype(np.float32)
    whole = {w.index: w for w in FrontEnd(SPEC, input_rate_hz=16000).push(chirp)}
    stream = FrontEnd(SPEC, input_rate_hz=16000)
    stream.push(chirp[:10000])
    stream.lose(11111)
    after = stream.push(chirp[21111:])
    assert len(after) > 10
    for window in after[1:]:
        np.testing.assert_allclose(window.features, whole[window.index].features, atol=1e-2)


def test_mel_bank_has_unit_area_and_covers_the_band() -> None:
    bank = mel_bank(rate_hz=16000, n_fft=8192, n_mels=40, low_hz=200.0, high_hz=7000.0)
    np.testing.assert_allclose(bank.sum(axis=1) * 16000 / 8192, 1.0, atol=0.02)
    heard_hz = np.fft.rfftfreq(8192, 1 / 16000)[bank.any(axis=0)]
    assert 200 <= heard_hz[0] < 210
    assert 6990 < heard_hz[-1] <= 7000


def test_spec_survives_json_and_its_hash_changes_with_every_field() -> None:
    spec = FrontEndSpec()
    assert FrontEndSpec.from_json(spec.to_json()) == spec
    changed = [
        FrontEndSpec(rate_hz=22050),
        FrontEndSpec(highpass_hz=0.0),
        FrontEndSpec(hop=256),
        FrontEndSpec(n_mels=32),
        FrontEndSpec(low_hz=100.0),
        FrontEndSpec(remove_level=False),
        FrontEndSpec(window_hop_frames=15),
    ]
    assert len({s.sha256 for s in [spec, *changed]}) == len(changed) + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        FrontEndSpec().to_json().replace("16000", '"16000"'),
        FrontEndSpec().to_json().replace("7000.0", "9000.0"),
    ],
)
def test_a_bad_spec_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="front end"):
        FrontEndSpec.from_json(text)


def test_a_rate_that_cannot_carry_the_band_is_refused() -> None:
    with pytest.raises(AudioError, match="8000 Hz"):
        FrontEnd(FrontEndSpec(), input_rate_hz=8000)
