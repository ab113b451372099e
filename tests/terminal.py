"""A terminal that a program draws on and a test types at: as much of ECMA-48 as a screen needs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from codecs import getincrementaldecoder
from typing import Any, Self

from broker import wait_for

_CONTROL = re.compile(r"\x1b\[([?<=>]?)([0-9;]*)([@-~])|\x1b[()][0-9A-B]|\x1b[^\[()]")


class Terminal:
    """A program on a terminal of its own, killed at the end of its ``with`` if it still runs.

    Attributes
    ----------
    whole
        Whether the program has the whole screen: the alternate one of xterm.
    bells
        How often it rang the bell.
    """

    def __init__(self, command: list[str], *, columns: int = 80, rows: int = 24) -> None:
        self._master, slave = pty.openpty()
        self._slave = slave
        self._cells = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0
        self._rest = ""
        self.whole, self.bells = False, 0
        self.sent = ""
        self.resize(columns, rows, tell=False)
        self.mode = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._slave)  # the last one: the reader's end
        self._reader.join()
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """The same, as one text."""
        return "\n".join(self.lines)

    @property
    def current_mode(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._slave)

    def wait_for(self, text: str) -> None:
        """Wait until a text is on the screen."""
        wait_for(lambda: text in self.text, f"{text!r} on the screen", timeout_s=40.0)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        """Make it larger or smaller."""
        self._cells = [[" "] * columns for _ in range(rows)]
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self._process.send_signal(signal.SIGWINCH)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the program's end; gives its exit code."""
        return self._process.wait(40.0)

    def _read(self) -> None:
        decoder = getincrementaldecoder("utf-8")(errors="replace")
        while True:
            try:
                content = os.read(self._master, 65536)
            except OSError:  # nobody has the other end open any more
                return
            text = decoder.decode(content)
            self.sent += text
            self._feed(self._rest + text)

    def _feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._put(text[at])
                at += 1
            elif found := _CONTROL.match(text, at):
                self._control(found)
                at = found.end()
            else:
                break  # the rest of a sequence is still to come
        self._rest = text[at:]

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
            case "\n":
                self._row = min(self._row + 1, len(self._cells) - 1)
            case "\a":
                self.bells += 1
            case _:
                if self._row < len(self._cells) and self._column < len(self._cells[self._row]):
                    self._cells[self._row][self._column] = character
                self._column += 1

    def _control(self, found: re.Match[str]) -> None:
        private, numbers, final = found.groups()
        given = [int(number or 0) for number in (numbers or "").split(";")]
        match (private, final):
            case ("?", "h" | "l") if 1049 in given:
                self.whole = final == "h"
            case ("", "H"):
                self._row, self._column = max(given[0] - 1, 0), max((*given, 0)[1] - 1, 0)
            case ("", "J") if given[0] == 2:
                self._cells = [[" "] * len(row) for row in self._cells]
            case ("", "K"):
                self._cells[self._row][self._column :] = [" "] * len(self._cells[self._row][self._column :])
