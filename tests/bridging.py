"""A simulated device at a port, in real time, that remembers what became of each of its frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np

from hydroear_bridge.device import Device, Samples, StoredRecording
from hydroear_bridge.endpoint import Endpoint, Server, Terminal
from hydroear_bridge.faults import Faults, Link
from hydroear_bridge.frames import Audio, EventCode, Frame, ResetCause
from hydroear_bridge.link import DELIMITER, encode

RATE_HZ = 16_000
NO_FAULTS = Faults()
_STEP_S = 0.005
_PIECE, _TCP_PIECE = 2048, 65536
"""A terminal takes no more at once, and what it does not take is lost."""


def endpoint(kind: str, folder: Path) -> Endpoint:
    """A terminal in a folder, or a TCP port."""
    return Terminal(folder / "line") if kind == "terminal" else Server(0)


def counting(positions: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Samples:
    """Samples that tell their position; full scale 1, exact in 16 bits, never still."""
    return (positions * 7919 % 20_011 - 10_005) / 2**15


class _Witness(Link):
    """A link that remembers which frames can be read at its end."""

    def __init__(self, faults: Faults, seed: int) -> None:
        super().__init__(faults, seed)
        self.arrives: list[bool] = []

    def carry(self, wire: bytes, *, spared: bool = False) -> tuple[bytes, bool]:
        data, arrives = super().carry(wire, spared=spared)
        self.arrives.append(arrives)
        return data, arrives


class Bench:
    """A device that samples :func:`counting`, behind a link with faults; a context manager lets it run."""

    def __init__(
        self,
        at: Endpoint,
        *,
        faults: Faults = NO_FAULTS,
        seed: int = 0,
        recordings: Sequence[StoredRecording] = (),
    ) -> None:
        self.endpoint = at
        self._position = 0
        self.device = Device(self._sound, rate_hz=RATE_HZ, boot_id=7, recordings=recordings)
        self._down = _Witness(faults, seed)
        self._made: list[Frame] = []
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device")

    def __enter__(self) -> Self:
        self._boot()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.endpoint.close()

    @property
    def booted_s(self) -> float:
        """Monotonic time at which the device last began to run."""
        with self._mutex:
            return self._booted_s

    @property
    def stored(self) -> Mapping[int, StoredRecording]:
        """What is in its memory, by number."""
        with self._mutex:
            return self.device.recordings

    @property
    def audio(self) -> list[tuple[Audio, bool]]:
        """What it sampled, and whether that could be read at the end of the link."""
        with self._mutex:
            return [
                (frame.body, arrives)
                for frame, arrives in zip(self._made, self._down.arrives, strict=True)
                if isinstance(frame.body, Audio)
            ]

    def restart(self, after_s: float = 0.2) -> None:
        """Lose power for so long."""
        with self._mutex:
            self.device.lose_power()
        time.sleep(after_s)
        with self._mutex:
            self._position = 0
            self._boot(ResetCause.BROWN_OUT)

    def unplug(self, for_s: float) -> None:
        """Cut the connection for so long; the device goes on."""
        with self.unplugged():
            time.sleep(for_s)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Cut the connection for as long as the block lasts."""
        with self._mutex:
            self.endpoint.cut()
        yield
        with self._mutex:
            self.endpoint.mend()

    def happen(self, event: EventCode, *, begun: bool = True, value: int = 0, lost: bool = False) -> datetime:
        """Let something begin or end; gives when it did. The report of it may be lost on the way."""
        with self._mutex:
            now_s = time.monotonic()
            report = self.device.happen(event, now_s, begun=begun, value=value)
            if not lost:
                self._say(report)
            return datetime.now(UTC) - timedelta(seconds=time.monotonic() - now_s)

    def _boot(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        self._booted_s = time.monotonic()
        self.device.boot(self._booted_s, cause)

    def _sound(self, count: int) -> Samples:
        first, self._position = self._position, self._position + count
        return counting(np.arange(first, first + count))

    def _say(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._made.append(frame)
            self._down.send(encode(frame), time.monotonic())

    def _run(self) -> None:
        waiting, connected = bytearray(), False
        size = _TCP_PIECE if isinstance(self.endpoint, Server) else _PIECE
        while not self._ended.is_set():
            with self._mutex:
                now_s = time.monotonic()
                self._say(self.device.send(now_s))
                waiting += self._down.arrived(now_s)
                if not self.endpoint.connected:
                    waiting, connected = bytearray(), False
                elif not connected:
                    waiting, connected = bytearray(DELIMITER + waiting), True
                piece = bytes(waiting[:size])
                del waiting[:size]
                heard = self.endpoint.exchange(piece, now_s + _STEP_S)
                self._say(self.device.receive(heard, time.monotonic()))
