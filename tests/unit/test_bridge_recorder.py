"""WAV files as the recorder writes them: where one ends, what is told of it, and that others can read it."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from hydroear_bridge import recorder, wav
from hydroear_bridge.account import Restart, SamplesLost
from hydroear_bridge.errors import BridgeError, UsageError
from hydroear_bridge.frames import Audio, Frame, SampleFormat
from hydroear_bridge.recorder import Recorder
from hydroear_bridge.wav import WavFile

RATE_HZ = 1000
COUNT = 20


def audio(index: int, *, at_s: float | None = None, sample_format: SampleFormat = SampleFormat.INT16) -> Frame:
    data = (
        (np.arange(index, index + COUNT) % 2**15)
        .astype("<i4")
        .view("u1")
        .reshape(-1, 4)[:, : sample_format.width]
        .tobytes()
    )
    body = Audio(sample_index=index, rate_millihz=1000 * RATE_HZ, sample_format=sample_format, data=data)
    device_us = round(1e6 * (index / RATE_HZ if at_s is None else at_s))
    return Frame(sequence=0, device_time_us=device_us, stream=1, body=body)


def lengths(folder: Path) -> list[int]:
    """Samples in each file, in the order of their metadata."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with wave.open(str(folder / json.loads(path.read_text())["file"])) as file:
            found.append(file.getnframes())
    return found


@pytest.mark.parametrize("sample_format", [SampleFormat.INT16, SampleFormat.INT24, SampleFormat.INT32])
def test_what_is_written_is_read_by_others_and_by_the_simulator(sample_format: SampleFormat, tmp_path: Path) -> None:
    path, width = tmp_path / "x.wav", sample_format.width
    integers = np.random.default_rng(1).integers(-(2 ** (8 * width - 1)), 2 ** (8 * width - 1), 333)
    data = integers.astype("<i4").view("u1").reshape(-1, 4)[:, :width].tobytes()
    file = WavFile(path, rate_hz=RATE_HZ, channels=1, width=width)
    file.write(data[:100])
    file.write(data[100:])
    file.close()
    with wave.open(str(path)) as other:
        assert (other.getnchannels(), other.getsampwidth(), other.getframerate()) == (1, width, RATE_HZ)
        assert other.readframes(other.getnframes()) == data
    assert path.stat().st_size % 2 == 0
    np.testing.assert_array_equal(wav.read(path, RATE_HZ), integers / 2 ** (8 * width - 1))
    with pytest.raises(UsageError, match=r"x\.wav: 1 channel\(s\) at 1000 Hz .* at 44100 Hz"):
        wav.read(path, 44100)


def test_a_file_ends_with_a_boot_another_format_and_a_stop(tmp_path: Path) -> None:
    writer = Recorder(tmp_path, 1)
    for happening in (
        audio(0),
        audio(COUNT),
        Restart(2),
        audio(0),
        audio(COUNT, sample_format=SampleFormat.INT24),
        audio(2 * COUNT),
        audio(3 * COUNT, at_s=0.1),  # late by less than a stop
        audio(4 * COUNT, at_s=0.2),
        audio(5 * COUNT, at_s=0.22),
    ):
        writer.take(happening, 1e9 + 10 * len(writer.done))
    writer.close()
    assert [one.samples for one in writer.done] == [40, 20, 20, 40, 40]
    assert sorted(lengths(tmp_path)) == [20, 20, 40, 40, 40]


def test_files_of_which_no_time_is_known_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for prefix in ("", "logger-7-"):
        writer = Recorder(tmp_path / prefix, 1, prefix)
        for _ in range(50):
            writer.take(audio(0), None)
            writer.take(Restart(1), None)
        assert len({one.file for one in writer.done}) == 50
        assert len(list((tmp_path / prefix).glob("*.wav"))) == 50
    assert (tmp_path / "logger-7-" / "logger-7-stream1-50.wav").exists()


def test_what_a_wav_file_cannot_hold_goes_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_DATA", 200)
    writer = Recorder(tmp_path, 1, "x-")
    for index in range(0, 10 * COUNT, COUNT):
        writer.take(audio(index), None)
    # A jump of an index that no disk holds the zeros of.
    writer.take(SamplesLost(stream=1, first_index=10 * COUNT, count=10**15, place="device"), None)
    writer.take(audio(10 * COUNT + 10**15, at_s=10 * COUNT / RATE_HZ + 1e12), None)
    writer.close()
    assert [one.samples for one in writer.done] == [100, 100, 20]
    assert [one.first_sample_index for one in writer.done] == [0, 100, 200 + 10**15]
    assert not any(one.gaps for one in writer.done)


def test_a_disk_that_cannot_be_written_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.symlink_to("/dev/full")
    with pytest.raises(BridgeError, match=r"file: No space left on device; mend that"):
        WavFile(path, rate_hz=RATE_HZ, channels=1, width=2)
