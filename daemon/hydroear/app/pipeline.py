"""One sensor's path: audio in, one report a window out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hydroear.app.intake import AIRBORNE, Examined, Intake
from hydroear.audio import Block, Gap, Scale, level_of, unit_of
from hydroear.config.schema import Decision
from hydroear.decide import Decider, Miss, Policy, State
from hydroear.dsp import Flutter, FrontEndSpec, Window
from hydroear.health import Ailment, Cause, Condition, Liveness
from hydroear.score import SiteScorer
from hydroear.score.floor import FloorWatch
from hydroear.score.night import QUIETEST_PERCENT

FLOOR_S = 600.0
"""How much of what was heard last the noise floor is of. A choice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What is known after one window, or after audio that made none.

    Attributes
    ----------
    sensor
        The sensor.
    window
        Number of the window on the stream's grid; None for lost audio.
    position_s
        Where the window ends in the stream.
    decades
        Site score; None if the window was not scored.
    value
        What that is the rarity of; None likewise.
    horizon_decades
        What is held against the raise level: the rarity of the last horizon; None before there is one.
    error
        Reconstruction error; None likewise.
    band_db
        Mean of each band of the window's features, shape (n_mels,); None likewise.
    floor_db
        Noise floor of the last horizon, shape (n_mels,), where a minute of it is over with this window; else None.
    level_db
        Level; None for digital silence and lost audio.
    scale
        What the samples stand for; None where nobody knows.
    ailment
        What is wrong with the audio; None if nothing is.
    condition
        How the sensor is doing.
    previous, state
        State before and after.
    score_ms
        Time the models took; None if the window was not scored.
    reason
        Why the state is what it is, in plain words.
    event
        ``open`` where a leak begins, ``close`` where it is over, else None.
    taken_s, taken_utc_s
        When the window's last sample was taken, as :class:`hydroear.audio.Block` tells; None for lost audio, the second
        also where no device recorded it.
    """

    sensor: str
    position_s: float
    previous: State
    state: State
    reason: str
    window: int | None = None
    decades: float | None = None
    value: float | None = None
    horizon_decades: float | None = None
    error: float | None = None
    band_db: NDArray[np.float32] | None = None
    floor_db: NDArray[np.float32] | None = None
    level_db: float | None = None
    scale: Scale | None = None
    ailment: Ailment | None = None
    condition: Condition = Condition.HEALTHY
    score_ms: float | None = None
    event: Literal["open", "close"] | None = None
    taken_s: float | None = None
    taken_utc_s: float | None = None

    @property
    def changed(self) -> bool:
        """Whether the state changed."""
        return self.state is not self.previous

    @property
    def level(self) -> float | None:
        """The level as root mean square in :attr:`level_unit`; None where there is none."""
        return level_of(self.level_db, self.scale)

    @property
    def level_unit(self) -> str | None:
        """The unit of what the sensor measures; None where nobody knows."""
        return unit_of(self.scale)


def policy(settings: Decision, spec: FrontEndSpec, *, normal_unison: float) -> Policy:
    """The rules of a decision, for the windows of a front end at a site."""
    return Policy(
        horizon_s=settings.horizon_s,
        low_percentile=settings.low_percentile,
        raise_decades=settings.raise_level,
        clear_decades=settings.clear_level,
        recheck_s=settings.recheck_s,
        clear_s=settings.clear_s,
        hold_off_s=settings.hold_off_s,
        hop_s=spec.window_hop_s,
        min_flutter=settings.min_flutter,
        max_unison=None if settings.max_unison is None else settings.max_unison * normal_unison,
    )


class Pipeline:
    """Hears one sensor.

    Parameters
    ----------
    sensor
        Its name.
    rate_hz
        Sample rate of its source.
    spec
        The front end of the bundle.
    scorer
        Scores windows for this site.
    decision
        When scores become states.
    leaking, acknowledged
        Whether the sensor was in ``leak`` when it last stopped listening, and whether somebody had taken it on.
    reference
        Whether its source has a reference channel, which vetoes airborne sounds.

    Attributes
    ----------
    liveness
        How the sensor is doing.
    windows_scored
        Windows that were scored.
    windows_vetoed
        Windows that were not, because what they hold is in the air.
    gaps, samples_lost
        Times that samples were lost, and how many.
    level_db
        Level of the last window; None for digital silence, lost audio, and before the first.
    resting
        Whether the last that came was a gap that was planned.

    Raises
    ------
    AudioError
        If the rate cannot carry the band of the front end.
    """

    def __init__(
        self,
        sensor: str,
        *,
        rate_hz: int,
        spec: FrontEndSpec,
        scorer: SiteScorer,
        decision: Decision,
        leaking: bool = False,
        acknowledged: bool = False,
        reference: bool = False,
    ) -> None:
        self._sensor, self._rate_hz, self._scorer = sensor, rate_hz, scorer
        self._intake = Intake(spec, rate_hz=rate_hz, where=sensor, reference=reference, quietest_db=scorer.quietest_db)
        rules = policy(decision, spec, normal_unison=scorer.normal_unison)
        self._rarity = scorer.rarity(rules.horizon_s, rules.low_percentile)
        self._decider = Decider(rules, self._rarity, leaking=leaking, acknowledged=acknowledged)
        self._floor_watch = None
        if scorer.knows_floor:
            self._floor_watch = FloorWatch(scorer.floor_rarity, horizon_s=rules.horizon_s, hop_s=rules.hop_s)
        self._flutter = None
        if rules.min_flutter is not None or rules.max_unison is not None:
            self._flutter = Flutter(spec, scorer.normal_db)
        self._reasons = _reasons(decision)
        self._deaf_windows = 0
        self._judged = True
        self.resting = False
        self._scale: Scale | None = None
        self.liveness = Liveness()
        self.windows_scored = 0
        self.windows_vetoed = 0
        self.gaps = 0
        self.samples_lost = 0
        self.level_db: float | None = None
        self._levels_db: deque[float | None] = deque(maxlen=max(1, round(FLOOR_S / spec.window_hop_s)))

    @property
    def windows_skipped(self) -> int:
        """Windows that were not scored: they held lost audio, or audio that can't be that of a pipe or is not."""
        return self._intake.windows_lost + self._deaf_windows + self.windows_vetoed

    @property
    def state(self) -> State:
        """What the sensor hears."""
        return self._decider.state

    @property
    def floor_db(self) -> float | None:
        """Noise floor: the quietest of the last :data:`FLOOR_S`, as of a night; None where that had no level."""
        levels_db = [level_db for level_db in list(self._levels_db) if level_db is not None]
        return float(np.percentile(levels_db, QUIETEST_PERCENT)) if levels_db else None

    @property
    def muted_s(self) -> float | None:
        """For how long no leak will be called; None if one may be."""
        return self._decider.muted_s

    def rarity(self, low: float) -> float:
        """How rare it is on this site that the low percentile of a horizon's scores is so high, in decades, 0 to 12."""
        return self._rarity(low)

    def acknowledge(self) -> State:
        """Somebody has taken the leak on."""
        return self._decider.acknowledge()

    def mute(self, for_s: float) -> None:
        """Call no leak for so long; with 0, call them again."""
        self._decider.mute(for_s)

    def hear(self, piece: Block | Gap, *, judged: bool = True, scale: Scale | None = None) -> list[Report]:
        """Take the next piece of audio.

        Parameters
        ----------
        piece
            Of shape (n, 1), or (n, 2) with a reference channel.
        judged
            Whether what is heard in it may change the state.
        scale
            What its samples stand for; None where nobody knows.

        Returns
        -------
        list of Report
            One a window that is complete with it, and one for lost audio. A gap that was planned gives none: nothing is
            lost, and nothing is known that was not known before.
        """
        self._judged, self._scale = judged, scale
        self.resting = isinstance(piece, Gap) and piece.planned
        if not isinstance(piece, Gap):
            return [self._judge(examined, piece) for examined in self._intake.hear(piece)]
        if not piece.planned:
            return [self._lose(piece)]
        self._intake.lose(piece)
        self._decider.rest(piece.end_index / self._rate_hz)
        return []

    def _lose(self, gap: Gap) -> Report:
        self.gaps += 1
        self.samples_lost += gap.length
        self.level_db = None
        self._intake.lose(gap)
        position_s = gap.end_index / self._rate_hz
        previous = self._decider.state
        reason = f"{gap.length / self._rate_hz:.2f} s of audio lost: {gap.reason}"
        return Report(
            sensor=self._sensor,
            position_s=position_s,
            scale=self._scale,
            previous=previous,
            state=self._decider.miss(position_s, Miss.LOST),
            reason=reason,
            ailment=Ailment(Cause.LOST, True, reason),
            condition=self.liveness.lose(position_s, reason),
        )

    def _judge(self, examined: Examined, block: Block) -> Report:
        previous, window, ailment = self._decider.state, examined.window, examined.ailment
        ago_s = block.end_index / self._rate_hz - window.end_s
        self.level_db = window.level_db
        self._levels_db.append(window.level_db)
        condition = self.liveness.hear(window.end_s, ailment)
        report = partial(
            Report,
            sensor=self._sensor,
            window=window.index,
            position_s=window.end_s,
            level_db=window.level_db,
            scale=self._scale,
            previous=previous,
            ailment=ailment,
            condition=condition,
            taken_s=block.monotonic_s - ago_s,
            taken_utc_s=None if block.utc_s is None else block.utc_s - ago_s,
        )
        if examined.miss is not None:
            if examined.unfit == AIRBORNE:
                self.windows_vetoed += 1
            else:
                self._deaf_windows += 1
            return report(state=self._decider.miss(window.end_s, examined.miss), reason=examined.reason)
        began_s = time.perf_counter()
        score = self._scorer.score(window)
        score_ms = 1e3 * (time.perf_counter() - began_s)
        self.windows_scored += 1
        was_leaking = self._decider.leaking
        state, floor_db = self._decide(window, score.value)
        event: Literal["open", "close"] | None = None
        if self._decider.leaking is not was_leaking:
            event = "close" if was_leaking else "open"
        return report(
            decades=score.decades,
            value=score.value,
            horizon_decades=self._decider.low_decades,
            error=score.error,
            band_db=window.band_db,
            floor_db=floor_db,
            state=state,
            score_ms=score_ms,
            reason=self._reason(state),
            event=event,
        )

    def _decide(self, window: Window, score: float) -> tuple[State, NDArray[np.float32] | None]:
        """The state after a window, and the noise floor where there is a new one."""
        if not self._judged:
            return self._decider.rest(window.end_s), None
        floor_db = floor_decades = None
        if self._floor_watch is not None:
            floor_db = self._floor_watch.hear(window)
            floor_decades = self._floor_watch.decades
        fluctuation = None if self._flutter is None else self._flutter(window)
        state = self._decider.hear(window.end_s, score, floor_decades=floor_decades, fluctuation=fluctuation)
        return state, floor_db

    def _reason(self, state: State) -> str:
        decider = self._decider
        if state is State.WARNING and not decider.leaklike and decider.fluctuation is not None:
            flutter, unison = decider.fluctuation
            return (
                f"{self._reasons[state]}, but no leak varies as they do: {flutter:.1f} times as much as steady noise, "
                f"all bands together {unison:.1f} times"
            )
        return self._reasons[state]


def _reasons(rules: Decision) -> dict[State, str]:
    """Why a sensor whose window was scored is in a state, in plain words."""
    rare = f"in 1 of 10^{rules.raise_level:.3g} such times when the pipe is well"
    stays = f"the last {rules.horizon_s:g} s sound as they do {rare}"
    return {
        State.LEARNING: f"has not listened for {rules.horizon_s:g} s yet",
        State.QUIET: "sounds as this pipe does when it is well",
        State.WARNING: stays,
        State.LEAK: f"{stays}, and did {rules.recheck_s:g} s before",
        State.ACKNOWLEDGED: f"{stays}; somebody has taken it on",
        State.NOISY: "something louder than the pipe drowns it",
        State.FAULT: "hears nothing that could be scored",
    }
