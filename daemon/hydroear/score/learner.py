"""Learning a site while it is heard, for hours or nights, in memory that does not grow, across restarts."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydroear.dsp import Window
from hydroear.errors import CalibrationError
from hydroear.model import Bundle
from hydroear.score.baseline import judge
from hydroear.score.floor import StretchMeter
from hydroear.score.persistence import CONDITION_S
from hydroear.score.scorer import Scorer
from hydroear.score.site import SiteCalibration, learn
from hydroear.score.sitefile import site_file

CAPACITY = 2048
"""Windows kept: 16 MB with the usual front end. A choice: one for every 42 s of a day."""

MAX_SILENT_SHARE = 0.01
"""Share of digital silence beyond which nothing is learned. A choice: a sensor drops out for moments, not minutes."""

STILL = "flat"
"""Why a window is left out in which the audio stands still, in a word."""

_SCHEMA = "hydroear/learning/2"


class SiteLearner:
    """Keeps an even sample of the windows it hears.

    When the sample is full, every second window of it is dropped and from then on half as many are kept: the whole time
    is represented alike, however long it gets.

    Parameters
    ----------
    bundle
        The bundle that the sensor will be scored with.
    capacity
        Largest number of windows to keep, at least 2.

    Attributes
    ----------
    heard_s
        Length of the audio heard, each moment counted once.
    nights
        How much of that was heard in each night, in seconds, by the night's name.
    left_out
        Windows that were not learned from, by why, in a word.
    """

    def __init__(self, bundle: Bundle, *, capacity: int = CAPACITY) -> None:
        self._bundle_sha256, self._spec = bundle.sha256, bundle.front_end
        self._features = np.zeros((capacity, *bundle.front_end.shape), np.float16)
        self._levels_db = np.zeros(capacity, np.float32)
        self._kept = 0
        self._stride = 1
        self._windows = 0
        self._closed_conditions = 0.0
        self._stretch_s = 0.0
        self._end_s: float | None = None
        self._floor_meter = StretchMeter(bundle.front_end.window_hop_s)
        self._floors_db: list[NDArray[np.float32]] = []
        self.heard_s = 0.0
        self.nights: dict[str, float] = {}
        self.left_out: Counter[str] = Counter()

    @property
    def windows(self) -> int:
        """Windows kept."""
        return self._kept

    @property
    def conditions(self) -> float:
        """How many operating conditions were heard; a pause as long as one, or a restart, begins another."""
        return self._closed_conditions + (max(1.0, self._stretch_s / CONDITION_S) if self._stretch_s else 0.0)

    def hear(self, window: Window, *, night: str | None = None) -> None:
        """Take the next window of the stream that a unit would score; and the name of its night, if any."""
        assert window.level_db is not None
        self._count(window, night)
        floor_db = self._floor_meter.hear(window)
        if floor_db is not None:
            self._floors_db.append(floor_db)
        if self._windows % self._stride == 0:
            if self._kept == len(self._features):
                self._thin()
            if self._windows % self._stride == 0:
                self._features[self._kept] = window.features
                self._levels_db[self._kept] = window.level_db
                self._kept += 1
        self._windows += 1

    def leave_out(self, why: str) -> None:
        """Take note of a window that a unit would not score: what it must not judge it must not learn from."""
        self.left_out[why] += 1

    def restart(self) -> None:
        """Take note that the stream begins anew: what comes next is another stretch of audio."""
        self._closed_conditions, self._stretch_s, self._end_s = self.conditions, 0.0, None
        self._floor_meter = StretchMeter(self._spec.window_hop_s)

    def _count(self, window: Window, night: str | None) -> None:
        if self._end_s is not None and not self._end_s - CONDITION_S <= window.start_s <= self._end_s + CONDITION_S:
            self.restart()
        known_s = window.start_s if self._end_s is None else max(window.start_s, self._end_s)
        new_s = max(0.0, window.end_s - known_s)
        self._end_s = window.end_s if self._end_s is None else max(self._end_s, window.end_s)
        self._stretch_s += new_s
        self.heard_s += new_s
        if night is not None:
            self.nights[night] = self.nights.get(night, 0.0) + new_s

    def _thin(self) -> None:
        self._kept = -(-self._kept // 2)
        self._features[: self._kept] = self._features[: 2 * self._kept : 2].copy()
        self._levels_db[: self._kept] = self._levels_db[: 2 * self._kept : 2].copy()
        self._stride *= 2

    def finish(
        self, scorer: Scorer, *, accept_anyway: bool = False, progress: Callable[[float], None] | None = None
    ) -> SiteCalibration:
        """Learn the site from what was heard.

        Parameters
        ----------
        scorer
            The bundle at work.
        accept_anyway
            Learn although the site is unsteady or sounds like a leak; the calibration then says so.
        progress
            Is told the share that is done, 0 to 1.

        Raises
        ------
        CalibrationError
            If there is too little audio, too much digital silence, or if the site cannot pass for healthy.
        """
        silent_share = self.left_out[STILL] / max(1, self.left_out[STILL] + self._windows)
        if silent_share > MAX_SILENT_SHARE:
            raise CalibrationError(
                f"{100 * silent_share:.1f} % of the windows hold digital silence",
                where="calibration",
                expected=f"at most {100 * MAX_SILENT_SHARE:g} %",
                fix="check the sensor and its cable, then calibrate again",
            )
        windows = [
            Window(
                index=number,
                start_s=number * self._stride * self._spec.window_hop_s,
                end_s=number * self._stride * self._spec.window_hop_s + self._spec.window_s,
                features=self._features[number].astype(np.float32),
                level_db=float(self._levels_db[number]),
            )
            for number in range(self._kept)
        ]
        site = learn(
            windows,
            scorer,
            heard_s=self.heard_s,
            conditions=max(1.0, self.conditions),
            floors_db=self._floors(),
            progress=progress,
        )
        return replace(site, accepted=judge(windows, site, scorer, accept_anyway=accept_anyway))

    def _floors(self) -> NDArray[np.float32]:
        return np.array(self._floors_db, np.float32).reshape(len(self._floors_db), self._spec.n_mels)

    def save(self, path: Path) -> None:
        """Write what was heard, whole or not at all.

        Raises
        ------
        CalibrationError
            If the file cannot be written.
        """
        with site_file(path, fix="free space or check the folder's owner") as out:
            np.savez(
                out,
                schema=_SCHEMA,
                bundle_sha256=self._bundle_sha256,
                features=self._features[: self._kept],
                levels_db=self._levels_db[: self._kept],
                floors_db=self._floors(),
                counts=np.array([len(self._features), self._stride, self._windows]),
                heard_s=np.array([self.heard_s, self.conditions]),
                nights=np.array(list(self.nights), dtype=np.str_),
                nights_s=np.array(list(self.nights.values()), dtype=np.float64),
                left_out=np.array(list(self.left_out), dtype=np.str_),
                left_out_windows=np.array(list(self.left_out.values()), dtype=np.int64),
            )

    @classmethod
    def load(cls, path: Path, bundle: Bundle) -> SiteLearner:
        """Go on from :meth:`save`'s file; what comes next is another stretch of audio.

        Raises
        ------
        CalibrationError
            If the file cannot be read, is damaged, or was begun with another bundle.
        """
        fix = "remove the file to begin anew"
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            if str(state["schema"]) != _SCHEMA:
                raise ValueError(f"schema {str(state['schema'])!r}")
            capacity, stride, windows = (int(count) for count in state["counts"])
            heard_s, conditions = (float(value) for value in state["heard_s"])
            begun_with = str(state["bundle_sha256"])
            if begun_with == bundle.sha256:
                learner = cls(bundle, capacity=capacity)
                kept = len(state["features"])
                learner._features[:kept] = state["features"]
                learner._levels_db[:kept] = state["levels_db"]
                if not (np.isfinite(state["features"]).all() and np.isfinite(state["floors_db"]).all()) or stride < 1:
                    raise ValueError("a number in it cannot be")
                learner._kept, learner._stride, learner._windows = kept, stride, windows
                learner._closed_conditions, learner.heard_s = conditions, heard_s
                learner._floors_db = list(state["floors_db"].reshape(-1, bundle.front_end.n_mels))
                nights = zip(state["nights"].tolist(), state["nights_s"].tolist(), strict=True)
                learner.nights = {str(night): float(night_s) for night, night_s in nights}
                left_out = zip(state["left_out"].tolist(), state["left_out_windows"].tolist(), strict=True)
                learner.left_out = Counter({str(why): int(count) for why, count in left_out})
                return learner
        except OSError as error:
            raise CalibrationError(f"cannot be read ({error.strerror})", where=path, fix=fix) from error
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CalibrationError(
                f"no calibration to go on with, or a damaged one ({error})", where=path, fix=fix
            ) from error
        raise CalibrationError(
            f"begun with bundle {begun_with[:12]}", where=path, expected=f"bundle {bundle.sha256[:12]}", fix=fix
        )
