"""Recordings played as a sensor: continuous indices, the chosen channel, real time by the clock."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydroear.audio import Block, Samples
from hydroear.capture import RecordingSource, Source
from hydroear.capture.recording import BLOCK_S, PACED_BLOCK_S
from hydroear.errors import AudioError, UsageError

RATE_HZ = 8_000


def record(path: Path, samples: Samples, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    return path


def noise(frames: int, channels: int = 1) -> Samples:
    return np.random.default_rng(frames).uniform(-1, 1, (frames, channels)).astype(np.float32)


def play(source: Source) -> list[Block]:
    blocks = []
    while (block := source.read()) is not None:
        assert isinstance(block, Block)
        blocks.append(block)
    return blocks


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 2_000), min_size=1, max_size=4),
    block_s=st.floats(0.0001, 0.5),
    channel=st.integers(1, 3),
)
def test_files_are_joined_without_a_seam(tmp_path: Path, lengths: list[int], block_s: float, channel: int) -> None:
    sounds = [noise(length, channels=3) for length in lengths]
    files = [record(tmp_path / f"{i}.wav", sound) for i, sound in enumerate(sounds)]
    source = RecordingSource(files, channel=channel, block_s=block_s)
    blocks = play(source)
    source.close()
    assert [block.first_index for block in blocks] == [0, *(block.end_index for block in blocks[:-1])]
    assert all(len(block.samples) <= max(1, round(block_s * RATE_HZ)) for block in blocks)
    heard = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(heard, np.concatenate(sounds)[:, channel - 1 : channel])


def test_plays_by_the_clock_and_not_faster(tmp_path: Path) -> None:
    source = RecordingSource([record(tmp_path / "a.wav", noise(RATE_HZ))], speed=4.0)
    start_s = time.monotonic()
    blocks = play(source)
    assert 0.25 <= time.monotonic() - start_s < 2.0
    for block in blocks:
        assert block.monotonic_s - start_s >= block.end_index / RATE_HZ / 4.0


def test_blocks_are_short_by_the_clock_and_long_where_nobody_waits(tmp_path: Path) -> None:
    file = record(tmp_path / "a.wav", noise(5 * RATE_HZ))
    lengths = {speed: len(play_one(RecordingSource([file], speed=speed)).samples) for speed in (0.0, 100.0)}
    assert lengths == {0.0: round(BLOCK_S * RATE_HZ), 100.0: round(PACED_BLOCK_S * RATE_HZ)}


def play_one(source: Source) -> Block:
    block = source.read()
    source.close()
    assert isinstance(block, Block)
    return block


def test_close_ends_a_read_that_waits(tmp_path: Path) -> None:
    source = RecordingSource([record(tmp_path / "a.wav", noise(RATE_HZ))], speed=0.001)
    heard: list[object] = []
    reader = threading.Thread(target=lambda: heard.append(source.read()))
    reader.start()
    source.close()
    reader.join(timeout=5.0)
    assert heard == [None]
    source.close()


def test_a_bad_second_file_is_reported_before_the_first_is_played(tmp_path: Path) -> None:
    good, bad = record(tmp_path / "good.wav", noise(100)), tmp_path / "bad.wav"
    bad.write_bytes(good.read_bytes()[:-8])
    with pytest.raises(AudioError, match=r"bad\.wav: truncated"):
        RecordingSource([good, bad])


def test_files_of_two_rates_are_refused(tmp_path: Path) -> None:
    files = [record(tmp_path / "slow.wav", noise(9), 8_000), record(tmp_path / "fast.wav", noise(9), 16_000)]
    with pytest.raises(AudioError, match=r"fast\.wav: sample rate 16000 Hz; expected 8000 Hz as in .*slow\.wav"):
        RecordingSource(files)


@pytest.mark.parametrize("channel", [0, 3])
def test_a_channel_the_recording_lacks_is_refused(tmp_path: Path, channel: int) -> None:
    with pytest.raises(AudioError, match=rf"a\.wav: no channel {channel}; expected 1 to 2"):
        RecordingSource([record(tmp_path / "a.wav", noise(9, channels=2))], channel=channel)


def test_nothing_to_play_and_impossible_speeds_are_misuse(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recordings"):
        RecordingSource([])
    for speed in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="speed"):
            RecordingSource([record(tmp_path / "a.wav", noise(9))], speed=speed)


def test_the_reference_channel_comes_second_and_is_another_one(tmp_path: Path) -> None:
    sound = noise(1_000, channels=3)
    file = record(tmp_path / "a.wav", sound)
    source = RecordingSource([file], channel=3, reference_channel=1)
    np.testing.assert_array_equal(np.concatenate([block.samples for block in play(source)]), sound[:, [2, 0]])
    with pytest.raises(UsageError, match="channel and reference channel are both 3"):
        RecordingSource([file], channel=3, reference_channel=3)
    with pytest.raises(AudioError, match="no channel 4"):
        RecordingSource([file], channel=3, reference_channel=4)
