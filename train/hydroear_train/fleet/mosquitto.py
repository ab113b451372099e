"""A mosquitto on loopback that is measured, and killed if need be."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from hydroear.errors import HydroearError, UsageError
from hydroear.mqtt.broker import Address

HOST = "127.0.0.1"
START_S = 15.0
STOP_S = 5.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Mosquitto:
    """A broker that lets everybody in and keeps sessions, for the length of a ``with``.

    Parameters
    ----------
    folder
        An empty folder for its files.

    Attributes
    ----------
    address
        Where it listens; the same after it was killed.
    cpu_s
        Processor time it has used, by the last :meth:`sample`; over its deaths.
    rss_bytes
        The most memory it had.

    Raises
    ------
    UsageError
        It is not installed.
    """

    def __init__(self, folder: Path) -> None:
        # Debian keeps daemons out of the PATH of ordinary users.
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise UsageError("mosquitto is not installed", fix="apt-get install mosquitto, or put it in the PATH")
        self.address = Address(HOST, _free_port())
        self.cpu_s, self.rss_bytes = 0.0, 0
        self._spent_s = 0.0
        self._log = folder / "mosquitto.log"
        config = folder / "mosquitto.conf"
        lines = [f"listener {self.address.port} {HOST}", "allow_anonymous true"]
        lines += ["max_inflight_messages 0", "max_queued_messages 0"]  # as many as there are
        lines += ["persistence true", f"persistence_location {folder}/"]
        if os.geteuid() == 0:
            lines.append("user root")
        config.write_text("\n".join(lines) + "\n")
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def start(self) -> None:
        """Start it, and return when it listens.

        Raises
        ------
        HydroearError
            It ends, or never listens.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_S
        while not _listens(self.address):
            self.sample()
            if time.monotonic() > deadline_s:
                raise HydroearError("mosquitto does not listen", where=self.address)
            time.sleep(0.01)

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self.sample()
        self._spent_s = self.cpu_s
        self._process.kill()
        self._process.wait()
        self._process = None

    def save(self) -> None:
        """Have it write sessions to disk, as it does every half hour (mosquitto(8), SIGUSR1)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def sample(self) -> None:
        """Look at what it uses (proc(5)).

        Raises
        ------
        HydroearError
            It has ended by itself.
        """
        if self._process is None:
            return
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise HydroearError(f"mosquitto ended with exit code {self._process.returncode}: {last}")
        folder = Path("/proc") / str(self._process.pid)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        self.cpu_s = self._spent_s + (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        with suppress(StopIteration):  # a process that is only just starting has no memory yet
            peak = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM:"))
            self.rss_bytes = max(self.rss_bytes, 1024 * int(peak.split()[1]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _listens(address: Address) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address.host, address.port)) == 0
