"""A microphone heard through a child process, which may hang or die and is then started again."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time

import numpy as np

from hydroear.capture import microphone_child
from hydroear.capture.attempts import Attempts
from hydroear.capture.identity import resolve
from hydroear.capture.microphone_child import HEADER, MAGIC, MAX_PAYLOAD_BYTES, Kind
from hydroear.capture.supervised import Frame, SupervisedSource
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError

_log = logging.getLogger(__name__)

START_S = 20.0
"""Patience with a child that has sent nothing yet: the interpreter, PortAudio and a sound server start."""
REAP_S = 2.0
PIPE_BYTES = 1 << 20
"""What may wait for a busy reader before the driver overflows: 16 s of one channel at 16 kHz."""


class MicrophoneSource(SupervisedSource):
    """One channel of a sound device, for ever.

    A device that is missing, unplugged, forbidden or of another rate, a driver that hangs and a child that dies make
    gaps, until the device that is meant is heard again. Another one never is.

    Parameters
    ----------
    settings
        The device and how to open it.
    """

    def __init__(self, settings: schema.MicrophoneSource) -> None:
        super().__init__(settings.device, settings, Attempts(lambda: _Child(settings)))


class _Child:
    """The process PortAudio lives in, as its parent sees it."""

    def __init__(self, settings: schema.MicrophoneSource) -> None:
        self._device = settings.device
        self._channels = settings.channels
        self._process = subprocess.Popen(
            command(settings),
            stdin=subprocess.PIPE,  # the child exits when this ends, however its parent ended
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # ALSA complains about every device that is not there
            pipesize=PIPE_BYTES,
            process_group=0,  # ctrl-C is for the parent, which then ends the child
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._readable = select.poll()
        self._readable.register(self._output, select.POLLIN)
        self._received = bytearray()
        self._next_index = 0
        self._started_s = self._last_s = time.monotonic()

    @property
    def heard_for_s(self) -> float:
        """Time from the start to the last frame of audio."""
        return self._last_s - self._started_s if self._next_index else 0.0

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame of audio until a monotonic time.

        Raises
        ------
        CaptureError
            If the child reports a failure, ends, or sends what is not a frame.
        """
        while (frame := self._take()) is None:
            wait_s = max(0.0, until_s - time.monotonic())
            if not self._readable.poll(1e3 * wait_s):
                return None
            data = os.read(self._output, PIPE_BYTES)
            if not data:
                raise CaptureError(self._how_it_ended(), where=self._device)
            self._received += data
        return frame

    def check_stalled(self) -> None:
        """Raise CaptureError if a child that has been waited for has been silent for too long."""
        silence_s = time.monotonic() - self._last_s
        if self._next_index or silence_s >= START_S:
            raise CaptureError(
                "the driver stopped sending samples", where=self._device, fix="check the cable if this recurs"
            )

    def kill(self) -> None:
        """Kill the process, which also ends a wait for it in another thread."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and free all that belongs to it."""
        self._process.kill()
        try:
            self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:  # stuck in the kernel, as with a dying USB controller
            _log.warning(
                "%s: process %d does not die", self._device, self._process.pid, extra=coded(Code.CAPTURE_STUCK)
            )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _take(self) -> Frame | None:
        """Take a whole frame from what was received, if there is one."""
        if len(self._received) < HEADER.size:
            return None
        magic, kind, size, first_index, end_ns = HEADER.unpack_from(self._received)
        if magic != MAGIC or kind not in tuple(Kind) or size > MAX_PAYLOAD_BYTES:
            raise CaptureError("the capture process sent a malformed frame", where=self._device)
        end = HEADER.size + size
        if len(self._received) < end:
            return None
        payload = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        if kind == Kind.ERROR:
            raise CaptureError(payload.decode(errors="replace"), where=self._device)
        if first_index != self._next_index or size % (4 * self._channels) or not size:
            raise CaptureError("the capture process lost count of its samples", where=self._device)
        self._next_index += size // (4 * self._channels)
        self._last_s = time.monotonic()
        samples = np.frombuffer(payload, np.float32).reshape(-1, self._channels)
        return Frame(samples, end_ns * 1e-9, after_loss=kind == Kind.AUDIO_AFTER_LOSS)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            return "the capture process closed its output"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"the capture process {how}"


def command(settings: schema.MicrophoneSource) -> list[str]:
    """Command line of the child; ``-P`` keeps this directory's module names to itself.

    Raises
    ------
    CaptureError
        If the device is named by a USB identity that means no card that is plugged in, or several.
    """
    device = settings.device if settings.device.startswith("alsa:") else f"card:{resolve(settings.device)}"
    return [
        sys.executable, "-P", microphone_child.__file__, device, str(settings.rate_hz), str(settings.channels),
    ]  # fmt: skip
