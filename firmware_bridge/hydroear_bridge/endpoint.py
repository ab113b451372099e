"""The other end of a port: where a simulated device is found, at a terminal or a TCP port."""

from __future__ import annotations

import os
import pty
import select
import socket
import time
import tty
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from hydroear_bridge.errors import UsageError

_READ_SIZE = 65536
_ROOM_S = 0.005
"""So soon a receiver that has taken all it could is offered more."""


class Endpoint(ABC):
    """Where a receiver may come and go.

    Attributes
    ----------
    name
        What a receiver calls it.
    """

    name: str

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether somebody listens."""

    @abstractmethod
    def exchange(self, data: bytes, until_s: float) -> bytes:
        """Send bytes, as many as the receiver takes, and wait for its own until a monotonic time.

        Nobody hears what is sent while nobody listens.
        """

    def deliver(self, data: bytes) -> None:
        """Send bytes however long the receiver takes, unless it leaves; what it says meanwhile is not heard."""
        while data and self.connected:
            sent = self._send(data)
            data = data[sent:]
            self.exchange(b"", time.monotonic() + (0.0 if sent else _ROOM_S))

    def finish(self, until_s: float) -> None:
        """Hang up when the receiver has taken what was sent, at the latest at a monotonic time."""
        self._end()
        while self.connected and time.monotonic() < until_s:
            self.exchange(b"", min(until_s, time.monotonic() + _ROOM_S))
        self.close()

    @abstractmethod
    def _send(self, data: bytes) -> int:
        """Send bytes without waiting; give how many were taken."""

    @abstractmethod
    def _end(self) -> None:
        """Let the receiver know that nothing follows."""

    @abstractmethod
    def cut(self) -> None:
        """Break the connection off, until :meth:`mend`."""

    @abstractmethod
    def mend(self) -> None:
        """Let a receiver connect again."""

    @abstractmethod
    def close(self) -> None:
        """Free what is open."""


class Terminal(Endpoint):
    """A pseudo-terminal with a name that stays, as udev gives one to a device.

    Parameters
    ----------
    link
        Symbolic link to be made to the terminal.

    Raises
    ------
    UsageError
        If the link cannot be made.
    """

    def __init__(self, link: Path) -> None:
        self.name, self._link = str(link), link
        self._descriptor: int | None = None
        self.mend()

    @property
    def connected(self) -> bool:
        # A terminal that everybody has closed hangs up, as long as nobody opens it again.
        return self._descriptor is not None and not self._events(0, 0.0) & select.POLLHUP

    def exchange(self, data: bytes, until_s: float) -> bytes:
        if self._descriptor is None or not self.connected:
            time.sleep(max(0.0, until_s - time.monotonic()))
            return b""
        with suppress(OSError):  # full, or closed a moment ago
            os.write(self._descriptor, data)
        if self._events(select.POLLIN, until_s - time.monotonic()) & select.POLLIN:
            with suppress(OSError):
                return os.read(self._descriptor, _READ_SIZE)
        return b""

    def _send(self, data: bytes) -> int:
        assert self._descriptor is not None
        with suppress(OSError):  # full, or closed a moment ago
            return os.write(self._descriptor, data)
        return 0

    def _end(self) -> None:
        pass

    def cut(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._link.unlink(missing_ok=True)

    def mend(self) -> None:
        self._descriptor, line = pty.openpty()
        tty.setraw(line)
        os.set_blocking(self._descriptor, False)
        try:
            self._link.symlink_to(os.ttyname(line))
        except OSError as error:
            os.close(self._descriptor)
            raise UsageError(f"{self._link}: {error.strerror}; name a link that is to be made") from None
        finally:
            os.close(line)

    def close(self) -> None:
        self.cut()

    def _events(self, wanted: int, wait_s: float) -> int:
        poll = select.poll()
        assert self._descriptor is not None
        poll.register(self._descriptor, wanted)
        return sum(events for _, events in poll.poll(1e3 * max(0.0, wait_s)))


class Server(Endpoint):
    """A TCP port of this machine's own address; who connects last is heard.

    Parameters
    ----------
    port
        Its number; 0 takes a free one.

    Raises
    ------
    UsageError
        If it is taken.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: socket.socket | None = None
        self._server: socket.socket | None = None
        self.mend()

    @property
    def connected(self) -> bool:
        self._accept(0.0)
        return self._connection is not None

    def exchange(self, data: bytes, until_s: float) -> bytes:
        if self._connection is None:
            self._accept(until_s - time.monotonic())
            return b""
        try:
            with suppress(BlockingIOError):
                self._connection.sendall(data)
            if select.select([self._connection], [], [], max(0.0, until_s - time.monotonic()))[0]:
                if heard := self._connection.recv(_READ_SIZE):
                    return heard
                self._hang_up()
        except OSError:
            self._hang_up()
        return b""

    def _send(self, data: bytes) -> int:
        assert self._connection is not None
        with suppress(OSError):  # full, or closed a moment ago
            return self._connection.send(data, socket.MSG_DONTWAIT)
        return 0

    def _end(self) -> None:
        with suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self._hang_up()
        if self._server is not None:
            self._server.close()
            self._server = None

    def mend(self) -> None:
        try:
            self._server = socket.create_server(("127.0.0.1", self._port))
        except OSError as error:
            raise UsageError(f"TCP port {self._port}: {error.strerror}; name another, or 0 for a free one") from None
        self._port = self._server.getsockname()[1]
        self.name = f"tcp://127.0.0.1:{self._port}"

    def close(self) -> None:
        self.cut()

    def _accept(self, wait_s: float) -> None:
        if self._server is None:
            time.sleep(max(0.0, wait_s))
        elif select.select([self._server], [], [], max(0.0, wait_s))[0]:
            self._hang_up()
            self._connection, _ = self._server.accept()
            self._connection.settimeout(1.0)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
