"""A bad network: a TCP proxy on loopback that cuts what runs through it in every way a network does."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

CUTS = ("drop", "half-close", "truncate", "delay")
_LINGER_NOT = struct.pack("ii", 1, 0)  # close() then resets the connection, socket(7)


class Proxy:
    """Passes everything on to a port, until it is told to cut; for the length of a ``with``.

    Parameters
    ----------
    port
        Loopback port that it leads to.
    seed
        Of where a packet is cut, in which direction a connection is closed, and how long it is delayed.

    Attributes
    ----------
    port
        Loopback port that it listens on.
    cuts
        How many connections were cut, by how.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        self._target = port
        self._random = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.cuts = dict.fromkeys(CUTS, 0)
        self._lines: list[_Line] = []
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()
        for line in self._lines:
            line.drop()
            line.join()

    def cut(self, how: str) -> None:
        """Do to the connections that stand what :data:`CUTS` names; those that come later are well again."""
        for line in [line for line in self._lines if line.stands]:
            self.cuts[how] += 1
            if how == "drop":
                line.drop()
            elif how == "half-close":
                line.half_close(self._random.randrange(2))
            elif how == "truncate":
                line.keep = self._random.random()
            else:
                line.resume_s = time.monotonic() + self._random.uniform(0.2, 1.0)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _reset(client)
                continue
            self._lines.append(_Line(client, broker))


class _Line:
    """One connection through the proxy.

    Attributes
    ----------
    keep
        Share of the next piece that is passed on before the line is dropped; None for all of it.
    resume_s
        Monotonic time until which everything is held back.
    """

    def __init__(self, client: socket.socket, broker: socket.socket) -> None:
        self._ends = (client, broker)
        self.keep: float | None = None
        self.resume_s = 0.0
        self.stands = True
        self._threads = [
            threading.Thread(target=self._pass, args=ends) for ends in ((client, broker), (broker, client))
        ]
        for thread in self._threads:
            thread.start()

    def drop(self) -> None:
        """Reset both ends."""
        self.stands = False
        for end in self._ends:
            _reset(end)

    def half_close(self, end: int) -> None:
        """Tell one end, client or broker, that there is nothing more to come; it may still speak."""
        self.stands = False
        with suppress(OSError):
            self._ends[end].shutdown(socket.SHUT_WR)

    def join(self) -> None:
        """Wait for the end of a line that was dropped."""
        for thread in self._threads:
            thread.join()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(max(0.0, self.resume_s - time.monotonic()))
                if self.keep is not None:
                    target.sendall(data[: int(self.keep * len(data))])
                    break
                target.sendall(data)
        except OSError:
            pass
        self.drop()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        end.shutdown(socket.SHUT_RDWR)  # wakes who waits in recv, which close does not
    end.close()
