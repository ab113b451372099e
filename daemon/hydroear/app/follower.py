"""A sensor's site, followed and remembered over restarts."""

from __future__ import annotations

import logging
from pathlib import Path

from hydroear.app.pipeline import Report
from hydroear.codes import Code, coded
from hydroear.decide import State
from hydroear.errors import CalibrationError
from hydroear.score import SiteCalibration
from hydroear.score.adaptation import SAVE_EVERY_S, Adaptation
from hydroear.score.floor import MINUTE_S

log = logging.getLogger(__name__)


class Follower:
    """Follows what is normal at a site from windows that were judged normal.

    Parameters
    ----------
    path
        Where it is remembered.
    site
        The commissioning reference.
    clear_decades
        Windows as rare as this move nothing.
    hop_s
        Seconds from one window to the next.

    Attributes
    ----------
    adaptation
        How far the site has moved.
    """

    def __init__(self, path: Path, site: SiteCalibration, *, clear_decades: float, hop_s: float) -> None:
        self.adaptation = Adaptation.load(path, site, clear_decades=clear_decades)
        self._path, self._hop_s = path, hop_s
        self._unsaved_s = 0.0

    def take(self, report: Report) -> None:
        """Take a report; only windows of a quiet sensor count."""
        if report.state is not State.QUIET or report.value is None:
            return
        self.adaptation.follow(report.value, elapsed_s=self._hop_s)
        if report.floor_db is not None:
            self.adaptation.follow_floor(report.floor_db, elapsed_s=MINUTE_S)
        self._unsaved_s += self._hop_s
        if self._unsaved_s >= SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Remember it, if there is anything new; a disk that refuses stops no listening."""
        if not self._unsaved_s:
            return
        self._unsaved_s = 0.0
        try:
            self.adaptation.save(self._path)
        except CalibrationError as error:
            log.warning("%s", error, extra=coded(Code.MEMORY_LOST))
