"""The example firmware on an emulated microcontroller, and the samples of its simulated pipe."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from hydroear_bridge.frames import Audio, Body, Frame, RecData, RecList, Recording, RecRead, Result, ResultCode
from hydroear_bridge.link import DELIMITER, BadFrame, Decoder, encode

IMAGE = Path(__file__).parents[1] / "firmware_bridge" / "c" / "build" / "example.elf"
KEPT_ADDRESS = 0x20000000
SET_LEAK = 0x8000
SET_RECORDING_S = 0x8001
SENSOR = 1
RATE_HZ = 16_000
PATIENCE_S = 60.0


class Microcontroller:
    """A running microcontroller and its serial line, a Unix socket at :attr:`line`; a context manager ends it.

    Parameters
    ----------
    folder
        Where its line is found.
    boot_id
        Boot id that it shall have.
    recordings
        How many recordings it has made in its life, so that the next has the number after.
    hurried
        Whether its clock runs as fast as its instructions can be emulated.
    """

    def __init__(self, folder: Path, *, boot_id: int = 1, recordings: int = 0, hurried: bool = False) -> None:
        self.line = folder / "line"
        self._kept = (boot_id - 1) % 2**32 | recordings << 32
        self._pace = ["-icount", "shift=0,sleep=off"] if hurried else []

    def __enter__(self) -> Self:
        self._emulator = subprocess.Popen(
            ["qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none",
             "-serial", f"unix:{self.line},server=on,wait=on", "-kernel", IMAGE,
             "-device", f"loader,addr={KEPT_ADDRESS:#x},data={self._kept:#x},data-len=8", *self._pace],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.kill()
        self._emulator.wait()

    def hold_up(self, for_s: float) -> None:
        """Let it do nothing for so long; its clock and its converter go on."""
        self._emulator.send_signal(signal.SIGSTOP)
        time.sleep(for_s)
        self._emulator.send_signal(signal.SIGCONT)

    def connect(self) -> Conversation:
        """Be the receiver; the microcontroller boots when somebody is connected."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(str(self.line))
            except OSError:
                line.close()
                assert self._emulator.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return Conversation(line)


