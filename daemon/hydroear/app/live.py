"""The live view: a running unit tells whoever asks on this machine what it hears."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydroear.app.display import describe
from hydroear.app.pipeline import Report
from hydroear.errors import UsageError

_MODE = 0o660
_BACKLOG = 4
_LONGEST_PATH = 107
"""What a socket's address has room for, in bytes (unix(7))."""


class LiveFeed:
    """Sends every report, as JSON lines, to those who are connected to a Unix socket.

    One who reads too slowly is let go: hearing waits for nobody.

    Parameters
    ----------
    path
        The socket; one that an earlier run left is replaced.

    Raises
    ------
    OSError
        If the socket cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise OSError(f"{path} is too long for a socket")
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(os.fspath(path))
        path.chmod(_MODE)
        self._server.listen(_BACKLOG)
        self._mutex = threading.Lock()
        self._listeners: list[socket.socket] = []
        self._thread = threading.Thread(target=self._welcome, name="live", daemon=True)
        self._thread.start()

    def __call__(self, report: Report) -> None:
        """Send what the report tells; from any thread."""
        if not self._listeners:
            return
        data = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in describe(report))
        with self._mutex:
            for listener in list(self._listeners):
                try:
                    sent = listener.send(data)
                except OSError:
                    sent = -1
                if sent != len(data):
                    self._listeners.remove(listener)
                    listener.close()

    def close(self) -> None:
        """Let everybody go and remove the socket. Harmless twice."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        with self._mutex:
            for listener in self._listeners:
                listener.close()
            self._listeners.clear()
        self._path.unlink(missing_ok=True)

    def _welcome(self) -> None:
        while True:
            try:
                listener, _ = self._server.accept()
            except OSError:
                return
            listener.setblocking(False)
            with self._mutex:
                self._listeners.append(listener)


def listen(path: Path) -> Iterator[dict[str, Any]]:
    """What a running unit tells, until it stops.

    Raises
    ------
    UsageError
        If no unit runs there, or this user may not listen to it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UsageError(
                "no unit is running", where=path, expected="a running 'hydroear run' with this configuration"
            ) from error
        except OSError as error:
            raise UsageError(
                f"cannot be reached: {error.strerror or error}",
                where=path,
                fix="run this as the user of the service, or as root",
            ) from error
        with client.makefile() as lines:
            for line in lines:
                yield json.loads(line)
