"""Persistence and hysteresis as a pure state machine over the site scores of one sensor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import log10

from hydroear.decide.recent import Recent
from hydroear.dsp import Fluctuation

FAULT_AFTER_S = 10.0
"""Without a window that can be scored for this long, a sensor hears nothing and says so."""

_COVERAGE = 0.5

_TWO_LOOKS_DECADES = log10(2.0)
"""Of two tests each may err half as often."""


class State(StrEnum):
    """What a sensor says of its pipe.

    ``learning`` until it has listened for one horizon; ``acknowledged`` is a leak that somebody has taken on. In
    ``noisy`` and ``fault`` it cannot judge, because of something louder than the pipe or because it hears nothing: they
    hide the state that will come back, and never become a leak.
    """

    LEARNING = "learning"
    QUIET = "quiet"
    WARNING = "warning"
    LEAK = "leak"
    ACKNOWLEDGED = "acknowledged"
    NOISY = "noisy"
    FAULT = "fault"


class Miss(StrEnum):
    """Why audio could not be scored.

    Digital silence and the like are a fault at once, lost audio soon. What drowns the pipe makes a sensor noisy once it
    has taken up half of a horizon.
    """

    FLAT = "flat"
    LOST = "lost"
    DROWNED = "drowned"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When scores become a state.

    Attributes
    ----------
    horizon_s
        How long scores must stay high for a warning.
    low_percentile
        Percentile of the scores in the horizon that is held against the raise level: a leak never stops, so that even
        its low scores are high.
    raise_decades, clear_decades
        Levels of rarity; the second is the lower one.
    recheck_s
        A warning that holds after this long is a leak.
    clear_s
        How long scores must stay low for a leak to be over.
    hold_off_s
        For how long after a leak was over no other one is called.
    hop_s
        Seconds from one window to the next.
    min_flutter, max_unison
        What the median flutter of the horizon must reach, and its median unison not exceed, for a warning to become a
        leak: what is steadier is a pump or hum, what goes up and down in unison are drops, bursts, somebody at work.
        None asks for nothing.
    """

    horizon_s: float
    low_percentile: float
    raise_decades: float
    clear_decades: float
    recheck_s: float
    clear_s: float
    hold_off_s: float
    hop_s: float
    min_flutter: float | None = None
    max_unison: float | None = None


