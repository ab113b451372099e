"""Indices against the clock: losses are found and measured, errors do not add up, and clocks may differ.

Time stamps are made up, at least as late as those of the virtual microphone on a busy machine with two cores (median
0.1 ms, 98 % within 1.8 ms, at most 46 ms): a block each tenth of a second, most of them up to 2 ms late (exponential),
one in fifty up to 80 ms (uniform), on a sample clock that is off by some ppm.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from hydroear.audio import Block, Gap
from hydroear.capture.timeline import Timeline

RATE_HZ = 16_000
BLOCK = 1_600


class Sensor:
    """Blocks of an endless sound on a clock of its own, each with the time at which it arrives."""

    def __init__(self, ppm: float = 0.0, *, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._block_s = BLOCK / (RATE_HZ * (1 + 1e-6 * ppm))
        self.blocks = 0.0

    def hear(self, seconds: float) -> Iterator[float]:
        for _ in range(round(10 * seconds)):
            self.blocks += 1.0
            late_s = self._rng.uniform(0.0, 0.08) if self._rng.random() < 0.02 else self._rng.exponential(5e-4)
            yield 1_000.0 + self.blocks * self._block_s + late_s

    def lose(self, seconds: float) -> None:
        self.blocks += 10 * seconds

    @property
    def index(self) -> int:
        """Samples that have sounded."""
        return round(self.blocks * BLOCK)

    @property
    def now_s(self) -> float:
        return 1_000.0 + self.blocks * self._block_s


class Ear:
    """Places what a sensor sends, and checks that pieces follow each other."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor, self.timeline = sensor, Timeline(RATE_HZ, 1_000.0)
        self.gaps: list[Gap] = []
        self._end = 0

    def hear(self, seconds: float, *, loss: str = "") -> None:
        for end_s in self.sensor.hear(seconds):
            self._keep(self.timeline.place(np.zeros((BLOCK, 1), np.float32), end_s, loss=loss))
            loss = ""

    def wait(self, seconds: float) -> None:
        self.sensor.lose(seconds)
        gap = self.timeline.lose(self.sensor.now_s, "unplugged")
        self._keep([gap] if gap else [])

    def _keep(self, pieces: list[Block | Gap]) -> None:
        for piece in pieces:
            assert piece.first_index == self._end
            self._end = piece.end_index
        assert self.timeline.next_index == self._end
        self.gaps += [piece for piece in pieces if isinstance(piece, Gap)]

    @property
    def error(self) -> int:
        """Samples by which the index is ahead of what has sounded."""
        return self.timeline.next_index - self.sensor.index


@pytest.mark.parametrize("ppm", [-180.0, -40.0, 0.0, 40.0, 180.0])
def test_a_clock_that_is_off_makes_no_gap_and_is_told_within_its_uncertainty(ppm: float) -> None:
    ear = Ear(Sensor(ppm))
    ear.hear(30.0)
    assert ear.timeline.drift.ppm is None
    ear.hear(570.0)
    drift = ear.timeline.drift
    assert drift.ppm is not None
    assert drift.error_ppm is not None
    assert drift.error_ppm < 2.0
    assert drift.ppm == pytest.approx(ppm, abs=4 * drift.error_ppm)
    assert ear.gaps == []
    assert ear.error == 0


def test_the_stated_uncertainty_of_the_drift_is_that_of_many_sensors() -> None:
    off = []
    for seed in range(30):
        ear = Ear(Sensor(25.0, seed=seed))
        ear.hear(150.0)
        drift = ear.timeline.drift
        assert drift.ppm is not None
        assert drift.error_ppm is not None
        off.append((drift.ppm - 25.0) / drift.error_ppm)
    assert 0.6 < np.std(off) < 1.6
    assert abs(np.mean(off)) < 1.0


def test_drift_is_unknown_again_after_a_loss() -> None:
    ear = Ear(Sensor(25.0))
    ear.hear(200.0)
    assert ear.timeline.drift.ppm is not None
    ear.wait(2.0)
    assert ear.timeline.drift.ppm is None
    ear.hear(20.0)
    assert ear.timeline.drift.ppm is None


def test_a_stream_that_is_no_clock_has_no_drift() -> None:
    """Blocks whose pace wanders by a tenth of a second every few of them, as from a network."""
    rng = np.random.default_rng(3)
    timeline = Timeline(RATE_HZ, 0.0)
    for k in range(1_500):
        timeline.place(np.zeros((BLOCK, 1), np.float32), 0.1 * k + 0.04 * np.sin(k / 90) + rng.uniform(0, 0.2))
    assert timeline.drift.ppm is None


