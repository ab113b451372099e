"""A leak is what stays: taps stop, recheck and hysteresis hold, and a deaf sensor decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydroear.decide import Decider, Miss, Policy, State
from hydroear.dsp import Fluctuation

POLICY = Policy(
    horizon_s=20.0,
    low_percentile=20.0,
    raise_decades=3.0,
    clear_decades=1.5,
    recheck_s=5.0,
    clear_s=15.0,
    hold_off_s=0.0,
    hop_s=1.0,
)
LOW, BETWEEN, HIGH = 0.3, 2.0, 6.0
WINDOWS = int(POLICY.horizon_s / POLICY.hop_s)
"""Windows in a horizon."""


def hear(decider: Decider, scores: Iterable[float], *, after_s: float = 0.0) -> list[State]:
    """States after windows that end 1, 2, … hops after `after_s`."""
    return [decider.hear(after_s + k * POLICY.hop_s, score) for k, score in enumerate(scores, start=1)]


def quiet_decider() -> Decider:
    """A decider that has heard low scores until second 20."""
    decider = Decider(POLICY)
    hear(decider, [LOW] * WINDOWS)
    return decider


def leaking_decider() -> Decider:
    """A decider that has heard high scores until second 60."""
    decider = Decider(POLICY)
    hear(decider, [HIGH] * 60)
    return decider


def test_it_learns_until_it_has_listened_for_one_horizon() -> None:
    assert hear(Decider(POLICY), [LOW] * WINDOWS) == [State.LEARNING] * (WINDOWS - 1) + [State.QUIET]


def test_a_leak_warns_when_it_fills_the_horizon_and_is_one_when_it_is_still_there_at_the_recheck() -> None:
    states = hear(quiet_decider(), [HIGH] * 40, after_s=20.0)
    warned, leaked = states.index(State.WARNING), states.index(State.LEAK)
    # 80 % of the horizon: the percentile reaches the raise level between the 16th and the 17th high window.
    assert warned + 1 in (16, 17)
    assert leaked - warned == POLICY.recheck_s
    assert states == [State.QUIET] * warned + [State.WARNING] * (leaked - warned) + [State.LEAK] * (40 - leaked)


@given(st.integers(0, WINDOWS - 1), st.floats(HIGH, 12.0), st.integers(0, WINDOWS))
def test_a_tap_that_stops_before_the_horizon_is_full_never_warns(length: int, score: float, pause: int) -> None:
    decider = Decider(replace(POLICY, low_percentile=0.0, recheck_s=0.0))
    scores = [LOW] * WINDOWS + [score] * length + [LOW] * (1 + pause) + [score] * length + [LOW] * WINDOWS
    assert set(hear(decider, scores)) <= {State.LEARNING, State.QUIET}


@given(st.sampled_from([0.0, 10.0, 20.0, 35.0, 50.0]), st.data())
def test_the_percentile_is_how_many_windows_may_be_low_in_a_leak(low_percentile: float, data: st.DataObject) -> None:
    rank = low_percentile / 100.0 * (WINDOWS - 1)
    few, many = int(rank), int(rank) + 2  # with few low windows the percentile is a high one, with many a low one
    for count, leaks in ((few, True), (many, False)):
        low_at = data.draw(st.sets(st.integers(0, WINDOWS - 1), min_size=count, max_size=count))
        decider = Decider(replace(POLICY, low_percentile=low_percentile))
        period = [LOW if k in low_at else HIGH for k in range(WINDOWS)]
        assert (State.LEAK in hear(decider, period * 3)) is leaks


def test_a_warning_that_is_neither_high_nor_low_stands_and_one_that_is_low_ends() -> None:
    decider = Decider(replace(POLICY, recheck_s=30.0))
    assert hear(decider, [HIGH] * 40)[-1] is State.WARNING
    assert set(hear(decider, [BETWEEN] * 60, after_s=40.0)) == {State.WARNING}
    assert hear(decider, [LOW] * WINDOWS, after_s=100.0)[-1] is State.QUIET


def test_a_leak_is_over_only_when_it_has_been_low_for_the_clear_time() -> None:
    decider = leaking_decider()
    assert set(hear(decider, [BETWEEN] * 60, after_s=60.0)) == {State.LEAK}
    states = hear(decider, [LOW] * 30, after_s=120.0)
    # A fifth of the horizon must be low before its low percentile is.
    assert states.index(State.QUIET) + 1 in range(int(POLICY.clear_s) + 4, int(POLICY.clear_s) + 7)
    assert set(states[states.index(State.QUIET) :]) == {State.QUIET}


def test_a_leak_that_stopped_being_heard_for_a_restart_is_still_one_until_it_has_been_low() -> None:
    assert Decider(POLICY, leaking=True).state is State.LEAK
    assert set(hear(Decider(POLICY, leaking=True), [HIGH] * 60)) == {State.LEAK}
    states = hear(Decider(POLICY, leaking=True), [LOW] * 40)
    assert states.index(State.QUIET) + 1 == WINDOWS + POLICY.clear_s


def test_too_few_windows_in_the_horizon_decide_nothing() -> None:
    """A third of the windows arrive: never half of a horizon."""
    decider = quiet_decider()
    states = [decider.hear(20.0 + 3.0 * k, HIGH) for k in range(1, 40)]
    assert set(states) == {State.QUIET}


def test_after_a_long_loss_it_decides_again_when_half_of_the_horizon_was_heard() -> None:
    decider = quiet_decider()
    states = hear(decider, [HIGH] * WINDOWS, after_s=5_000.0)
    assert states.index(State.WARNING) + 1 == WINDOWS / 2


def test_silence_is_a_fault_at_once_and_a_loss_after_ten_seconds() -> None:
    silent, lost = quiet_decider(), quiet_decider()
    assert silent.miss(21.0, Miss.FLAT) is State.FAULT
    assert lost.miss(29.9, Miss.LOST) is State.QUIET
    assert lost.miss(30.0, Miss.LOST) is State.FAULT
    assert Decider(POLICY).miss(10.0, Miss.LOST) is State.FAULT


@pytest.mark.parametrize(("before", "state"), [(quiet_decider, State.QUIET), (leaking_decider, State.LEAK)])
def test_a_fault_hides_the_state_and_gives_it_back(before: Callable[[], Decider], state: State) -> None:
    decider = before()
    assert decider.miss(61.0, Miss.FLAT) is State.FAULT
    assert decider.miss(62.0, Miss.LOST) is State.FAULT
    assert decider.leaking is (state is State.LEAK)
    assert decider.hear(63.0, HIGH if state is State.LEAK else LOW) is state


def warned_decider() -> Decider:
    """A decider that has warned at second 36 or 37 and stopped hearing at second 38."""
    decider = quiet_decider()
    assert hear(decider, [HIGH] * 18, after_s=20.0)[-1] is State.WARNING
    assert decider.miss(39.0, Miss.FLAT) is State.FAULT
    return decider


def test_a_recheck_counts_only_what_was_heard() -> None:
    decider = warned_decider()
    states = hear(decider, [HIGH] * 10, after_s=44.0)
    assert states[0] is State.WARNING
    assert 1 <= states.index(State.LEAK) <= POLICY.recheck_s


def test_a_warning_from_before_a_long_fault_is_void() -> None:
    states = hear(warned_decider(), [HIGH] * 20, after_s=60.0)
    assert states[0] is State.QUIET
    assert states.index(State.LEAK) - states.index(State.WARNING) == POLICY.recheck_s


pieces = st.lists(
    st.tuples(st.floats(0.5, 15.0), st.one_of(st.none(), st.booleans(), st.floats(0.0, 12.0))), max_size=80
)
"""Steps in time, each with a score, with silence (True), with a loss (False) or with nothing at all (None)."""


@given(pieces)
def test_scores_below_the_raise_level_never_leave_quiet(pieces: list[tuple[float, bool | float | None]]) -> None:
    decider, now_s = Decider(POLICY), 0.0
    for step_s, piece in pieces:
        now_s += step_s
        if isinstance(piece, bool):
            assert decider.miss(now_s, Miss.FLAT if piece else Miss.LOST) in (State.LEARNING, State.QUIET, State.FAULT)
        elif piece is not None:
            assert decider.hear(now_s, min(piece, 2.99)) in (State.LEARNING, State.QUIET)


@given(pieces, st.booleans())
def test_what_is_not_heard_opens_and_closes_nothing_and_every_leak_was_rechecked(
    pieces: list[tuple[float, bool | float | None]], leaking: bool
) -> None:
    decider, now_s, warned_s = Decider(POLICY, leaking=leaking), 0.0, 0.0
    for step_s, piece in pieces:
        now_s += step_s
        before, was_leaking = decider.state, decider.leaking
        if isinstance(piece, bool):
            state = decider.miss(now_s, Miss.FLAT if piece else Miss.LOST)
            assert state in (before, State.FAULT)
            assert state is State.FAULT or not piece
            assert decider.leaking is was_leaking
        elif piece is not None:
            state = decider.hear(now_s, piece)
            assert state is not State.FAULT
            if state is State.WARNING and before is not State.FAULT and before is not State.WARNING:
                warned_s = now_s
            if decider.leaking and not was_leaking:
                assert now_s - warned_s >= POLICY.recheck_s


def test_a_leak_that_somebody_has_taken_on_is_acknowledged_until_it_is_over() -> None:
    decider = leaking_decider()
    assert decider.acknowledge() is State.ACKNOWLEDGED
    assert decider.leaking
    assert set(hear(decider, [HIGH] * 30, after_s=60.0)) == {State.ACKNOWLEDGED}
    states = hear(decider, [LOW] * 30, after_s=90.0)
    assert set(states) == {State.ACKNOWLEDGED, State.QUIET}
    assert hear(decider, [HIGH] * 40, after_s=120.0)[-1] is State.LEAK, "the next leak is another one"


def test_only_a_leak_can_be_acknowledged_also_over_a_restart() -> None:
    assert quiet_decider().acknowledge() is State.QUIET
    assert Decider(POLICY, leaking=True, acknowledged=True).state is State.ACKNOWLEDGED
    assert Decider(POLICY, leaking=False, acknowledged=True).state is State.LEARNING


def test_a_muted_sensor_calls_a_leak_only_when_the_mute_is_over() -> None:
    decider = quiet_decider()
    decider.mute(50.0)
    states = hear(decider, [HIGH] * 80, after_s=20.0)
    assert states.index(State.LEAK) + 1 == 50
    assert set(states[: states.index(State.LEAK)]) == {State.QUIET, State.WARNING}


def test_after_a_leak_was_over_no_other_one_is_called_for_the_hold_off() -> None:
    decider = Decider(replace(POLICY, hold_off_s=100.0))
    hear(decider, [HIGH] * 60)
    over_s = 61 + hear(decider, [LOW] * 30, after_s=60.0).index(State.QUIET)
    states = hear(decider, [HIGH] * 150, after_s=90.0)
    assert 91 + states.index(State.LEAK) == over_s + 100.0
    assert State.WARNING in states


def drown(decider: Decider, count: int, *, after_s: float) -> list[State]:
    return [decider.miss(after_s + k * POLICY.hop_s, Miss.DROWNED) for k in range(1, count + 1)]


@pytest.mark.parametrize(("before", "state"), [(quiet_decider, State.QUIET), (leaking_decider, State.LEAK)])
def test_what_drowns_the_pipe_for_half_a_horizon_makes_a_sensor_noisy_and_never_leaking(
    before: Callable[[], Decider], state: State
) -> None:
    decider = before()
    states = drown(decider, 60, after_s=60.0)
    assert states.index(State.NOISY) == WINDOWS / 2
    assert set(states) == {state, State.NOISY}
    calm = hear(decider, [HIGH if state is State.LEAK else LOW] * WINDOWS, after_s=120.0)
    assert calm[0] is State.NOISY
    assert calm[-1] is state


def test_a_drowned_window_is_no_silence() -> None:
    decider = quiet_decider()
    assert decider.miss(21.0, Miss.FLAT) is State.FAULT
    assert decider.miss(22.0, Miss.DROWNED) is State.QUIET
    assert set(drown(decider, 9, after_s=22.0)) == {State.QUIET}
    assert decider.miss(40.9, Miss.LOST) is State.QUIET


def test_a_leak_that_flutters_is_one_leak() -> None:
    """It sounds well for a while now and then, but its horizon never for as long as the clear time."""
    decider = Decider(replace(POLICY, clear_s=30.0))
    hear(decider, [HIGH] * 60)
    for turn in range(20):
        states = hear(decider, [LOW] * 12 + [HIGH] * 28, after_s=60.0 + 40.0 * turn)
        assert set(states) == {State.LEAK}


def test_a_floor_that_is_rare_warns_where_scores_do_not_and_either_of_two_tests_must_be_rarer_than_one() -> None:
    def states(floor_decades: float | None, score: float) -> set[State]:
        decider = quiet_decider()
        return {decider.hear(20.0 + k, score, floor_decades=floor_decades) for k in range(1, 60)}

    assert states(None, 3.1) == states(3.1, 3.4) == {State.QUIET, State.WARNING, State.LEAK}
    assert states(3.4, LOW) == {State.WARNING, State.LEAK}
    assert states(3.2, LOW) == states(LOW, 3.2) == {State.QUIET}


def test_a_floor_says_nothing_before_there_is_a_horizon() -> None:
    decider = Decider(POLICY)
    assert {decider.hear(float(k), LOW, floor_decades=HIGH) for k in range(1, WINDOWS)} == {State.LEARNING}


@pytest.mark.parametrize(("low", "high"), [(None, 2.0), (0.7, None), (0.7, 2.0)])
def test_what_varies_as_no_leak_does_stays_a_warning_until_it_varies_as_one(
    low: float | None, high: float | None
) -> None:
    steady, line, drops = Fluctuation(1.0, 1.0), Fluctuation(0.5, 1.0), Fluctuation(1.0, 2.5)
    for unlike in ([line] if low else []) + ([drops] if high else []):
        decider = Decider(replace(POLICY, min_flutter=low, max_unison=high))
        states = [decider.hear(float(k), HIGH, fluctuation=unlike if k % 10 else steady) for k in range(1, 100)]
        assert State.LEAK not in states
        assert states[-1] is State.WARNING
        assert not decider.leaklike
        states = [decider.hear(100.0 + k, HIGH, fluctuation=steady) for k in range(1, 40)]
        assert WINDOWS / 2 - 3 <= states.index(State.LEAK) + 1 <= WINDOWS / 2 + 2
        # A leak that is called stays called: rain may set in.
        assert {decider.hear(140.0 + k, HIGH, fluctuation=unlike) for k in range(1, 60)} == {State.LEAK}


def test_what_is_not_to_be_judged_changes_nothing_and_a_warning_is_rechecked_the_next_night() -> None:
    decider = quiet_decider()
    assert hear(decider, [HIGH] * 17, after_s=20.0)[-1] is State.WARNING
    day = {decider.rest(37.0 + k) for k in range(1, 5_000)}
    assert day == {State.WARNING}
    states = hear(decider, [HIGH] * WINDOWS, after_s=5_040.0)
    assert states.index(State.LEAK) + 1 == WINDOWS / 2
    assert {decider.rest(6_000.0 + k) for k in range(1, 5_000)} == {State.LEAK}


def test_listening_without_judging_is_no_fault_and_ends_one() -> None:
    decider = quiet_decider()
    assert decider.rest(500.0) is State.QUIET
    assert decider.miss(505.0, Miss.LOST) is State.QUIET
    assert decider.miss(510.0, Miss.FLAT) is State.FAULT
    assert decider.rest(511.0) is State.QUIET
