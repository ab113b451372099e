"""The keyboard of a terminal, key by key, and the terminal as it was when nobody reads it any more."""

from __future__ import annotations

import os
import select
import termios
import tty
from types import TracebackType
from typing import Any, Self

_NAMED = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\r": "enter", "\n": "enter", "\x1b": "escape",
}  # fmt: skip


class Keyboard:
    """The keys that are pressed, for the length of a ``with``.

    Parameters
    ----------
    descriptor
        Of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor, termios.TCSANOW)
        mode = termios.tcgetattr(self._descriptor)
        mode[6][termios.VSUSP] = b"\0"  # a shell would find the screen and the keyboard as they are here
        termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

    def pressed(self, timeout_s: float) -> list[str]:
        """The keys pressed since the last time, by name or letter; waits for one, but not for longer.

        Raises
        ------
        EOFError
            The terminal is gone.
        """
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        typed = os.read(self._descriptor, 1024)
        if not typed:
            raise EOFError("the terminal is gone")
        return keys(typed.decode(errors="replace"))


def keys(typed: str) -> list[str]:
    """What was typed, key by key; control sequences that mean nothing here are left out."""
    found = []
    while typed:
        length = _sequence(typed)
        key, typed = typed[:length], typed[length:]
        if key in _NAMED or key.isprintable():
            found.append(_NAMED.get(key, key))
    return found


def _sequence(typed: str) -> int:
    """How many characters the first key sent: control sequences end with a letter or ~ (ECMA-48, section 5.4)."""
    if typed[:2] == "\x1bO":
        return 3
    if typed[:2] != "\x1b[":
        return 1
    for at, character in enumerate(typed[2:], 2):
        if "@" <= character <= "~":
            return at + 1
    return len(typed)
