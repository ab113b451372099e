"""The process PortAudio lives in: it captures one device and writes frames to standard output.

PortAudio does not survive an unplug, and stopping a stream whose driver hangs never returns; a
process can always be killed. The stream is read blocking, because a callback stream needs memory
that is writable and executable, which a hardened service forbids.

This module imports nothing heavy, and nothing of this package, and is run as a file: a unit hears
again as soon as the interpreter and PortAudio are up.
"""

from __future__ import annotations

import enum
import json
import os
import re
import struct
import sys
import threading
import time
from typing import Any

MAGIC = b"HEAR"
HEADER = struct.Struct("<4sB3xIQQ")
"""Magic, kind, payload bytes, index of the first sample since start, monotonic ns of the last sample."""

MAX_PAYLOAD_BYTES = 1 << 24
BLOCKS_PER_SECOND = 10
BUFFER_S = 0.5
"""What the driver may hold while this process waits for a processor."""


class Kind(enum.IntEnum):
    """What a frame carries."""

    AUDIO = 0
    """Interleaved float32 samples that follow the frame before."""
    AUDIO_AFTER_LOSS = 1
    """The same, but the driver discarded samples in between and does not say how many."""
    ERROR = 2
    """Why capture ends, in UTF-8; the last frame."""


def frame(kind: Kind, payload: bytes, first_index: int = 0) -> bytes:
    """Pack a frame, dated now."""
    return HEADER.pack(MAGIC, kind, len(payload), first_index, time.monotonic_ns()) + payload


def capture(device: str, rate_hz: int, channels: int, output: int) -> None:
    """Write audio frames to a file descriptor until killed.

    Raises
    ------
    CannotOpenError, sounddevice.PortAudioError
        If the device cannot be opened, or fails later.
    """
    block_frames = rate_hz // BLOCKS_PER_SECOND
    stream = _open(device, rate_hz, channels, block_frames)
    stream.start()
    first_index = 0
    while True:
        samples, lost = stream.read(block_frames)
        kind = Kind.AUDIO_AFTER_LOSS if lost else Kind.AUDIO
        _write(output, frame(kind, bytes(samples), first_index))
        first_index += block_frames


class CannotOpenError(Exception):
    """The device is missing or refuses; says what to do."""


def inputs() -> dict[str, tuple[int, int, int]]:
    """Index, input channels and default rate of every ALSA device by its name, also of those that only play."""
    try:
        import sounddevice
    except OSError as error:
        raise CannotOpenError(f"{error}; install PortAudio (in Debian: libportaudio2)") from None
    return {
        found["name"]: (index, found["max_input_channels"], int(found["default_samplerate"]))
        for index, found in enumerate(sounddevice.query_devices())
        if sounddevice.query_hostapis(found["hostapi"])["name"] == "ALSA"
    }


def _open(device: str, rate_hz: int, channels: int, block_frames: int) -> Any:
    found = inputs()
    import sounddevice

    index, offered, _ = found[device_name(device, {name: offered for name, (_, offered, _) in found.items()})]
    if offered < channels:
        raise CannotOpenError(
            f"{channels} channel(s) asked, {offered} offered; set channels, or if none are offered, let this user "
            "open the device (group audio) and end the program that holds it"
        )
    try:
        return sounddevice.RawInputStream(
            device=index,
            samplerate=rate_hz,
            channels=channels,
            blocksize=block_frames,
            dtype="float32",
            latency=BUFFER_S,
        )
    except sounddevice.PortAudioError as error:
        raise CannotOpenError(f"{rate_hz} Hz: {error}; set rate_hz to a rate the device has") from None


def device_name(device: str, offers: dict[str, int]) -> str:
    """What PortAudio calls a device, out of the names it knows with the channels that each offers."""
    kind, _, name = device.partition(":")
    there = ", ".join(f"alsa:{known}" for known, offered in offers.items() if offered) or "none"
    if kind == "card":
        suffix = re.compile(rf"\(hw:{name},\d+\)$")
        of_card = [known for known in offers if suffix.search(known)]
        if not of_card:
            raise CannotOpenError(
                f"plugged in as card {name}, but PortAudio opens no part of it; inputs are: {there}; "
                "let this user open the device (group audio) and end the program that holds it"
            )
        return max(of_card, key=lambda known: offers[known] > 0)  # a card may also have parts that only play
    # By exact name: sounddevice itself would take a device whose name contains the one it is given.
    if name not in offers:
        raise CannotOpenError(f"no such device; inputs are: {there}; plug it in or name one of these")
    return name


def _write(output: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]


def _exit_with_parent() -> None:
    """Exit when standard input ends, even while the driver hangs."""
    sys.stdin.buffer.read()
    os._exit(0)


def _list(output: int) -> int:
    """Write name, channels and default rate of each input as JSON, or why that cannot be told; give the exit code."""
    try:
        heard = [(name, offered, rate_hz) for name, (_, offered, rate_hz) in inputs().items() if offered]
    except Exception as error:
        _write(output, str(error).encode())
        return 1
    _write(output, json.dumps(heard).encode())
    return 0


def main() -> None:
    """Run as ``microphone_child.py DEVICE RATE_HZ CHANNELS``, DEVICE being ``alsa:NAME`` or ``card:NUMBER``.

    Without arguments, what can be heard is listed.
    """
    if len(sys.argv) == 1:
        output = os.dup(1)
        os.dup2(2, 1)
        os._exit(_list(output))
    device, rate_hz, channels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a driver prints must not end up between two frames
    try:
        capture(device, rate_hz, channels, output)
    except Exception as error:
        reason = str(error)
    _write(output, frame(Kind.ERROR, reason.encode()))
    os._exit(1)  # closing the stream could hang


if __name__ == "__main__":
    main()
