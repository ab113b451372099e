"""When something was heard: now, a moment ago, or in a night that a logger has recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hydroear.app.pipeline import Report
from hydroear.audio import Block, Gap
from hydroear.health.clock import clock_quality


@dataclass(frozen=True)
class Moment:
    """A point in time.

    Attributes
    ----------
    time
        In UTC.
    monotonic_s
        The same by this machine's monotonic clock; of what was recorded, when it was received.
    recorded
        Whether the time is that of a device that recorded it, rather than of this machine's clock.
    """

    time: datetime
    monotonic_s: float
    recorded: bool = False

    def is_trusted(self) -> bool:
        """Whether the clock that tells the time can be trusted."""
        return self.recorded or clock_quality() == "synchronised"


def moment_of(piece: Block | Gap) -> Moment:
    """When the last sample of a piece of audio was taken; of a gap, when it was over or, if nobody knows, now."""
    return _moment(None if isinstance(piece, Gap) else piece.monotonic_s, piece.utc_s)


def moment_of_report(report: Report) -> Moment:
    """When what a report tells of was heard."""
    return _moment(report.taken_s, report.taken_utc_s)


def _moment(monotonic_s: float | None, utc_s: float | None) -> Moment:
    now_s = time.monotonic()
    if utc_s is not None:
        return Moment(datetime.fromtimestamp(utc_s, UTC), now_s if monotonic_s is None else monotonic_s, recorded=True)
    now = datetime.now(UTC)
    if monotonic_s is None:
        return Moment(now, now_s)
    return Moment(now - timedelta(seconds=now_s - monotonic_s), monotonic_s)
