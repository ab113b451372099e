"""The ring gives back the latest audio to the sample, and says what of it was lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroear.audio import Block, Gap, Ring

RATE_HZ = 10
SECONDS = 5.0
CAPACITY = round(RATE_HZ * SECONDS)


def block(first_index: int, length: int) -> Block:
    """A block whose samples are their own indices."""
    return Block(np.arange(first_index, first_index + length, dtype=np.float32)[:, None], first_index, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * CAPACITY)), max_size=12), st.integers(0, 2 * CAPACITY))
def test_it_holds_what_a_list_of_all_samples_ends_with(pieces: list[tuple[bool, int]], wanted: int) -> None:
    ring = Ring(RATE_HZ, SECONDS)
    samples, heard = np.zeros(0), np.zeros(0, bool)
    for lost, length in pieces:
        at = len(samples)
        ring.push(Gap(at, length, "test") if lost else block(at, length))
        samples = np.concatenate([samples, np.zeros(length) if lost else np.arange(at, at + length)])
        heard = np.concatenate([heard, np.full(length, not lost)])
    count = min(wanted, CAPACITY, len(samples))
    last = ring.last(wanted / RATE_HZ)
    assert (last.first_index, last.end_index) == (len(samples) - count, len(samples))
    np.testing.assert_array_equal(last.samples, samples[len(samples) - count :])
    np.testing.assert_array_equal(last.heard, heard[len(samples) - count :])


def test_it_says_which_share_was_lost() -> None:
    ring = Ring(RATE_HZ, SECONDS)
    ring.push(block(0, 30))
    ring.push(Gap(30, 10, "test"))
    assert ring.last(4.0).lost_share == pytest.approx(0.25)
    assert ring.last(2.0).lost_share == pytest.approx(0.5)
    assert ring.between(0, 30).lost_share == 0.0
    assert ring.between(7, 7).lost_share == 0.0


def test_a_piece_that_begins_late_leaves_a_hole_and_shifts_nothing() -> None:
    ring = Ring(RATE_HZ, SECONDS)
    ring.push(block(0, 10))
    ring.push(block(15, 5))
    np.testing.assert_array_equal(ring.last(1.0).samples, [0, 0, 0, 0, 0, 15, 16, 17, 18, 19])
    np.testing.assert_array_equal(ring.last(1.0).heard, [False] * 5 + [True] * 5)


def test_what_it_gave_does_not_change_when_more_is_heard() -> None:
    ring = Ring(RATE_HZ, SECONDS)
    ring.push(block(0, CAPACITY))
    before = ring.last(SECONDS)
    ring.push(block(CAPACITY, CAPACITY))
    np.testing.assert_array_equal(before.samples, np.arange(CAPACITY))


def test_a_stretch_that_is_partly_overwritten_is_given_as_far_as_it_is_held() -> None:
    ring = Ring(RATE_HZ, SECONDS)
    ring.push(block(0, CAPACITY + 20))
    held = ring.between(10, 30)
    assert held.first_index == 20
    np.testing.assert_array_equal(held.samples, np.arange(20, 30))
