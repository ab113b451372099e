"""The live terminal view of a running unit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO

from hydroear.app.display import bar, level, state_name


def watch(lines: Iterable[dict[str, Any]], out: TextIO, *, as_json: bool) -> None:
    """Show what a unit tells.

    Parameters
    ----------
    lines
        As :func:`hydroear.app.live.listen` gives them.
    out
        Where to write. A terminal gets one line a sensor that is kept up to date, beneath the changes of state; a file
        or a pipe gets a line for every change of state.
    as_json
        Pass on everything as JSON lines instead.
    """
    board = _Board(out)
    for line in lines:
        if as_json:
            print(json.dumps(line), file=out, flush=True)
        elif line["kind"] == "window":
            board.update(line)
        else:
            board.say(line)


class _Board:
    """One line a sensor at the foot of a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._live = out, out.isatty()
        self._rows: dict[str, str] = {}
        self._shown = 0

    def update(self, window: dict[str, Any]) -> None:
        if not self._live:
            return
        ailment = f"  {window['ailment']}" if window["ailment"] else ""
        loudness = level(window["level_db"], window["level"], window["level_unit"])
        self._rows[window["sensor"]] = (
            f"{window['sensor']:<20} {state_name(window['state'], colour=True)} {loudness}  "
            f"{bar(window['score_decades'])}  {window['condition']}{ailment}"
        )
        self._draw()

    def say(self, change: dict[str, Any]) -> None:
        text = f"{change['sensor']:<20} {state_name(change['state'], colour=self._live)} {change['reason']}"
        self._erase()
        print(text, file=self._out, flush=True)
        self._draw()

    def _erase(self) -> None:
        if self._shown:
            self._out.write(f"\x1b[{self._shown}F\x1b[J")
            self._shown = 0

    def _draw(self) -> None:
        self._erase()
        for row in self._rows.values():
            self._out.write(f"{row}\n")
        self._shown = len(self._rows)
        self._out.flush()
