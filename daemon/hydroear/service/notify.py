"""Telling systemd how the service is: sd_notify(3) and the watchdog of sd_watchdog_enabled(3)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from hydroear.codes import Code, coded

_log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""How long a manager may be busy with what it was told before: it takes ten messages and no more (unix(7))."""
WATCHDOG_PATIENCE_S = 0.1
"""The same for what is told with each window; another follows, and nothing is heard meanwhile."""


@dataclass(frozen=True)
class Notifier:
    """The way to the service manager, or to nowhere.

    Running means hearing: call :meth:`watchdog` when a window was scored, never from a timer, so
    that a unit that is deaf for whatever reason is started anew.

    Attributes
    ----------
    address
        Path of the manager's datagram socket, beginning with ``@`` if abstract; empty if there is
        no manager, and then nothing is sent.
    watchdog_interval_s
        Silence after which the manager ends this process; None if it does not watch.
    """

    address: str = ""
    watchdog_interval_s: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """Read ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        watches = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval_us = int(environment.get("WATCHDOG_USEC", "0")) if watches else 0
        return cls(environment.get("NOTIFY_SOCKET", ""), 1e-6 * interval_us or None)

    def ready(self, status: str) -> None:
        """Start-up is over."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """What ``systemctl status`` shows; one line."""
        self._send(f"STATUS={_line(text)}")

    def watchdog(self) -> None:
        """A window was scored."""
        self._send("WATCHDOG=1", WATCHDOG_PATIENCE_S)

    def reloading(self) -> None:
        """The configuration is being read again, until the next :meth:`ready`."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str, patience_s: float = PATIENCE_S) -> None:
        if not self.address:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(patience_s)
            try:
                manager.sendto(message.encode(), address)
            except OSError as error:  # a unit must hear on when its manager does not
                _log.warning("cannot notify systemd at %s: %s", self.address, error, extra=coded(Code.MANAGER_AWAY))


def _line(text: str) -> str:
    """One line: a line break would begin another assignment."""
    return " ".join(text.split())
