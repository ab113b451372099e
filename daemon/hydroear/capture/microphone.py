"""A microphone heard through a child process, which may hang or die and is then started again."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hydroear.audio import Block, Gap
from hydroear.capture import microphone_child
from hydroear.capture.microphone_child import HEADER, MAGIC, MAX_PAYLOAD_BYTES, Kind
from hydroear.config import schema
from hydroear.errors import CaptureError

_log = logging.getLogger(__name__)

START_S = 20.0
"""Patience with a child that has sent nothing yet: the interpreter, PortAudio and a sound server start."""
BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0
GOOD_RUN_S = 60.0
"""After samples have come for this long, the next failure counts as the first again."""
REAP_S = 2.0
PIPE_BYTES = 1 << 20
"""What may wait for a busy reader before the driver overflows: 16 s of one channel at 16 kHz."""

State = Literal["healthy", "recovering", "failed"]


@dataclass(frozen=True)
class SourceStatus:
    """How a source is doing.

    Attributes
    ----------
    state
        ``healthy`` while samples arrive; ``recovering`` while they are waited for; ``failed`` once
        that has lasted so long that capture is tried only every 30 s.
    restarts
        How often capture was started again since the source was opened.
    last_error
        Why samples last ceased; empty if they never did.
    """

    state: State = "recovering"
    restarts: int = 0
    last_error: str = ""


class MicrophoneSource:
    """One channel of a sound device, for ever.

    Capture begins with the first :meth:`read`. Whatever stops it (a device that is missing,
    unplugged, forbidden or of another rate, a driver that hangs, a child that dies) becomes gaps
    whose lengths follow the monotonic clock, while capture is tried again after 0.5 s, doubling
    up to 30 s.

    Parameters
    ----------
    settings
        The device and how to open it.
    """

    def __init__(self, settings: schema.MicrophoneSource) -> None:
        self.name = settings.device
        self.rate_hz = settings.rate_hz
        self._settings = settings
        self._status = SourceStatus()
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._child: _Child | None = None
        self._starts = 0
        self._retry_s = 0.0
        self._back_off_s = BACK_OFF_S
        self._next_index = 0
        self._heard_s: float | None = None  # monotonic time at which the sample before _next_index ended
        self._interruption = ""  # why samples between _heard_s and the next frame are lost; empty if none are
        self._held: Block | None = None  # a block that its gap goes before

    @property
    def status(self) -> SourceStatus:
        """How the source is doing, as of the last read."""
        return self._status

    def read(self) -> Block | Gap | None:
        """Wait for what comes next, for at most about ``stall_s``.

        Returns
        -------
        Block, Gap or None
            A block of shape (n, 1) or a gap, each beginning where the one before ended; None when
            closed. The length of a gap is the time that passed times the rate, also where the
            driver reports an overflow, because it does not say how much it discarded.
        """
        with self._reading:
            if self._held is not None:
                held, self._held = self._held, None
                return held
            due_s = time.monotonic() + self._settings.stall_s
            if self._heard_s is None:
                self._heard_s = time.monotonic()
            while not self._closed.is_set():
                piece = self._listen(due_s)
                if piece is not None:
                    return piece
            return None

    def close(self) -> None:
        """Kill the child; a read that waits in another thread returns None. Harmless twice.

        Not for signal handlers: one that interrupts :meth:`read` would wait for it for ever.
        """
        self._closed.set()
        if self._child is not None:
            self._child.kill()
        with self._reading:
            self._end_child()
            self._held = None

    def _listen(self, due_s: float) -> Block | Gap | None:
        """Hear the next frame, or make a gap at a failure or when one is due; None to go on."""
        if self._child is None:
            self._closed.wait(min(self._retry_s, due_s) - time.monotonic())
            if self._closed.is_set():
                return None
            if time.monotonic() < self._retry_s:
                return self._gap(time.monotonic(), self._status.last_error)
            self._child = _Child(self._settings)
            self._starts += 1
        if self._closed.is_set():  # closed in another thread that did not see this child yet
            return None
        try:
            frame = self._child.receive(due_s)
            if frame is not None:
                return self._hear(frame)
            self._child.check_stalled()
            reason = self._status.last_error or "waiting for the first samples"
        except CaptureError as error:
            self._retry_later()
            self._become("failed" if self._back_off_s >= LONGEST_BACK_OFF_S else "recovering", str(error))
            reason = str(error)
        return self._gap(time.monotonic(), reason)

    def _hear(self, frame: _Frame) -> Block | Gap | None:
        """Place a frame in time, behind a gap if samples were lost before it."""
        channel = self._settings.channel
        samples = frame.samples(self._settings.channels)[:, channel - 1 : channel].copy()
        if not np.isfinite(samples).all():
            reason = f"{self.name}: samples that are not numbers"
            self._become("recovering", reason)
            return self._gap(frame.end_s, reason)
        gap = None
        if self._interruption or frame.kind is Kind.AUDIO_AFTER_LOSS:
            assert self._heard_s is not None
            reason = self._interruption or "driver overflow, length by the clock"
            begin_s = frame.end_s - len(samples) / self.rate_hz
            gap = self._gap(max(begin_s, self._heard_s + 1.0 / self.rate_hz), reason)
        self._become("healthy", self._status.last_error)
        block = Block(samples, self._next_index, frame.end_s)
        self._next_index, self._heard_s, self._interruption = block.end_index, frame.end_s, ""
        if gap is not None:
            self._held = block
        return gap or block

    def _gap(self, until_s: float, reason: str) -> Gap | None:
        """Count what was lost since the last sample until a monotonic time; None for less than a sample."""
        self._interruption = reason
        assert self._heard_s is not None
        length = round((until_s - self._heard_s) * self.rate_hz)
        if length < 1:
            return None
        gap = Gap(self._next_index, length, reason)
        self._next_index = gap.end_index
        self._heard_s += length / self.rate_hz
        return gap

    def _retry_later(self) -> None:
        assert self._child is not None
        if self._child.heard_for_s >= GOOD_RUN_S:
            self._back_off_s = BACK_OFF_S
        self._end_child()
        self._retry_s = time.monotonic() + self._back_off_s
        self._back_off_s = min(2.0 * self._back_off_s, LONGEST_BACK_OFF_S)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _become(self, state: State, error: str) -> None:
        """Take on a status, and log it unless it was logged already."""
        before, self._status = self._status, SourceStatus(state, max(0, self._starts - 1), error)
        if (state, error) == (before.state, before.last_error):
            return
        if state == "healthy":
            _log.info("%s: hearing", self.name)
        else:
            _log.warning("%s (%s)", error, state)


@dataclass(frozen=True)
class _Frame:
    """A frame as the child packed it."""

    kind: Kind
    payload: bytes
    end_s: float

    def samples(self, channels: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        return np.frombuffer(self.payload, np.float32).reshape(-1, channels)


class _Child:
    """The process PortAudio lives in, as its parent sees it."""

    def __init__(self, settings: schema.MicrophoneSource) -> None:
        self._device = settings.device
        self._frame_bytes = 4 * settings.channels
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

    def receive(self, until_s: float) -> _Frame | None:
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
            _log.warning("%s: process %d does not die", self._device, self._process.pid)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _take(self) -> _Frame | None:
        """Take a whole frame from what was received, if there is one."""
        if len(self._received) < HEADER.size:
            return None
        magic, kind, size, first_index, end_ns = HEADER.unpack_from(self._received)
        if magic != MAGIC or kind not in tuple(Kind) or size > MAX_PAYLOAD_BYTES:
            raise CaptureError("the capture process sent a malformed frame", where=self._device)
        end = HEADER.size + size
        if len(self._received) < end:
            return None
        frame = _Frame(Kind(kind), bytes(self._received[HEADER.size : end]), end_ns * 1e-9)
        del self._received[:end]
        if frame.kind is Kind.ERROR:
            raise CaptureError(frame.payload.decode(errors="replace"), where=self._device)
        if first_index != self._next_index or size % self._frame_bytes or not size:
            raise CaptureError("the capture process lost count of its samples", where=self._device)
        self._next_index += size // self._frame_bytes
        self._last_s = time.monotonic()
        return frame

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            return "the capture process closed its output"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"the capture process {how}"


def command(settings: schema.MicrophoneSource) -> list[str]:
    """Command line of the child; ``-P`` keeps this directory's module names to itself."""
    name = settings.device.removeprefix("alsa:")
    return [
        sys.executable, "-P", microphone_child.__file__, name, str(settings.rate_hz), str(settings.channels),
    ]  # fmt: skip
