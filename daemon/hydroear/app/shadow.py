"""A model that hears beside the one at work, and is believed by nobody yet."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hydroear.app.pipeline import Pipeline, Report
from hydroear.app.probation import SLOW_WINDOWS
from hydroear.audio import Block, Gap
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.decide.comparison import Comparison, Look
from hydroear.errors import BundleError, HydroearError
from hydroear.model import Bundle, Runtime
from hydroear.model.slots import Choice
from hydroear.score import Scorer, SiteCalibration, SiteScorer

if TYPE_CHECKING:
    from hydroear.app.unit import Ear

log = logging.getLogger(__name__)

_SAME_S = 0.001
"""Windows that end so close together end at the same sample."""


class Shadow:
    """A candidate on the sensors of a unit that runs: on each the very path that it would have at work.

    Parameters
    ----------
    config
        The unit.
    choice, bundle
        The candidate.
    runtime
        The interpreter.
    ears
        The sensors at work.

    Attributes
    ----------
    choice
        The candidate.
    failure
        Why it cannot go on; empty while it can.

    Raises
    ------
    HydroearError
        If the bundle does not run on these sensors, or a calibration for it cannot be used.
    """

    def __init__(
        self, config: schema.Config, choice: Choice, bundle: Bundle, runtime: Runtime, ears: Sequence[Ear]
    ) -> None:
        self.choice = choice
        self._wanted = config.models.shadow_windows
        self._mutex = threading.Lock()
        self._ears = {
            ear.sensor: _ShadowEar(config, sensor, choice.model, bundle, runtime, ear, len(ears))
            for sensor, ear in zip(config.sensors, ears, strict=True)
        }
        self.failure = ""

    @property
    def windows(self) -> int:
        """Windows compared, of all sensors."""
        return sum(ear.comparison.windows for ear in self._ears.values())

    @property
    def over(self) -> bool:
        """Whether enough is known."""
        return bool(self.failure) or self.windows >= self._wanted

    def hear(
        self, sensor: str, piece: Block | Gap, reports: Sequence[Report], *, judged: bool, active_ms: float
    ) -> None:
        """Take what a sensor heard; whatever happens here is the candidate's failure, and no error.

        Parameters
        ----------
        sensor
            Which sensor.
        piece
            The audio.
        reports
            What the model at work says of it.
        judged
            Whether what is heard in it may change the state.
        active_ms
            Time that took.
        """
        if self.over:
            return
        with self._mutex:
            try:
                self._ears[sensor].hear(piece, reports, judged=judged, active_ms=active_ms)
            except HydroearError as error:
                self.failure = str(error)
            except Exception as error:
                log.exception("%s: fails beside the model at work", self.choice.path, extra=coded(Code.MODEL_WITHDRAWN))
                self.failure = f"fails ({type(error).__name__}: {error})"

    def results(self) -> dict[str, Any]:
        """How it compares with the model at work, by sensor, as JSON values."""
        with self._mutex:
            return {sensor: _rounded(asdict(ear.comparison.result())) for sensor, ear in self._ears.items()}

    def objection(self) -> str:
        """Why it must not take over, in plain words; empty if nothing speaks against it."""
        with self._mutex:
            objections = {sensor: ear.comparison.objection() for sensor, ear in self._ears.items()}
        return self.failure or "; ".join(f"on sensor {sensor} it {why}" for sensor, why in objections.items() if why)


class _ShadowEar:
    """One sensor of a shadow."""

    def __init__(
        self,
        config: schema.Config,
        sensor: schema.Sensor,
        model: str,
        bundle: Bundle,
        runtime: Runtime,
        ear: Ear,
        ears: int,
    ) -> None:
        path, decision = config.site_path(sensor, model), config.decision
        site = SiteCalibration.load(path) if path.exists() else None
        self._pipeline = Pipeline(
            sensor.id,
            rate_hz=ear.source.rate_hz,
            spec=bundle.front_end,
            scorer=SiteScorer(Scorer(bundle, runtime), site),
            decision=decision,
            reference=sensor.source.reference_channel is not None,
        )
        self.comparison = Comparison(
            raise_decades=decision.raise_level,
            clear_decades=decision.clear_level,
            low_percentile=decision.low_percentile,
            active_rarity=ear.pipeline.rarity,
            shadow_rarity=self._pipeline.rarity,
        )
        self._rate_hz = ear.source.rate_hz
        # All sensors take turns, so each has its share of the time until the next window.
        self._time_ms = 1e3 * bundle.front_end.window_hop_s / ears
        self._where = bundle.name
        self._began_at: int | None = None
        self._said: deque[tuple[float, Look | None]] = deque()
        self._latest: Look | None = None
        self._heard = False
        self._busy_ms = 0.0
        self._slow = 0

    def hear(self, piece: Block | Gap, reports: Sequence[Report], *, judged: bool, active_ms: float) -> None:
        """Score a piece of audio, and compare what comes of it.

        Raises
        ------
        HydroearError
            If the candidate fails, or is too slow.
        """
        if self._began_at is None:
            self._began_at = piece.first_index
        began_s = time.perf_counter()
        own = self._pipeline.hear(piece.counted_from(self._began_at), judged=judged)
        self._busy_ms += active_ms + 1e3 * (time.perf_counter() - began_s)
        self._check_time(sum(report.window is not None for report in own))
        self._said += [(report.position_s + self._began_at / self._rate_hz, _look(report)) for report in own]
        for report in reports:
            while self._said and self._said[0][0] <= report.position_s + _SAME_S:
                _, self._latest = self._said.popleft()
                self._heard = True
            active = _look(report)
            if active is not None and self._heard:
                self.comparison.push(active, self._latest)

    def _check_time(self, windows: int) -> None:
        if not windows:
            return
        window_ms, self._busy_ms = self._busy_ms / windows, 0.0
        self._slow = self._slow + windows if window_ms > self._time_ms else 0
        if self._slow >= SLOW_WINDOWS:
            raise BundleError(
                f"{self._slow} windows in a row took, with the model at work, longer than the {self._time_ms:.0f} ms "
                "that a sensor has until the next",
                where=self._where,
                fix="install a bundle with a longer hop or smaller models, or set models.shadow_windows to 0",
            )


def _look(report: Report) -> Look | None:
    if report.value is None or report.decades is None or report.score_ms is None:
        return None
    return Look(report.value, report.decades, report.score_ms)


def _rounded(value: Any) -> Any:
    """JSON values with as many digits as anybody reads."""
    if isinstance(value, dict):
        return {key: _rounded(below) for key, below in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def progress(shadow: Mapping[str, Any]) -> tuple[int, float | None]:
    """Windows of all sensors in :meth:`Shadow.results`, and the share in which both models say the same, if known."""
    compared = [(told["windows"] - told["missed"], told["agreement"]) for told in shadow.values()]
    known = [(windows, agreement) for windows, agreement in compared if agreement is not None]
    total = sum(windows for windows, _ in known)
    agreement = sum(windows * agreement for windows, agreement in known) / total if total else None
    return sum(told["windows"] for told in shadow.values()), agreement
