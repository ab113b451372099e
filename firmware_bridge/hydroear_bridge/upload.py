"""What a logger has recorded, fetched piece by piece, over as many connections as it takes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hydroear_bridge.account import Restart, SamplesLost
from hydroear_bridge.conversation import Conversation
from hydroear_bridge.disk import appear, writing
from hydroear_bridge.errors import BridgeError, DamagedError
from hydroear_bridge.frames import (
    Audio,
    Frame,
    Hello,
    RecData,
    RecErase,
    RecList,
    Recording,
    RecordingState,
    RecRead,
    Result,
    ResultCode,
)
from hydroear_bridge.link import BadFrame
from hydroear_bridge.recorder import Recorder
from hydroear_bridge.recorder import Recording as Written
from hydroear_bridge.session import Answer, Happening, Session

FRUITLESS = 3
"""So many reads in a row that bring nothing end an upload, and so many lists that are not whole."""
READ_SIZE = 65536
"""So many bytes are asked for at a time: what follows a lost piece has to come again. A choice."""
_CHUNK = 1 << 20


def listed(conversation: Conversation) -> list[Recording]:
    """The finished recordings of a device, in the order of their numbers.

    Raises
    ------
    BridgeError
        If it does not say, or what it says does not arrive.
    """
    found: dict[int, Recording] = {}
    for _ in range(FRUITLESS):
        for told in conversation.ask(RecList()):
            match told:
                case Frame(body=RecList(recordings=recordings)):
                    found |= {entry.recording: entry for entry in recordings}
                case Answer(result=Result(value=count)) if count == len(found):
                    return [found[n] for n in sorted(found) if found[n].state == RecordingState.FINISHED]
    raise BridgeError(f"only {len(found)} entries of the list of recordings arrive; look at the line with: record")


def file_name(hello: Hello, entry: Recording) -> str:
    """What the file of a recording is called: by its device, and its number there."""
    return f"{hello.uid.hex() or 'device'}-{entry.recording}.bin"


def fetch(
    conversation: Conversation,
    entry: Recording,
    path: Path,
    progress: Callable[[int], object] = lambda _: None,
    *,
    as_it_is: bool = False,
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
    as_it_is
        Whether it is taken though its CRC-32 is not that of its entry: which frames are whole is told by their own.

    Raises
    ------
    DamagedError
        If what has come is not what the device says that it has; it is thrown away.
    BridgeError
        If nothing comes any more, or the disk does not take it.
    """
    if path.exists() and _is_right(path, entry):
        progress(entry.size)
        return
    part = path.with_name(path.name + ".part")
    with writing(part), part.open("ab") as file:
        if file.tell() > entry.size:
            file.truncate(0)
        progress(file.tell())
        fruitless = 0
        while file.tell() < entry.size:
            before = file.tell()
            length = min(READ_SIZE, entry.size - before)
            for told in conversation.ask(RecRead(recording=entry.recording, offset=before, length=length)):
                data = told.body if isinstance(told, Frame) else None
                # Behind a lost piece the rest is of no use yet: it is asked for again.
                if isinstance(data, RecData) and (data.recording, data.offset) == (entry.recording, file.tell()):
                    file.write(data.data)
                    progress(len(data.data))
            file.flush()
            fruitless = 0 if file.tell() > before else fruitless + 1
            if fruitless == FRUITLESS:
                raise BridgeError(f"recording {entry.recording}: nothing comes after byte {before} of {entry.size}")
    if not (as_it_is or _is_right(part, entry)):
        part.unlink()
        raise DamagedError(
            f"recording {entry.recording}: what came is not what the device says that it has; give the command again"
        )
    with writing(path):
        appear(part, path)


def erase(conversation: Conversation, entry: Recording) -> None:
    """Have the device forget a recording that is here; :class:`BridgeError` if it refuses."""
    # Asked again because its answer was lost, it has none to forget any more.
    for _ in conversation.ask(RecErase(recording=entry.recording, crc32=entry.crc32), as_good=ResultCode.NOT_FOUND):
        pass


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, piece by piece."""
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            yield data


@dataclass(frozen=True)
class Contents:
    """What is in a recording.

    Attributes
    ----------
    files
        The WAV files that its samples are in now.
    bad_frames
        Pieces of it that are no frame.
    """

    files: list[Written]
    bad_frames: int


def write_wav(path: Path, entry: Recording) -> Contents:
    """Write the samples of a fetched recording to WAV files beside it, with their true time where that is known.

    The device tells when the first sample was taken, and its clock when the others were, until it boots within.

    Raises
    ------
    BridgeError
        If they are none that WAV files hold, or the disk does not take them. No files are left then.
    """
    session = Session(0.0)
    recorders: dict[int, Recorder] = {}
    hello: Frame | None = None
    # UTC at which the device's clock was 0, in s; None if nobody knows.
    booted_s: float | None = None
    bad_frames = samples = 0
    try:
        for happening in (one for data in chunks(path) for one in session.receive(data, 0.0)):
            utc_s = None
            match happening:
                case BadFrame():
                    bad_frames += 1
                case Restart():
                    booted_s = None
                case Frame(body=Hello()):
                    hello = happening
                case Frame(body=Audio(), device_time_us=device_us):
                    if not samples and entry.start_utc_us is not None:
                        booted_s = 1e-6 * (entry.start_utc_us - device_us)
                    samples += 1
                    utc_s = None if booted_s is None else booted_s + 1e-6 * device_us
            stream = _stream(happening)
            if stream is not None and stream not in recorders:
                recorders[stream] = Recorder(path.parent, stream, prefix=f"{path.stem}-")
                if hello is not None:
                    recorders[stream].take(hello, None)
            for recorder in recorders.values():
                recorder.take(happening, utc_s)
        for recorder in recorders.values():
            recorder.close()
    except BridgeError:
        for recorder in recorders.values():
            recorder.discard()
        raise
    return Contents([written for recorder in recorders.values() for written in recorder.done], bad_frames)


def _stream(happening: Happening) -> int | None:
    """Whose samples it is about."""
    match happening:
        case SamplesLost(stream=stream) | Frame(body=Audio(), stream=stream):
            return stream
    return None


def _is_right(path: Path, entry: Recording) -> bool:
    crc32 = size = 0
    for data in chunks(path):
        crc32, size = zlib.crc32(data, crc32), size + len(data)
    return (size, crc32) == (entry.size, entry.crc32)