class Decider:
    """The state of one sensor.

    Taps, footsteps and lorries stop; a leak does not. So the *low* percentile of the horizon must be over the raise
    level to warn, and be so again after the recheck to call it a leak; it must stay under the clear level for the clear
    time to call it over. Windows that could not be scored count for nothing, and half of a horizon must be there.

    Parameters
    ----------
    policy
        The rules.
    rarity
        From the low percentile of a horizon to minus log10 of how often that of a normal pipe is so high; left out,
        scores are rarities themselves.
    leaking, acknowledged
        Whether the sensor was in ``leak`` when it last stopped listening, and whether somebody had taken it on.
    """

    def __init__(
        self,
        policy: Policy,
        rarity: Callable[[float], float] = float,
        *,
        leaking: bool = False,
        acknowledged: bool = False,
    ) -> None:
        self._policy, self._rarity = policy, rarity
        self._low_decades: float | None = None
        self._state = State.LEAK if leaking else State.LEARNING
        self._acknowledged = leaking and acknowledged
        self._deaf = False
        self._drowned: deque[float] = deque()
        self._held_off_until_s = self._muted_until_s = 0.0
        self._horizon = Recent(policy.horizon_s)
        self._flutters, self._unisons = Recent(policy.horizon_s), Recent(policy.horizon_s)
        self._clear_since_s: float | None = None
        self._listening_since_s: float | None = None
        self._warned_s = 0.0
        self._heard_s = 0.0

    @property
    def state(self) -> State:
        """The state now."""
        if self._deaf:
            return State.FAULT
        if self._drowned and len(self._drowned) * self._policy.hop_s > _COVERAGE * self._policy.horizon_s:
            return State.NOISY
        return State.ACKNOWLEDGED if self._acknowledged else self._state

    @property
    def leaking(self) -> bool:
        """Whether a leak is on, also while the sensor cannot judge."""
        return self._state is State.LEAK

    def acknowledge(self) -> State:
        """Somebody has taken the leak on; nothing happens where there is none."""
        self._acknowledged = self.leaking
        return self.state

    def mute(self, for_s: float) -> None:
        """Call no leak for so long, none at all with 0; a warning may stand, and is a leak if it still does then."""
        self._muted_until_s = self._heard_s + for_s

    @property
    def muted_s(self) -> float | None:
        """For how long no leak will be called; None if one may be."""
        left_s = self._muted_until_s - self._heard_s
        return left_s if left_s > 0.0 else None

    @property
    def low_decades(self) -> float | None:
        """What is held against the raise level: the rarity of the last horizon; None before there is one."""
        return self._low_decades

    @property
    def fluctuation(self) -> Fluctuation | None:
        """Median flutter and median unison of the last horizon; None before any were told."""
        if not len(self._flutters):
            return None
        return Fluctuation(self._flutters.percentile(50.0), self._unisons.percentile(50.0))

    @property
    def leaklike(self) -> bool:
        """Whether what is heard is as steady as a leak may be."""
        fluctuation, policy = self.fluctuation, self._policy
        if fluctuation is None:
            return True
        low, high = policy.min_flutter, policy.max_unison
        return (low is None or fluctuation.flutter >= low) and (high is None or fluctuation.unison <= high)

    def hear(
        self, end_s: float, score: float, *, floor_decades: float | None = None, fluctuation: Fluctuation | None = None
    ) -> State:
        """Take what is known of a window.

        Parameters
        ----------
        end_s
            Where it ends in the stream; never falls.
        score
            Its score.
        floor_decades
            How rare the noise floor of the horizon is; None where nothing is known of it. The horizon is as rare as
            the rarer of the two makes it.
        fluctuation
            How it varies from frame to frame; None where nothing is known of that.
        """
        policy = self._policy
        if self._deaf:
            self._hear_again(end_s)
        self._heard_s = end_s
        self._forget_drowned(end_s)
        if self._listening_since_s is None:
            self._listening_since_s = end_s
        self._horizon.push(end_s, score)
        if fluctuation is not None:
            self._flutters.push(end_s, fluctuation.flutter)
            self._unisons.push(end_s, fluctuation.unison)
        low = self._low(floor_decades) if self._is_covered() else None
        self._low_decades = low
        if low is None or low >= policy.clear_decades:
            self._clear_since_s = None
        elif self._clear_since_s is None:
            self._clear_since_s = end_s
        if self._state is State.LEARNING and low is not None:
            self._state = State.QUIET
        if self._state is State.QUIET and low is not None and low >= policy.raise_decades:
            self._state, self._warned_s = State.WARNING, end_s
        if self._state is State.WARNING and low is not None:
            if low < policy.clear_decades:
                self._state = State.QUIET
            elif (
                low >= policy.raise_decades
                and end_s - self._warned_s >= policy.recheck_s
                and end_s >= max(self._held_off_until_s, self._muted_until_s)
                and self.leaklike
            ):
                self._state = State.LEAK
        elif (
            self._state is State.LEAK
            and self._clear_since_s is not None
            and end_s - self._clear_since_s >= policy.clear_s
        ):
            self._state, self._acknowledged = State.QUIET, False
            self._held_off_until_s = end_s + policy.hold_off_s
        return self.state

    def rest(self, end_s: float) -> State:
        """Take note that audio up to `end_s` was heard and is not to be judged: nothing changes."""
        if self._deaf:
            self._hear_again(end_s)
        self._heard_s = end_s
        self._forget_drowned(end_s)
        return self.state

    def _low(self, floor_decades: float | None) -> float:
        """What is held against the raise level."""
        low = self._rarity(self._horizon.percentile(self._policy.low_percentile))
        return low if floor_decades is None else max(0.0, max(low, floor_decades) - _TWO_LOOKS_DECADES)

    def miss(self, end_s: float, why: Miss) -> State:
        """Take note that audio up to `end_s` could not be scored."""
        if why is Miss.DROWNED:
            if self._deaf:
                self._hear_again(end_s)
            self._heard_s = end_s
            self._drowned.append(end_s)
        else:
            self._deaf = self._deaf or why is Miss.FLAT or end_s - self._heard_s >= FAULT_AFTER_S
        self._forget_drowned(end_s)
        return self.state

    def _forget_drowned(self, end_s: float) -> None:
        while self._drowned and self._drowned[0] <= end_s - self._policy.horizon_s:
            self._drowned.popleft()

    def _hear_again(self, end_s: float) -> None:
        """A recheck counts only what was heard; a warning from before a whole horizon of deafness is void."""
        deaf_s = end_s - self._heard_s
        self._warned_s += deaf_s
        if self._clear_since_s is not None:
            self._clear_since_s += deaf_s
        if self._state is State.WARNING and deaf_s > self._policy.horizon_s:
            self._state = State.QUIET
        self._deaf = False

    def _is_covered(self) -> bool:
        """Whether enough of the horizon was heard to judge it."""
        assert self._listening_since_s is not None
        horizon_s, hop_s = self._policy.horizon_s, self._policy.hop_s
        long_enough = self._heard_s - self._listening_since_s >= horizon_s - 1.5 * hop_s
        return long_enough and len(self._horizon) >= _COVERAGE * horizon_s / hop_s
