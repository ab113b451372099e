"""Raw PCM from a program such as arecord or ffmpeg, or from standard input."""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress

from hydroear.audio.riff import IEEE_FLOAT, PCM, WavFormat
from hydroear.capture.attempts import Attempts, Feed
from hydroear.capture.supervised import FeedEnd, Frame, SupervisedSource
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError

_log = logging.getLogger(__name__)

BLOCKS_PER_SECOND = 10
START_S = 20.0
"""Patience with a program that has sent nothing yet."""
PIPE_BYTES = 1 << 20
"""What may wait for a busy reader before the program has to."""
REAP_S = 2.0
COMPLAINT_BYTES = 4096
"""How much of what a program says on standard error is kept, from its end."""

_ENCODINGS = {"s16le": (PCM, 16), "s24le": (PCM, 24), "s32le": (PCM, 32), "f32le": (IEEE_FLOAT, 32)}


class PipeSource(SupervisedSource):
    """One channel of raw PCM that a program writes, for ever, or standard input, to its end.

    Parameters
    ----------
    settings
        The program, and what it writes.
    """

    def __init__(self, settings: schema.PipeSource) -> None:
        def start() -> Feed:
            return _StandardInput(settings) if settings.from_stdin else _Program(settings)

        super().__init__("standard input" if settings.from_stdin else settings.command[0], settings, Attempts(start))


