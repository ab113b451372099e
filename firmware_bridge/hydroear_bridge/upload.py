"""What a logger has recorded, fetched piece by piece, over as many connections as it takes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hydroear_bridge.conversation import Conversation
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import Audio, Frame, RecData, RecErase, RecList, Recording, RecordingState, RecRead
from hydroear_bridge.recorder import Recorder
from hydroear_bridge.recorder import Recording as Written
from hydroear_bridge.session import Happening, Session

FRUITLESS = 3
"""So many reads in a row that bring nothing end an upload."""
_CHUNK = 1 << 20


def listed(conversation: Conversation) -> list[Recording]:
    """The finished recordings of a device, in the order of their numbers.

    Raises
    ------
    BridgeError
        If it does not say.
    """
    found: dict[int, Recording] = {}
    for frame in conversation.ask(RecList()):
        if isinstance(frame.body, RecList):
            found |= {entry.recording: entry for entry in frame.body.recordings}
    return [found[number] for number in sorted(found) if found[number].state == RecordingState.FINISHED]


def fetch(
    conversation: Conversation, entry: Recording, path: Path, progress: Callable[[int], object] = lambda _: None
) -> None:
    """Fetch a recording into a file that appears once it is whole.

    What has come stays in a file beside, named ``.part``, from the end of which the next call goes on.

    Parameters
    ----------
    entry
        What the device says of it.
    path
        The file; if it is there and right, nothing is done.
    progress
        Is told how many bytes have come, those of an earlier call as well.

    Raises
    ------
    BridgeError
        If nothing comes any more, or what has come is not what the device has.
    """
    if path.exists() and _is_right(path, entry):
        progress(entry.size)
        return
    part = path.with_name(path.name + ".part")
    with part.open("ab") as file:
        if file.tell() > entry.size:
            file.truncate(0)
        progress(file.tell())
        fruitless = 0
        while file.tell() < entry.size:
            before = file.tell()
            for frame in conversation.ask(RecRead(recording=entry.recording, offset=before)):
                data = frame.body
                # Behind a lost piece the rest is of no use yet: it is asked for again.
                if isinstance(data, RecData) and (data.recording, data.offset) == (entry.recording, file.tell()):
                    file.write(data.data)
                    progress(len(data.data))
            file.flush()
            fruitless = 0 if file.tell() > before else fruitless + 1
            if fruitless == FRUITLESS:
                raise BridgeError(f"recording {entry.recording}: nothing comes after byte {before} of {entry.size}")
    if not _is_right(part, entry):
        part.unlink()
        raise BridgeError(f"recording {entry.recording}: was damaged on the way; give the command again")
    part.rename(path)


def erase(conversation: Conversation, entry: Recording) -> None:
    """Have the device forget a recording that is here."""
    for _ in conversation.ask(RecErase(recording=entry.recording, crc32=entry.crc32)):
        pass


def write_wav(path: Path, entry: Recording) -> list[Written]:
    """Write the samples of a fetched recording to WAV files beside it, with their true time.

    Raises
    ------
    BridgeError
        If they are none that WAV files hold.
    """
    session = Session(0.0)
    recorders: dict[int, Recorder] = {}
    first_us: int | None = None
    held: list[Happening] = []
    try:
        for happening in (one for data in _chunks(path) for one in session.receive(data, 0.0)):
            utc_s = None
            if isinstance(happening, Frame) and isinstance(happening.body, Audio):
                first_us = happening.device_time_us if first_us is None else first_us
                if entry.start_utc_us is not None:
                    utc_s = 1e-6 * (entry.start_utc_us + happening.device_time_us - first_us)
                if happening.stream not in recorders:
                    recorders[happening.stream] = Recorder(path.parent, happening.stream)
                    for earlier in held:
                        recorders[happening.stream].take(earlier, None)
            elif not recorders:
                held.append(happening)
            for recorder in recorders.values():
                recorder.take(happening, utc_s)
    finally:
        for recorder in recorders.values():
            recorder.close()
    return [written for recorder in recorders.values() for written in recorder.done]


def _is_right(path: Path, entry: Recording) -> bool:
    crc32 = size = 0
    for data in _chunks(path):
        crc32, size = zlib.crc32(data, crc32), size + len(data)
    return (size, crc32) == (entry.size, entry.crc32)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield data
