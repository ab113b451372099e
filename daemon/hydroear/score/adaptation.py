"""Following a site slowly: the season changes what is normal, and a leak that grows slowly must not."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydroear.score.distribution import Distribution
from hydroear.score.site import SiteCalibration
from hydroear.score.wholefile import whole_file

log = logging.getLogger(__name__)

TIME_CONSTANT_S = 3 * 86400.0
"""Of the exponential average. A choice: slower than a weekend, faster than a season."""

CAP_DEVIATIONS = 1.0
"""How far the mean of the fused score may move from the commissioning reference. A choice: a leak that is never raised
because the site followed it lies less than this over the level at which it would have been."""

LEVEL_CAP_DB = 6.0
"""How far the level's baseline may move from the commissioning reference. A choice."""

SAVE_EVERY_S = 600.0
"""How often a unit should save: of days of following, little is lost in ten minutes."""

_SCHEMA = "hydroear/adaptation/1"


class Adaptation:
    """How far a site has moved from its commissioning reference, which itself never changes.

    Parameters
    ----------
    site
        The calibration: the reference.
    clear_decades
        Windows as rare as this or rarer move nothing.
    shift
        Of the mean of the fused score, in deviations of the reference.
    level_shift_db
        Of the mean level.
    """

    def __init__(
        self, site: SiteCalibration, *, clear_decades: float, shift: float = 0.0, level_shift_db: float = 0.0
    ) -> None:
        self._site, self._clear_decades = site, clear_decades
        self.shift, self.level_shift_db = shift, level_shift_db

    @property
    def fused(self) -> Distribution:
        """What is normal now."""
        reference = self._site.fused
        return replace(reference, mean=reference.mean + self.shift * reference.deviation)

    @property
    def level_db(self) -> float:
        """Mean level now."""
        return self._site.level_db + self.level_shift_db

    def follow(self, fused: float, level_db: float, *, elapsed_s: float) -> None:
        """Take a window that was heard while the sensor's state was quiet.

        Windows far below the mean are left out as those far above are: leaving out only the latter would make the mean
        sink for ever.

        Parameters
        ----------
        fused
            Its :attr:`~hydroear.score.Parts.fused`.
        level_db
            Its level.
        elapsed_s
            Time that it stands for: from one window to the next.
        """
        now = self.fused
        if max(now.decades(fused), now.decades(2.0 * now.mean - fused)) >= self._clear_decades:
            return
        weight = -math.expm1(-elapsed_s / TIME_CONSTANT_S)
        deviations = self._site.fused.standardised(fused)
        self.shift = _capped(self.shift + weight * (deviations - self.shift), CAP_DEVIATIONS)
        level_shift_db = self.level_shift_db + weight * (level_db - self.level_db)
        self.level_shift_db = _capped(level_shift_db, LEVEL_CAP_DB)

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
            "level_shift_db": self.level_shift_db,
        }
        with whole_file(path, fix="free space or check the folder's owner") as out:
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
                shift, level_shift_db = float(document["shift"]), float(document["level_shift_db"])
                if not (abs(shift) <= CAP_DEVIATIONS and abs(level_shift_db) <= LEVEL_CAP_DB):
                    raise ValueError("a shift beyond its cap")
                return cls(site, clear_decades=clear_decades, shift=shift, level_shift_db=level_shift_db)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: cannot be used (%s); the site is taken as it was commissioned", path, error)
        return cls(site, clear_decades=clear_decades)


def _capped(value: float, cap: float) -> float:
    return max(-cap, min(cap, value))


def _reference(site: SiteCalibration) -> list[str | float]:
    """What tells one calibration from another."""
    return [site.bundle_sha256, site.runtime, site.fused.mean, site.fused.deviation, site.level_db]
