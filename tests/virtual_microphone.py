"""A microphone without a sound card: an ALSA ``file`` PCM that reads what a paced thread writes to a FIFO."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

ASOUND = """\
</usr/share/alsa/alsa.conf>
pcm.{name} {{ type file  slave.pcm null  file /dev/null  infile "{fifo}"  format raw }}
"""
BACKLOG_BLOCKS = 8
"""What the FIFO may hold; more is lost, as in a driver whose ring buffer is full."""


class VirtualMicrophone:
    """Plays float32 samples in real time to whoever opens the device, and to nobody otherwise.

    Sample k sounds k / rate_hz after the start whether or not someone listens. When all were
    played, the device stalls.

    Parameters
    ----------
    fifo
        Path of the FIFO to make.
    sound
        Shape (n,) or (n, channels), float32.
    rate_hz
        Sample rate.
    block
        Samples written at a time. The PCM fills the rest of a short read with garbage, so this has
        to be the block length of the reader.
    """

    def __init__(self, fifo: Path, sound: NDArray[np.float32], *, rate_hz: int, block: int) -> None:
        os.mkfifo(fifo)
        self._fifo = fifo
        sound = sound.astype(np.float32)
        self._blocks = [sound[i : i + block].tobytes() for i in range(0, len(sound) - block + 1, block)]
        self._period_s = block / rate_hz
        self._stalled = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def stall(self) -> None:
        """Stay open but send nothing, as a driver that hangs."""
        self._stalled.set()

    def resume(self) -> None:
        """Send again what sounds now."""
        self._stalled.clear()

    def end(self) -> None:
        """Unplug: readers meet the end of the FIFO."""
        self._ended.set()
        self._thread.join()

    def _play(self) -> None:
        pipe = -1
        due_s = time.monotonic()
        for data in self._blocks:
            due_s += self._period_s
            if self._ended.wait(due_s - time.monotonic()):
                break
            if self._stalled.is_set():
                continue
            if pipe < 0:
                with suppress(OSError):  # ENXIO: nobody listens
                    pipe = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK)
            if pipe >= 0 and _waiting_bytes(pipe) < BACKLOG_BLOCKS * len(data):
                try:
                    os.write(pipe, data)
                except BrokenPipeError:
                    os.close(pipe)
                    pipe = -1
        self._ended.wait()
        if pipe >= 0:
            os.close(pipe)


@contextmanager
def virtual_microphone(
    folder: Path, sound: NDArray[np.float32], *, rate_hz: int = 16_000, block: int = 1_600, name: str = "leakmic"
) -> Iterator[VirtualMicrophone]:
    """Make ALSA know a microphone called ``alsa:NAME`` in this process and its children.

    Parameters
    ----------
    folder
        An empty folder for the FIFO and the configuration of ALSA.
    sound, rate_hz, block
        As for :class:`VirtualMicrophone`.
    name
        Name of the PCM.
    """
    config = folder / "asound.conf"
    config.write_text(ASOUND.format(name=name, fifo=folder / "microphone"))
    microphone = VirtualMicrophone(folder / "microphone", sound, rate_hz=rate_hz, block=block)
    try:
        with mock.patch.dict(os.environ, ALSA_CONFIG_PATH=str(config)):
            yield microphone
    finally:
        microphone.end()


def _waiting_bytes(pipe: int) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)
