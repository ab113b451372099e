"""Audio that stands still is found to the sample, however it is cut into blocks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hydroear.audio.flatline import MIN_S, Flatline

RATE_HZ = 100
MIN_RUN = round(MIN_S * RATE_HZ)
NOISE = np.random.default_rng(0).normal(size=400).astype(np.float32)


def with_run(begin: int, end: int, value: float = 0.0) -> NDArray[np.float32]:
    """Noise in which the samples from `begin` to before `end` are equal."""
    samples = NOISE.copy()
    samples[begin:end] = value
    return samples


def heard(samples: NDArray[np.float32], *cuts: int) -> Flatline:
    """A flatline that heard the samples, cut into blocks at these indices."""
    flatline = Flatline(RATE_HZ)
    for begin, end in pairwise([0, *sorted(cuts), len(samples)]):
        flatline.push(samples[begin:end], begin)
    return flatline


@pytest.mark.parametrize("value", [0.0, 0.25, -1.0])
@pytest.mark.parametrize("cuts", [(), (150,), (100, 160, 161, 200), tuple(range(0, 400, 7))])
def test_a_stretch_is_met_at_its_first_and_last_sample_and_nowhere_else(value: float, cuts: tuple[int, ...]) -> None:
    samples = with_run(100, 200, value)
    assert not heard(samples, *cuts).overlaps(0, 100)
    assert heard(samples, *cuts).overlaps(0, 101)
    assert heard(samples, *cuts).overlaps(199, 400)
    assert not heard(samples, *cuts).overlaps(200, 400)


def test_only_what_lasts_long_enough_stands_still() -> None:
    assert not heard(with_run(100, 100 + MIN_RUN - 1)).overlaps(0, 400)
    assert heard(with_run(100, 100 + MIN_RUN)).overlaps(0, 400)


def test_a_stretch_counts_while_it_goes_on() -> None:
    flatline = heard(with_run(400 - MIN_RUN + 1, 400))
    assert not flatline.overlaps(0, 400)
    flatline.push(np.zeros(1, np.float32), 400)
    assert flatline.overlaps(390, 400)
    assert not flatline.overlaps(401, 500)


def test_lost_samples_end_a_stretch() -> None:
    flatline = Flatline(RATE_HZ)
    flatline.push(np.zeros(MIN_RUN - 1, np.float32), 0)
    flatline.push(np.zeros(MIN_RUN - 1, np.float32), 1_000)
    assert not flatline.overlaps(0, 2_000)
    flatline.push(np.zeros(1, np.float32), 1_000 + MIN_RUN - 1)
    assert not flatline.overlaps(0, 1_000)
    assert flatline.overlaps(0, 1_001)


def test_what_comes_after_a_known_end_does_not_make_a_stretch() -> None:
    flatline = heard(with_run(100, 200))
    assert not flatline.overlaps(0, 105, known_end=100 + MIN_RUN - 1)
    assert flatline.overlaps(0, 105, known_end=100 + MIN_RUN)
    assert flatline.overlaps(195, 205, known_end=205)


def test_it_says_where_the_first_stretch_begins() -> None:
    samples = with_run(100, 200)
    samples[300:350] = 0.5
    assert heard(samples).first_in(0, 400) == 100
    assert heard(samples).first_in(150, 400) == 100
    assert heard(samples).first_in(200, 400) == 300
    assert heard(samples).first_in(350, 400) is None


runs = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 3 * MIN_RUN)), min_size=1, max_size=12)


@given(runs, st.lists(st.integers(1, 200), max_size=8), st.integers(1, 40))
def test_every_cut_into_blocks_gives_what_the_definition_gives(
    runs: list[tuple[float, int]], cuts: list[int], window: int
) -> None:
    samples = np.concatenate([np.full(length, value, np.float32) for value, length in runs])
    borders = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    flat = np.zeros(len(samples), bool)
    for begin, end in pairwise(borders):
        flat[begin:end] = end - begin >= MIN_RUN
    flatline = heard(samples, *(cut for cut in cuts if cut < len(samples)))
    for begin in range(0, len(samples), window):
        assert flatline.overlaps(begin, begin + window) == flat[begin : begin + window].any()
