"""How far a long task is, for whoever waits for it."""

from __future__ import annotations

from typing import TextIO


class Progress:
    """How far a long task is, on one line of a terminal; nothing where there is none.

    Parameters
    ----------
    out
        Where to write.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: str | None = None

    def __call__(self, task: str, share: float) -> None:
        """Tell the share of a task that is done, 0 to 1."""
        text = f"{task}: {100 * share:3.0f} %" if share < 1.0 else ""
        if text != self._told and self._out.isatty():
            self._told = text
            self._out.write(f"\r\x1b[K{text}")
            self._out.flush()
