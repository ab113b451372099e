"""Clips are read by every reader of such files, sample for sample, and carry their metadata."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hydroear.audio import open_recording
from hydroear.errors import AudioError, UsageError
from hydroear.evidence.clip import band_limited, choose_format, encode
from hydroear.evidence.guano import from_text, read_guano, to_text

RATE_HZ = 16_000
FIELDS = {"Timestamp": "2026-01-31T12:00:05.250Z", "Note": "a hiss\nover 800 Hz", "HYDROEAR|Sensor": "Straße-1"}
PCM = np.random.default_rng(0).integers(-32768, 32768, 2 * RATE_HZ + 1, dtype=np.int16)
SAMPLES = PCM.astype(np.float32) / np.float32(32768)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(SAMPLES, RATE_HZ, FIELDS, "wav"))
    return path


def test_a_wav_clip_holds_every_bit_of_16_bit_audio_for_three_readers(wav: Path) -> None:
    with wave.open(str(wav)) as by_stdlib:
        assert (by_stdlib.getframerate(), by_stdlib.getnchannels(), by_stdlib.getsampwidth()) == (RATE_HZ, 1, 2)
        np.testing.assert_array_equal(np.frombuffer(by_stdlib.readframes(len(PCM) + 1), "<i2"), PCM)
    with open_recording(wav) as by_ourselves:
        np.testing.assert_array_equal(by_ourselves.read(len(PCM) + 1)[:, 0], SAMPLES)
    by_libsndfile, rate_hz = soundfile.read(wav, dtype="int16")
    np.testing.assert_array_equal(by_libsndfile, PCM)
    assert rate_hz == RATE_HZ


@pytest.mark.parametrize("note", ["even", "odd!!"])
def test_the_riff_container_is_sound(note: str) -> None:
    """Its length is that of the file, its chunks fill it, and each begins at an even byte."""
    data = encode(SAMPLES, RATE_HZ, {"Note": note}, "wav")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    offset, chunks = 12, {}
    while offset < len(data):
        assert offset % 2 == 0
        length = int.from_bytes(data[offset + 4 : offset + 8], "little")
        chunks[data[offset : offset + 4]] = length
        offset += 8 + length
    assert offset == len(data)
    assert len(data) % 2 == 0
    assert list(chunks) == [b"fmt ", b"data", b"guan"]
    assert chunks[b"data"] == 2 * len(PCM)


def test_the_metadata_come_back_with_the_version_first(wav: Path) -> None:
    fields = read_guano(wav)
    assert next(iter(fields.items())) == ("GUANO|Version", "1.0")
    assert fields == {"GUANO|Version": "1.0", **FIELDS}


def test_a_block_as_the_specification_shows_it_is_understood() -> None:
    text = "GUANO|Version:  1.0\n\n  Timestamp:  2012-03-29T03:58:01+04:00\nNote:  one\\ntwo: three\nPET|Gain: 80\n  \0"
    assert from_text(text) == {
        "GUANO|Version": "1.0",
        "Timestamp": "2012-03-29T03:58:01+04:00",
        "Note": "one\ntwo: three",
        "PET|Gain": "80",
    }


def test_a_key_that_would_be_read_as_another_is_refused() -> None:
    with pytest.raises(ValueError, match="no GUANO key"):
        to_text({"HYDROEAR|A: B": "c"})


def test_a_file_without_metadata_says_so(tmp_path: Path) -> None:
    path = tmp_path / "plain.wav"
    soundfile.write(path, SAMPLES, RATE_HZ)
    with pytest.raises(AudioError, match="no GUANO metadata"):
        read_guano(path)


def test_a_flac_clip_holds_every_bit_and_the_metadata(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(encode(SAMPLES, RATE_HZ, FIELDS, "flac"))
    with soundfile.SoundFile(path) as sound:
        assert (sound.format, sound.subtype, sound.samplerate) == ("FLAC", "PCM_16", RATE_HZ)
        assert from_text(sound.comment) == {"GUANO|Version": "1.0", **FIELDS}
        np.testing.assert_array_equal(sound.read(dtype="int16"), PCM)


def test_samples_beyond_full_scale_are_cut_off_and_do_not_wrap() -> None:
    data = encode(np.array([1.5, -1.5, 1.0], np.float32), RATE_HZ, {}, "wav")
    np.testing.assert_array_equal(np.frombuffer(data[44:50], "<i2"), [32767, -32768, 32767])


def test_without_soundfile_auto_is_wav_and_flac_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_format("auto") == "flac"
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert choose_format("auto") == "wav"
    with pytest.raises(UsageError, match="FLAC needs the soundfile package"):
        choose_format("flac")


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples[1000:-1000]))))


@pytest.mark.parametrize("hz", [310.0, 1000.0, 1990.0])
def test_the_band_passes_as_it_was(hz: float) -> None:
    limited = band_limited(tone(hz), RATE_HZ, low_hz=300.0, high_hz=2000.0)
    assert limited.dtype == np.float32
    assert rms(limited - tone(hz)) < 0.02


@pytest.mark.parametrize("hz", [100.0, 250.0, 2250.0, 5000.0])
def test_nothing_is_left_of_what_lies_outside_the_band(hz: float) -> None:
    limited = band_limited(tone(hz), RATE_HZ, low_hz=300.0, high_hz=2000.0)
    assert 20 * np.log10(rms(limited) / rms(tone(hz))) < -60.0


def test_the_end_of_a_band_limited_clip_does_not_run_into_its_beginning() -> None:
    samples = np.zeros(RATE_HZ, np.float32)
    samples[-100:] = tone(1000.0)[:100]
    limited = band_limited(samples, RATE_HZ, low_hz=300.0, high_hz=2000.0)
    assert np.abs(limited[: RATE_HZ // 2]).max() < 0.01
