"""Where the bytes come from: a serial line, a TCP connection, a file."""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from hydroear_bridge.errors import BridgeError, PortEndError, PortError, UsageError
from hydroear_bridge.usb import resolve

BAUD = 921_600
"""Enough for 16 kHz int24 or 32 kHz int16 over a UART; USB-CDC, TCP and files take no notice."""
CONNECT_S = 5.0
WRITE_S = 1.0
_READ_SIZE = 65536
_REASONS = {
    errno.ENOENT: "not there; plug it in, or name another",
    errno.EAGAIN: "in use by another program; stop that one",
    errno.EACCES: "not permitted; serial lines want a member of the group dialout",
}
_TCP = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(\d{1,5})")


class _Resource(Protocol):
    """What has a descriptor."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Port:
    """An open port.

    Parameters
    ----------
    name
        What its user calls it.
    resource
        What is open; belongs to the port from now on.
    is_file
        Whether nobody is at the other end: it has an end, and nothing is written to it.

    Attributes
    ----------
    woken
        Whether somebody has called :meth:`wake`.
    """

    def __init__(self, name: str, resource: _Resource, *, is_file: bool = False) -> None:
        self.name, self.woken, self.is_file = name, False, is_file
        self._resource = resource
        # Sockets and not descriptors: once closed, a late wake-up cannot reach what was opened since.
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def read(self, until_s: float) -> bytes:
        """Wait for bytes until a monotonic time.

        Returns
        -------
        bytes
            What has arrived; nothing at that time, or after :meth:`wake`.

        Raises
        ------
        PortEndError
            At the end of a file.
        PortError
            If the other end has gone.
        """
        try:
            if not self._is_ready(select.POLLIN, until_s):
                return b""
            data = os.read(self._resource.fileno(), _READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortError(self.name, f"gone ({error.strerror})") from None
        if data:
            return data
        if self.is_file:
            raise PortEndError(self.name, "ends here")
        raise PortError(self.name, "gone: unplugged, or closed by the other end")

    def write(self, data: bytes) -> None:
        """Write bytes; to a file, none.

        Raises
        ------
        PortError
            If the other end has gone, or takes none for a second.
        """
        until_s = time.monotonic() + WRITE_S
        while data and not self.is_file:
            try:
                data = data[os.write(self._resource.fileno(), data) :]
            except BlockingIOError:
                if not self._is_ready(select.POLLOUT, until_s):
                    raise PortError(self.name, f"takes no bytes for {WRITE_S:g} s") from None
            except OSError as error:
                raise PortError(self.name, f"gone ({error.strerror})") from None

    def wake(self) -> None:
        """End a :meth:`read` that waits in another thread, and all after it; harmless twice."""
        self.woken = True
        with suppress(OSError):
            self._waker.send(b"\0")

    def close(self) -> None:
        """Free the port; harmless twice. A port that is opened again has to be closed first."""
        with suppress(OSError):  # of a device that was unplugged
            self._resource.close()
        self._woken.close()
        self._waker.close()

    def _is_ready(self, wanted: int, until_s: float) -> bool:
        poll = select.poll()
        poll.register(self._resource.fileno(), wanted)
        poll.register(self._woken, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(1e3 * max(0.0, until_s - time.monotonic()))]
        return bool(ready) and self._woken.fileno() not in ready


def open_port(name: str, *, baud: int = BAUD) -> Port:
    """Open a port.

    Parameters
    ----------
    name
        ``usb:VID:PID[:SERIAL]``, ``tcp://HOST:PORT``, the path of a serial line such as ``/dev/serial/by-id/…`` or of
        a file, or ``-`` for standard input.
    baud
        Bits per second of a UART.

    Raises
    ------
    UsageError
        If the name is none.
    PortError
        If it cannot be opened.
    BridgeError
        If the package pyserial is not installed.
    """
    if name == "-":
        return Port("standard input", sys.stdin.buffer, is_file=True)
    if name.startswith("usb:"):
        return _open_serial(name, resolve(name), baud)
    if name.startswith("tcp:"):
        return _connect(name)
    path = Path(name)
    try:
        if stat.S_ISCHR(path.stat().st_mode):
            return _open_serial(name, path, baud)
        return Port(name, path.open("rb", buffering=0), is_file=True)
    except OSError as error:
        raise PortError(name, _why(error)) from None


def _open_serial(name: str, path: Path, baud: int) -> Port:
    try:
        import serial
    except ImportError:
        raise BridgeError("the package pyserial is missing; pip install 'hydroear[bridge]'") from None
    try:
        # Exclusive: two readers of one line would each hear half of it.
        return Port(name, serial.Serial(str(path), baud, timeout=0, exclusive=True))
    except OSError as error:
        raise PortError(name, _why(error)) from None


def _connect(name: str) -> Port:
    found = _TCP.fullmatch(name)
    if not found or not 0 < int(found[2]) < 65536:
        raise UsageError(f"{name} is no port; expected tcp://HOST:PORT, PORT 1 to 65535")
    try:
        connection = socket.create_connection((found[1].strip("[]"), int(found[2])), CONNECT_S)
    except OSError as error:
        raise PortError(name, f"no connection ({error.strerror or error})") from None
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return Port(name, connection)


def _why(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or str(error))
