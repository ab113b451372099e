"""Following a site slowly: the season changes what is normal, and a leak that grows slowly must not."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydroear.codes import Code, coded
from hydroear.score.distribution import Distribution
from hydroear.score.floor import SiteFloor
from hydroear.score.site import SiteCalibration
from hydroear.score.sitefile import site_file

log = logging.getLogger(__name__)

TIME_CONSTANT_S = 3 * 86400.0
"""Of the exponential average. A choice: slower than a weekend, faster than a season."""

CAP_DEVIATIONS = 1.0
"""How far the mean of the fused score may move from the commissioning reference. A choice: a leak that is never raised
because the site followed it lies less than this over the level at which it would have been."""

FLOOR_CAP_DEVIATIONS = 2.0
"""The same of the noise floor, in deviations of its rise. A choice: a season shows in the floor before it shows in
scores."""

SAVE_EVERY_S = 600.0
"""How often a unit should save: of days of following, little is lost in ten minutes."""

_SCHEMA = "hydroear/adaptation/1"


class Adaptation:
    """How far a site has moved from its commissioning reference, which itself never changes.

    What is followed is what a score is held against, and nothing else. The level of the commissioning stays: the
    reasons of an event say how far the sound is over it, and a sensor that hears far less than then is at fault. Both
    would be lost on a leak that grows, or a sensor that comes loose, slowly enough to be followed.

    Parameters
    ----------
    site
        The calibration: the reference.
    clear_decades
        Windows as rare as this or rarer move nothing.
    shift
        Of the mean of the fused score, in deviations of the reference.
    floor_shift_db
        Of the noise floor, shape (n_mels,); none where left out.
    """

    def __init__(
        self,
        site: SiteCalibration,
        *,
        clear_decades: float,
        shift: float = 0.0,
        floor_shift_db: NDArray[np.float64] | None = None,
    ) -> None:
        self._site, self._clear_decades = site, clear_decades
        self.shift = shift
        self.floor_shift_db = np.zeros(len(site.band_mean)) if floor_shift_db is None else floor_shift_db

    @property
    def fused(self) -> Distribution:
        """What is normal now."""
        reference = self._site.fused
        return replace(reference, mean=reference.mean + self.shift * reference.deviation)

    def follow(self, fused: float, *, elapsed_s: float) -> None:
        """Take a window that was heard while the sensor's state was quiet.

        Windows far below the mean are left out as those far above are: leaving out only the latter would make the mean
        sink for ever.

        Parameters
        ----------
        fused
            Its :attr:`~hydroear.score.Parts.fused`.
        elapsed_s
            Time that it stands for: from one window to the next.
        """
        now = self.fused
        if max(now.decades(fused), now.decades(2.0 * now.mean - fused)) >= self._clear_decades:
            return
        weight = -math.expm1(-elapsed_s / TIME_CONSTANT_S)
        deviations = self._site.fused.standardised(fused)
        self.shift = _capped(self.shift + weight * (deviations - self.shift), CAP_DEVIATIONS)

    def follow_floor(self, floor_db: NDArray[np.float32], *, elapsed_s: float) -> None:
        """Take the noise floor of a horizon in which the sensor's state was quiet.

        Parameters
        ----------
        floor_db
            shape (n_mels,).
        elapsed_s
            Time that it stands for: from one to the next.
        """
        floor = self._site.floor
        if floor is None or floor.decades(floor_db - self.floor_shift_db) >= self._clear_decades:
            return
        weight = -math.expm1(-elapsed_s / TIME_CONSTANT_S)
        moved_db = self.floor_shift_db + weight * (floor_db - floor.mean_db - self.floor_shift_db)
        beyond = _floor_deviations(floor, moved_db) / FLOOR_CAP_DEVIATIONS
        self.floor_shift_db = moved_db / max(1.0, beyond)

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all.

        Raises
        ------
        CalibrationError
            If the file cannot be written.
        """
        document = {
            "schema": _SCHEMA,
            "reference": _reference(self._site),
            "shift": self.shift,
            "floor_shift_db": self.floor_shift_db.tolist(),
        }
        with site_file(path, fix="free space or check the folder's owner") as out:
            out.write(json.dumps(document).encode())

    @classmethod
    def load(cls, path: Path, site: SiteCalibration, *, clear_decades: float) -> Adaptation:
        """Go on from :meth:`save`'s file; at the reference where there is none, or one of another calibration.

        A damaged file is told in the log and no reason not to listen.
        """
        try:
            document: Any = json.loads(path.read_bytes())
            if document["schema"] != _SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            if document["reference"] == _reference(site):
                shift, floor_shift_db = float(document["shift"]), np.array(document["floor_shift_db"], np.float64)
                if floor_shift_db.shape != site.band_mean.shape or not np.isfinite(floor_shift_db).all():
                    raise ValueError("a shift that is none")
                floor_cap = FLOOR_CAP_DEVIATIONS * (1.0 + 1e-6)  # the way there rounds
                moved = 0.0 if site.floor is None else _floor_deviations(site.floor, floor_shift_db)
                if not (abs(shift) <= CAP_DEVIATIONS and moved <= floor_cap):
                    raise ValueError("a shift beyond its cap")
                return cls(site, clear_decades=clear_decades, shift=shift, floor_shift_db=floor_shift_db)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "%s: cannot be used (%s); the site is taken as it was commissioned",
                path,
                error,
                extra=coded(Code.MEMORY_LOST),
            )
        return cls(site, clear_decades=clear_decades)


def _capped(value: float, cap: float) -> float:
    return max(-cap, min(cap, value))


def _floor_deviations(floor: SiteFloor, shift_db: NDArray[np.float64]) -> float:
    """How far a shift would move the floor's rise, up or down, in deviations of the rise."""
    return max(floor.rise(floor.mean_db + shift_db), floor.rise(floor.mean_db - shift_db)) / floor.rises.deviation


def _reference(site: SiteCalibration) -> list[str | float]:
    """What tells one calibration from another."""
    return [site.bundle_sha256, site.runtime, site.fused.mean, site.fused.deviation, site.level_db]
