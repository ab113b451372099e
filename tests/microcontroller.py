"""The example firmware on an emulated microcontroller, and the samples of its simulated pipe."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from hydroear_bridge.frames import Body, Frame, Result
from hydroear_bridge.link import BadFrame, Decoder, encode

IMAGE = Path(__file__).parents[1] / "firmware_bridge" / "c" / "build" / "example.elf"
BOOT_ID_ADDRESS = 0x20000000
SET_LEAK = 0x8000
SENSOR = 1


class Microcontroller:
    """A running microcontroller and its serial line, a Unix socket at :attr:`line`; a context manager ends it."""

    def __init__(self, folder: Path, *, boot_id: int = 1) -> None:
        self.line = folder / "line"
        self._boots_before = (boot_id - 1) % 2**32

    def __enter__(self) -> Self:
        self._emulator = subprocess.Popen(
            ["qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none",
             "-serial", f"unix:{self.line},server=on,wait=on", "-kernel", IMAGE,
             "-device", f"loader,addr={BOOT_ID_ADDRESS:#x},data={self._boots_before:#x},data-len=4"],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._emulator.kill()
        self._emulator.wait()

    def connect(self) -> Conversation:
        """Be the receiver; the microcontroller boots when somebody is connected."""
        deadline = time.monotonic() + 30
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
        self._line.settimeout(30)
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
        sequence = self.send(body, stream)
        result = self.next_of(Result).body
        assert isinstance(result, Result)
        assert result.request_sequence == sequence
        return result


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