@pytest.mark.parametrize("lost_s", [0.2, 1.0, 7.5])
def test_what_was_lost_without_a_word_is_found_and_measured(lost_s: float) -> None:
    ear = Ear(Sensor(40.0))
    ear.hear(60.0)
    ear.sensor.lose(lost_s)
    ear.hear(7.0)
    (gap,) = ear.gaps
    assert "did not report" in gap.reason
    assert gap.length == pytest.approx(lost_s * RATE_HZ, abs=0.01 * RATE_HZ)
    ear.hear(60.0)
    assert len(ear.gaps) == 1


@pytest.mark.parametrize("lost_s", [0.03, 0.1])
def test_samples_that_vanish_in_small_pieces_do_not_add_up(lost_s: float) -> None:
    """Once in 50 s, for an hour."""
    ear = Ear(Sensor())
    for _ in range(72):
        ear.hear(50.0)
        assert abs(ear.error) < 0.06 * RATE_HZ
        ear.sensor.lose(lost_s)
    assert sum(gap.length for gap in ear.gaps) == pytest.approx(71 * lost_s * RATE_HZ, abs=0.06 * RATE_HZ)


def test_the_errors_of_many_gaps_do_not_add_up() -> None:
    """Overflows and restarts by turns, each first block up to 80 ms late; the clocks agree."""
    rng = np.random.default_rng(5)
    ear = Ear(Sensor(seed=6))
    errors = []
    for k in range(200):
        ear.hear(float(rng.uniform(4.0, 12.0)))
        if k % 2:
            ear.wait(float(rng.uniform(0.2, 5.0)))
            ear.hear(0.1)
        else:
            ear.sensor.lose(float(rng.uniform(0.2, 2.0)))
            ear.hear(0.1, loss="overflow")
        errors.append(ear.error / RATE_HZ)
    assert len(ear.gaps) >= 200
    assert np.max(np.abs(errors)) < 0.09
    assert abs(np.mean(errors[-50:])) < 0.03


@pytest.mark.parametrize("ppm", [-180.0, 0.0, 180.0])
def test_an_overflow_is_a_gap_of_the_length_that_the_clock_says_and_not_of_what_clocks_differ(ppm: float) -> None:
    ear = Ear(Sensor(ppm))
    ear.hear(600.0)
    ear.sensor.lose(0.7)
    ear.hear(10.0, loss="overflow")
    (gap,) = ear.gaps
    assert (gap.reason, gap.first_index) == ("overflow", 600 * RATE_HZ)
    assert gap.length == pytest.approx(0.7 * RATE_HZ, abs=0.01 * RATE_HZ)


def test_an_overflow_that_took_no_time_is_a_gap_nevertheless() -> None:
    timeline = Timeline(RATE_HZ, 0.0)
    block = np.zeros((BLOCK, 1), np.float32)
    timeline.place(block, 0.1)
    gap, _ = timeline.place(block, 0.2, loss="overflow")
    assert gap == Gap(BLOCK, 1, "overflow")


def test_a_first_block_that_is_late_makes_no_later_gap_shorter() -> None:
    timeline = Timeline(RATE_HZ, 0.0)
    block = np.zeros((BLOCK, 1), np.float32)
    timeline.place(block, 0.1 + 0.08)
    for k in range(2, 60):
        timeline.place(block, 0.1 * k)
    gap = timeline.lose(8.0, "unplugged")
    assert gap is not None
    assert gap.length == pytest.approx(2.1 * RATE_HZ, abs=1)


def test_what_comes_late_after_it_was_counted_as_lost_is_not_counted_twice() -> None:
    timeline = Timeline(RATE_HZ, 0.0)
    second = np.ones((RATE_HZ, 1), np.float32)
    timeline.place(second, 1.0)
    gap = timeline.lose(3.0, "pause")
    assert gap == Gap(RATE_HZ, 2 * RATE_HZ, "pause")
    assert timeline.place(second, 2.5) == []
    (block,) = timeline.place(second, 3.25)
    assert isinstance(block, Block)
    assert (block.first_index, len(block.samples)) == (3 * RATE_HZ, RATE_HZ // 4)


def test_nothing_that_sounded_is_dropped_though_it_comes_faster_than_time() -> None:
    timeline = Timeline(RATE_HZ, 0.0)
    pieces = [timeline.place(np.ones((BLOCK, 1), np.float32), 0.001 * k) for k in range(20_000)]
    assert all(len(found) == 1 and isinstance(found[0], Block) for found in pieces)
    assert all(before[0].end_index == after[0].first_index for before, after in pairwise(pieces))
    assert timeline.drift.ppm is None or abs(timeline.drift.ppm) > 1e6
