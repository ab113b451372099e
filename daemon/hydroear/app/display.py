"""What people and scripts see of a running unit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TextIO

from hydroear.app.pipeline import Report
from hydroear.decide import State

Display = Callable[[Report], None]

_BAR_DECADES = 6.0
_BAR_WIDTH = 24
_COLOURS = {
    State.LEARNING: "36",
    State.QUIET: "32",
    State.WARNING: "33",
    State.LEAK: "31;1",
    State.ACKNOWLEDGED: "31",
    State.NOISY: "34",
    State.FAULT: "35",
}


def describe(report: Report) -> list[dict[str, Any]]:
    """A report as JSON objects: one for its window, one for a change of state."""
    lines: list[dict[str, Any]] = []
    if report.window is not None:
        lines.append(
            {
                "kind": "window",
                "sensor": report.sensor,
                "window": report.window,
                "position_s": round(report.position_s, 3),
                "scored": report.decades is not None,
                "score_decades": _rounded(report.decades),
                "error": _rounded(report.error, 6),
                "level_db": _rounded(report.level_db),
                "level": report.level,
                "level_unit": report.level_unit,
                "ailment": None if report.ailment is None else report.ailment.cause.value,
                "state": report.state.value,
                "condition": report.condition.value,
            }
        )
    if report.changed:
        lines.append(
            {
                "kind": "state",
                "sensor": report.sensor,
                "position_s": round(report.position_s, 3),
                "previous": report.previous.value,
                "state": report.state.value,
                "event": report.event,
                "reason": report.reason,
            }
        )
    return lines


class JsonLines:
    """One JSON object a line: one for every window, one for every change of state.

    Parameters
    ----------
    out
        Where to write.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._mutex = out, threading.Lock()

    def __call__(self, report: Report) -> None:
        """Write what the report tells; from any thread."""
        with self._mutex:
            for line in describe(report):
                print(json.dumps(line, allow_nan=False), file=self._out, flush=True)


class Lines:
    """One line for every change of state; on a terminal, a live line beneath with score bar and level.

    Parameters
    ----------
    out
        Where to write.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._mutex = out, threading.Lock()
        self._live = out.isatty()

    def __call__(self, report: Report) -> None:
        """Write what the report tells; from any thread."""
        with self._mutex:
            if report.changed:
                self._print(f"{headline(report, colour=self._live)}  {report.reason}\n")
            if self._live:
                self._print(headline(report, colour=True))

    def close(self) -> None:
        """Leave the live line."""
        if self._live:
            self._print("")

    def _print(self, text: str) -> None:
        self._out.write(f"\r\x1b[K{text}" if self._live else text)
        self._out.flush()


def nothing(_report: Report) -> None:
    """Show nothing: the journal is told what changes, and nobody watches."""


def headline(report: Report, *, colour: bool) -> str:
    """Time, sensor, state, level and score bar of a report, in one line."""
    name = state_name(report.state.value, colour=colour)
    loudness = level(report.level_db, report.level, report.level_unit)
    return f"{report.position_s:8.1f} s  {report.sensor}  {name}  {loudness}  {bar(report.decades)}"


def state_name(state: str, *, colour: bool) -> str:
    """A state in a column of fixed width, in its colour."""
    name = f"{state:<12}"
    return f"\x1b[{_COLOURS[State(state)]}m{name}\x1b[0m" if colour else name


def level(level_db: float | None, level: float | None, level_unit: str | None) -> str:
    """A level in a column of fixed width, and where the sensor's unit is known, in that unit in another."""
    text = "   -  dBFS" if level_db is None else f"{level_db:6.1f} dBFS"
    if level_unit is None:
        return text
    return f"{text} {'-' if level is None else f'{level:.3g}':>9} {level_unit:<4}"


def bar(decades: float | None) -> str:
    """A site score as a bar of fixed width with the number behind it."""
    if decades is None:
        return f"[{' ' * _BAR_WIDTH}]   -"
    filled = round(min(1.0, decades / _BAR_DECADES) * _BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {decades:4.1f}"


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