class _Pcm:
    """Frames out of a stream of bytes, dated by when they were written rather than read.

    Parameters
    ----------
    settings
        What the bytes mean.
    pipe
        Descriptor they are read from.
    """

    def __init__(self, settings: schema.PipeSource, pipe: int) -> None:
        codec, bits = _ENCODINGS[settings.format]
        self._format = WavFormat(codec, bits, settings.channels, settings.rate_hz)
        self._bytes_per_s = self._format.frame_bytes * settings.rate_hz
        self._block_bytes = self._format.frame_bytes * (settings.rate_hz // BLOCKS_PER_SECOND)
        self._pipe = pipe
        self._received = bytearray()
        self.started_s = self.last_s = time.monotonic()
        self.heard = False

    def fill(self) -> bool:
        """Read what is there, after it was polled; False at the end."""
        data = os.read(self._pipe, self._block_bytes)
        self._received += data
        return bool(data)

    def take(self, *, whole: bool = True) -> Frame | None:
        """Take a whole block of samples, or all that there are; None if there are none."""
        size = self._block_bytes if whole else len(self._received) - self.odd_bytes
        if not size or len(self._received) < size:
            return None
        data = bytes(self._received[:size])
        del self._received[:size]
        self.heard, self.last_s = True, time.monotonic()
        waiting = len(self._received) + _waiting_bytes(self._pipe)
        return Frame(self._format.decode(data), self.last_s - waiting / self._bytes_per_s)

    @property
    def odd_bytes(self) -> int:
        """Bytes received that make no whole sample of every channel."""
        return len(self._received) % self._format.frame_bytes

    def cut(self) -> str:
        """What to say of an end within a sample; empty for one between samples."""
        if not self.odd_bytes:
            return ""
        return (
            f"the last {self.odd_bytes} byte(s) are no whole sample of {self._format.frame_bytes}; "
            "check format and channels"
        )


class _Program:
    """A program in a process group of its own, heard through its standard output."""

    def __init__(self, settings: schema.PipeSource) -> None:
        self._name = settings.command[0]
        try:
            self._process = subprocess.Popen(
                settings.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pipesize=PIPE_BYTES,
                process_group=0,  # so that what it starts is killed with it, and ctrl-C is for this process alone
            )
        except OSError as error:
            what = "no such program" if isinstance(error, FileNotFoundError) else f"cannot be run ({error.strerror})"
            raise CaptureError(what, where=self._name, fix="install it, or give its path") from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output, self._errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._pcm = _Pcm(settings, self._output)
        self._complaint = b""
        self._poll = select.poll()
        for pipe in (self._output, self._errors):
            self._poll.register(pipe, select.POLLIN)

    @property
    def heard_for_s(self) -> float:
        return self._pcm.last_s - self._pcm.started_s if self._pcm.heard else 0.0

    def receive(self, until_s: float) -> Frame | None:
        while (frame := self._pcm.take()) is None:
            ready = [pipe for pipe, _ in self._poll.poll(1e3 * max(0.0, until_s - time.monotonic()))]
            if self._errors in ready:
                self._listen_to_complaint()
            if self._output in ready and not self._pcm.fill():
                raise CaptureError(self._how_it_ended(), where=self._name)
            # A program that floods its standard error is no reason to wait for longer.
            if self._output not in ready and time.monotonic() >= until_s:
                return None
        return frame

    def check_stalled(self) -> None:
        if self._pcm.heard or time.monotonic() - self._pcm.started_s >= START_S:
            since = "stopped sending samples" if self._pcm.heard else "has sent no samples"
            raise CaptureError(f"{since}{self._quote()}", where=self._name, fix="run it by hand to see why")

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # all of the group have ended
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.kill()
        try:
            self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:  # stuck in the kernel, as with a dying USB controller
            _log.warning("%s: process %d does not die", self._name, self._process.pid, extra=coded(Code.CAPTURE_STUCK))
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _listen_to_complaint(self) -> None:
        data = os.read(self._errors, PIPE_BYTES)
        if not data:
            with suppress(KeyError):
                self._poll.unregister(self._errors)
        self._complaint = (self._complaint + data)[-COMPLAINT_BYTES:]

    def _how_it_ended(self) -> str:
        if select.select([self._errors], [], [], 0.0)[0]:
            self._listen_to_complaint()
        try:
            code = self._process.wait(REAP_S)
        except subprocess.TimeoutExpired:
            how = "closed its output"
        else:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        cut = self._pcm.cut()
        return f"{how}{self._quote()}{'; ' if cut else ''}{cut}"

    def _quote(self) -> str:
        """The last line of what it said on standard error, as a person can read it."""
        lines = [line.strip() for line in self._complaint.decode(errors="replace").splitlines() if line.strip()]
        return f', saying "{"".join(c for c in lines[-1] if c.isprintable())[-200:]}"' if lines else ""


class _StandardInput:
    """Standard input of this process, which nobody can start again."""

    def __init__(self, settings: schema.PipeSource) -> None:
        self._pipe = sys.stdin.fileno()
        self._pcm = _Pcm(settings, self._pipe)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        # Sockets and not descriptors: once closed, a late wake-up cannot reach what was opened since.
        self._woken, self._waker = socket.socketpair()
        self._poll.register(self._woken, select.POLLIN)

    @property
    def heard_for_s(self) -> float:
        return self._pcm.last_s - self._pcm.started_s if self._pcm.heard else 0.0

    def receive(self, until_s: float) -> Frame | None:
        while (frame := self._pcm.take()) is None:
            ready = [pipe for pipe, _ in self._poll.poll(1e3 * max(0.0, until_s - time.monotonic()))]
            if not ready or self._woken.fileno() in ready:
                return None
            if not self._pcm.fill():
                if rest := self._pcm.take(whole=False):
                    return rest
                if cut := self._pcm.cut():
                    _log.warning("standard input: %s", cut, extra=coded(Code.SENSOR_AILING))
                raise FeedEnd
        return frame

    def check_stalled(self) -> None:
        pass

    def kill(self) -> None:
        with suppress(OSError):
            self._waker.send(b"\0")

    def end(self) -> None:
        self._woken.close()
        self._waker.close()


def _waiting_bytes(pipe: int) -> int:
    """What was written to a pipe and not read yet; 0 where that cannot be asked, as of a device."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    except OSError:
        return 0
    return int(count)