class Conversation:
    """What a receiver and the microcontroller say to each other."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.settimeout(PATIENCE_S)
        self._sequence = 0
        self.heard = bytearray()
        """All bytes that came."""
        self._frames = self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def _receive(self) -> Iterator[Frame]:
        decoder = Decoder()
        while part := self._line.recv(4096):
            self.heard += part
            for item in decoder.receive(part):
                assert not isinstance(item, BadFrame), item
                yield item

    def next(self) -> Frame:
        """The next frame that comes."""
        return next(self._frames)

    def next_of(self, kind: type[Body]) -> Frame:
        """The next frame with this body; others are passed over."""
        return next(frame for frame in self._frames if isinstance(frame.body, kind))

    def send(self, body: Body, stream: int = 0) -> int:
        """Send a frame; give its sequence."""
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._line.sendall(encode(Frame(sequence=sequence, device_time_us=0, stream=stream, body=body)))
        return sequence

    def ask(self, body: Body, stream: int = 0) -> Result:
        """Send a request and wait for its result; frames in between are passed over."""
        return self.serve(body, stream)[1]

    def serve(self, body: Body, stream: int = 0) -> tuple[list[Frame], Result]:
        """Send a request and wait for its result; gives the frames in between as well."""
        sequence, frames = self.send(body, stream), []
        while not isinstance((frame := self.next()).body, Result):
            frames.append(frame)
        result = frame.body
        assert isinstance(result, Result)
        assert result.request_sequence == sequence
        return frames, result

    def recordings(self, from_recording: int = 0) -> list[Recording]:
        """What is in its memory."""
        frames, result = self.serve(RecList(from_recording=from_recording))
        listed = [entry for frame in frames if isinstance(frame.body, RecList) for entry in frame.body.recordings]
        assert (result.code, result.value) == (ResultCode.OK, len(listed))
        return listed

    def read(self, recording: int, offset: int = 0, length: int = 0) -> bytes:
        """Bytes of a recording."""
        frames, result = self.serve(RecRead(recording=recording, offset=offset, length=length))
        pieces = [frame.body for frame in frames if isinstance(frame.body, RecData)]
        data = b"".join(piece.data for piece in pieces)
        ends = [piece.offset + len(piece.data) for piece in pieces]
        assert [piece.offset for piece in pieces] == [offset, *ends][: len(pieces)]
        assert {piece.recording for piece in pieces} <= {recording}
        assert (result.code, result.value) == (ResultCode.OK, offset + len(data))
        return data


class Relay:
    """A TCP port that leads to whichever microcontroller is there, and lets others speak in between.

    Attributes
    ----------
    audio
        What the microcontroller that is there has sent.
    passed
        How many bytes have come from it since somebody was connected last.
    cut_at
        Hang up on both once so many have; None never does.
    calls
        How often somebody was connected and is not any more.
    """

    def __init__(self, line: Path) -> None:
        self._line = line
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.audio: list[Audio] = []
        self.passed = self.calls = 0
        self.cut_at: int | None = None
        self._device: socket.socket | None = None
        self._mutex = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._server.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def ask(self, body: Body, stream: int) -> None:
        """Say something to the device, behind what the daemon says to it."""
        with self._mutex:
            assert self._device is not None
            frame = Frame(sequence=2**31, device_time_us=0, stream=stream, body=body)
            self._device.sendall(DELIMITER + encode(frame))

    def _accept(self) -> None:
        while True:
            try:
                daemon, _ = self._server.accept()
            except OSError:
                return
            device = socket.socket(socket.AF_UNIX)
            try:
                device.connect(str(self._line))
            except OSError:
                device.close()
                daemon.close()
                continue
            self.audio, self.passed, self._device = [], 0, device
            for ends in ((daemon, device), (device, daemon)):
                self._threads.append(threading.Thread(target=self._pass, args=ends))
                self._threads[-1].start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        decoder, audio = Decoder(), self.audio
        from_device = source is self._device
        with suppress(OSError):
            while data := source.recv(65536):
                if from_device:
                    received = decoder.receive(data)
                    audio += [one.body for one in received if isinstance(one, Frame) and isinstance(one.body, Audio)]
                    self.passed += len(data)
                    if self.cut_at is not None and self.passed >= self.cut_at:
                        break
                    target.sendall(data)
                else:
                    with self._mutex:
                        target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if not from_device:
            return
        source.close()
        target.close()
        self.calls += 1


class SimulatedPipe:
    """The same samples as ``example/pipe.c`` makes."""

    def __init__(self) -> None:
        self._flow = 1
        self._leak = 2
        self._rumble = self._rumble_below = self._hiss = self._hiss_below = 0

    def parts(self) -> tuple[int, int]:
        """The next sample without a leak, and what the leak is made of."""
        self._flow, flow = _white(self._flow)
        self._leak, leak = _white(self._leak)
        self._rumble += _quotient(flow * 256 - self._rumble, 4)
        self._rumble_below += _quotient(self._rumble - self._rumble_below, 4)
        self._hiss += _quotient(leak * 256 - self._hiss, 2)
        self._hiss_below += _quotient(self._hiss - self._hiss_below, 8)
        band = _quotient(self._hiss - self._hiss_below, 256)
        return _quotient(self._rumble_below, 6144) + _quotient(flow, 2048), band


def leaking(parts: tuple[int, int], leak: int, factor: int = 1) -> int:
    """The sample as the device sends it: with a leak of 0 to 100, behind a gain."""
    flow, band = parts
    return max(-(2**15), min((flow + _quotient(band * leak, 800)) * factor, 2**15 - 1))


def _white(state: int) -> tuple[int, int]:
    state = (state * 1664525 + 1013904223) % 2**32
    return state, (state >> 16) - 32768


def _quotient(dividend: int, divisor: int) -> int:
    """Rounded towards zero, as in C."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)
