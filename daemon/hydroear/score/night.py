"""Minimum-night levels, as leak noise loggers keep them: the small hours, when least water is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_COVERAGE = 0.5
"""Share of a night that must be heard to speak of it. A choice."""

QUIETEST_PERCENT = 5.0
"""Percentile of the levels that is taken for the quietest noise: one odd window must not set it."""

_SCHEMA = "hydroear/night-watch/1"
_LOWEST_DB, _HIGHEST_DB = -200, 20
"""First and last bin of a histogram, which also hold what lies beyond."""


@dataclass(frozen=True)
class NightHours:
    """The part of each night that is kept apart.

    Attributes
    ----------
    start, end
        By the clock on the wall; where the end is not after the start, it is on the next day.
    zone
        Which clock on the wall.
    """

    start: time
    end: time
    zone: tzinfo

    def bounds(self, night: date) -> tuple[datetime, datetime]:
        """When the night that begins on a day begins and ends, in UTC; on a day of summer time longer or shorter."""
        last_day = night if self.start < self.end else night + timedelta(days=1)
        begin = datetime.combine(night, self.start, self.zone)
        return begin.astimezone(UTC), datetime.combine(last_day, self.end, self.zone).astimezone(UTC)

    def night_of(self, moment: datetime) -> date | None:
        """The day on which the night around a moment with a time zone began; None outside the hours."""
        today = moment.astimezone(self.zone).date()
        for night in (today, today - timedelta(days=1)):
            begin, end = self.bounds(night)
            if begin <= moment < end:
                return night
        return None


@dataclass(frozen=True)
class Night:
    """What a sensor heard in one night.

    Attributes
    ----------
    night
        The day on which it began.
    start_time, end_time
        When it began and ended, in UTC.
    coverage
        Share of it that was heard, 0 to 1.
    silent
        Share of the windows in which the audio stood still, 0 to 1.
    clock_trusted
        Whether the clock could be trusted throughout.
    minimum_db
        The quietest noise: the level that :data:`QUIETEST_PERCENT` % of the windows do not exceed.
    persistent_db
        The most persistent noise: middle of the histogram's highest bin, of several the quietest.
    spread_db
        From the quietest to the most persistent noise; a leak makes it narrow.
    histogram_start_db, histogram
        Lower edge of the first bin, and windows in each bin of 1 dB.
    problem
        Why nothing can be said of the levels, which are None then; empty if they can be trusted.
    """

    night: date
    start_time: datetime
    end_time: datetime
    coverage: float
    silent: float
    clock_trusted: bool
    minimum_db: float | None
    persistent_db: float | None
    spread_db: float | None
    histogram_start_db: int | None
    histogram: tuple[int, ...]
    problem: str


class NightWatch:
    """Collects the levels of each night's windows; a night that is over is remembered until the next one begins.

    Level, spread and histogram are those of leak noise loggers: R. C. Ironmonger, "Leak-noise data logger", European
    patent application EP 1 134 571 A2, 2001, ranks the most persistent noise, the quietest noise and the extent in dB
    between them; user's manuals of loggers name the histogram's highest bin and the lowest level of 02:00 to 04:00.

    Parameters
    ----------
    hours
        Which part of each night.
    window_hop_s
        Time from one window to the next.
    """

    def __init__(self, hours: NightHours, *, window_hop_s: float) -> None:
        self._hours, self._window_hop_s = hours, window_hop_s
        self._begin(None)

    def is_on(self, moment: datetime) -> bool:
        """Whether a moment with a time zone lies in the night."""
        return self._hours.night_of(moment) is not None

    def _begin(self, night: date | None) -> None:
        self._night: date | None = night
        self._told = night is None
        self._counts = np.zeros(_HIGHEST_DB - _LOWEST_DB + 1, np.int64)
        self._silent = 0
        self._clock_trusted = True

    def hear(self, moment: datetime, level_db: float | None, *, clock_trusted: Callable[[], bool]) -> Night | None:
        """Take the level of a window, None for digital silence, and the time with a time zone at which it was heard.

        Whether the clock can be trusted is asked in the night alone.

        Returns
        -------
        Night or None
            The night that is over with this window, if any. A clock that is set back into a night that is over begins
            that night anew.
        """
        night, ended = self._hours.night_of(moment), self.pass_by(moment)
        if night is not None and (night != self._night or self._told):
            self._begin(night)
        if night is not None:
            self._clock_trusted = self._clock_trusted and clock_trusted()
            if level_db is None:
                self._silent += 1
            else:
                self._counts[int(np.clip(np.floor(level_db), _LOWEST_DB, _HIGHEST_DB)) - _LOWEST_DB] += 1
        return ended

    def pass_by(self, moment: datetime) -> Night | None:
        """Take note that nothing else was heard until a moment; give the night that is over by then, if any."""
        if self._told or self._hours.night_of(moment) == self._night:
            return None
        self._told = True
        return self._end()

    def to_json(self) -> str:
        """What was heard of the night, or of the last one; empty before the first."""
        if self._night is None:
            return ""
        used = np.flatnonzero(self._counts)
        document = {
            "schema": _SCHEMA,
            "night": self._night.isoformat(),
            "hours": self._hours_of(self._night),
            "histogram_start_db": _LOWEST_DB + int(used[0]) if len(used) else _LOWEST_DB,
            "histogram": self._counts[used[0] : used[-1] + 1].tolist() if len(used) else [],
            "silent": self._silent,
            "clock_trusted": self._clock_trusted,
        }
        return json.dumps(document)

    def go_on(self, text: str) -> None:
        """Go on from :meth:`to_json`'s form; a night that is over by the next window is told then, once more.

        What was heard in other hours, or in windows of another length, is none of these nights and is forgotten.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            document: Any = json.loads(text)
            if document["schema"] != _SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            night = date.fromisoformat(document["night"])
            first = document["histogram_start_db"] - _LOWEST_DB
            histogram, silent, trusted = document["histogram"], int(document["silent"]), bool(document["clock_trusted"])
            counts = np.zeros(_HIGHEST_DB - _LOWEST_DB + 1, np.int64)
            counts[first : first + len(histogram)] = np.array(histogram, dtype=np.int64)
            if first < 0 or counts.min() < 0 or silent < 0 or counts.sum() + silent < 1:
                raise ValueError("a number in it cannot be")
            hours = document["hours"]
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if hours == self._hours_of(night):
            self._begin(night)
            self._counts, self._silent, self._clock_trusted = counts, silent, trusted

    def _hours_of(self, night: date) -> list[str | float]:
        """What tells a night from that of other settings."""
        begin, end = self._hours.bounds(night)
        return [begin.isoformat(), end.isoformat(), self._window_hop_s]

    def _end(self) -> Night:
        assert self._night is not None
        begin, end = self._hours.bounds(self._night)
        heard, duration_s = int(self._counts.sum()), (end - begin).total_seconds()
        windows = heard + self._silent
        coverage = min(1.0, windows * self._window_hop_s / duration_s) if duration_s > 0.0 else 0.0
        silent = self._silent / windows
        problem = ""
        if coverage < MIN_COVERAGE:
            problem = f"only {100 * coverage:.0f} % of the night was heard"
        elif silent > 1.0 - MIN_COVERAGE:
            problem = f"the audio stood still in {100 * silent:.0f} % of the windows"
        minimum_db = persistent_db = None
        if not problem:
            minimum_db = _LOWEST_DB + _percentile(self._counts, QUIETEST_PERCENT)
            persistent_db = _LOWEST_DB + int(np.argmax(self._counts)) + 0.5
        used = np.flatnonzero(self._counts)
        return Night(
            night=self._night,
            start_time=begin,
            end_time=end,
            coverage=coverage,
            silent=silent,
            clock_trusted=self._clock_trusted,
            minimum_db=minimum_db,
            persistent_db=persistent_db,
            spread_db=None if minimum_db is None or persistent_db is None else max(0.0, persistent_db - minimum_db),
            histogram_start_db=_LOWEST_DB + int(used[0]) if heard else None,
            histogram=tuple(self._counts[used[0] : used[-1] + 1].tolist()) if heard else (),
            problem=problem,
        )


def _percentile(histogram: NDArray[np.int64], percent: float) -> float:
    """Percentile in bins from the histogram's lower edge, the windows of a bin being spread evenly over it."""
    below = np.concatenate([[0], np.cumsum(histogram)])
    wanted = percent / 100.0 * below[-1]
    number = int(np.searchsorted(below, wanted, side="right")) - 1
    return float(number + (wanted - below[number]) / histogram[number])
