"""Empties a logger: fetches one recording after the other while it can be reached, and has it forget what was heard."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

from hydroear.capture.heard import HeardRecordings
from hydroear.capture.recorded import Beginning, beginning
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError, UsageError
from hydroear.health.clock import trusted_utc_s
from hydroear_bridge import BridgeError
from hydroear_bridge.conversation import Conversation
from hydroear_bridge.errors import DamagedError, PortError
from hydroear_bridge.frames import Capabilities, Frame, Hello, Recording, Time
from hydroear_bridge.ports import Port, open_port
from hydroear_bridge.upload import chunks, erase, fetch, file_name, listed

log = logging.getLogger(__name__)

STOP_S = 1.0
"""How long the end of a visit is waited for; a connection that is just being made may take longer, and does no harm."""
ROOM = 1.05
"""So many times its size must be free for a recording. A choice."""
TELL_S = 5.0
"""A logger that does not answer is told the time for no longer. A choice."""


@dataclass(frozen=True)
class Fetched:
    """A recording that is here.

    Attributes
    ----------
    device
        The logger's uid, hexadecimal.
    entry
        What the logger says of the recording.
    path
        The file.
    start_s
        Monotonic time of its first sample, where its UTC is not known.
    again
        Whether it was begun to be heard before.
    """

    device: str
    entry: Recording
    path: Path
    start_s: float
    again: bool

    @property
    def start_utc_s(self) -> float | None:
        """Time of its first sample in seconds since 1970-01-01T00:00:00Z; None if the logger did not know it."""
        return None if self.entry.start_utc_us is None else 1e-6 * self.entry.start_utc_us

    def parts(self) -> Iterator[bytes]:
        """Its bytes."""
        return chunks(self.path)

    def __str__(self) -> str:
        start = "at a time not known"
        if self.start_utc_s is not None:
            start = f"of {datetime.fromtimestamp(self.start_utc_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return f"recording {self.entry.recording} {start}, {self.entry.duration_ms / 60e3:.1f} min"


class Collector:
    """Visits a logger, in a thread of its own.

    One recording at a time lies in the folder, however many the logger has. It waits there, and on the logger, until it
    was heard.

    Parameters
    ----------
    settings
        The logger.
    folder
        Where recordings wait, and where it is remembered which were heard.

    Attributes
    ----------
    trouble
        Why the last visit failed; empty if it did not.
    emptied
        Whether the last visit found nothing that was not heard.

    Raises
    ------
    UsageError
        If the folder cannot be made.
    """

    def __init__(self, settings: schema.LoggerSource, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot be made ({error.strerror})", where=folder, fix="check its owner") from error
        self._heard = HeardRecordings(folder / "heard.json")
        self._fetched: SimpleQueue[Fetched | BaseException] = SimpleQueue()
        self._damaged: set[tuple[str, Recording]] = set()
        self._kept: set[tuple[str, Recording]] = set()
        self._free = threading.Event()
        self._closed = threading.Event()
        self._port: Port | None = None
        self._thread = threading.Thread(target=self._run, name=f"logger {settings.port}", daemon=True)
        self.trouble = ""
        self.emptied = False

    def start(self) -> None:
        """Begin to visit."""
        self._free.set()
        self._thread.start()

    def waited_s(self) -> float:
        """For how long a recording has been waited for, over restarts of the unit; 0 where the clock cannot tell."""
        now_s = trusted_utc_s()
        if now_s is None:
            return 0.0
        with suppress(OSError):  # the next start waits anew then
            self._heard.wait_from(now_s)
        return max(0.0, now_s - (self._heard.last_utc_s or now_s))

    def wait(self, for_s: float) -> Fetched | None:
        """Wait for a recording; what has broken the visits is raised here."""
        try:
            fetched = self._fetched.get(timeout=for_s)
        except Empty:
            return None
        if isinstance(fetched, BaseException):
            raise fetched
        return fetched

    def done(self, fetched: Fetched) -> None:
        """A recording was heard: it is remembered, its file goes, and the logger may forget it.

        Raises
        ------
        CaptureError
            If that cannot be remembered.
        """
        try:
            self._heard.add(fetched.device, fetched.entry, time.time())
            fetched.path.unlink(missing_ok=True)
        except OSError as error:
            raise CaptureError(
                f"cannot remember what was heard ({error.strerror})", where=self._folder, fix="free space"
            ) from error
        self._free.set()

    def close(self) -> None:
        """End the visit. Harmless twice."""
        self._closed.set()
        self._free.set()
        if (port := self._port) is not None:
            port.wake()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            self._collect()
        except BaseException as error:
            self._fetched.put(error)

    def _collect(self) -> None:
        while not self._closed.is_set():
            self._free.wait()
            if self._closed.is_set():
                return
            fetched = None
            try:
                fetched = self._visit()
                self._become("")
            except (BridgeError, CaptureError, OSError) as error:
                if not self._closed.is_set():
                    self._become(str(error))
            if fetched is None:
                self._closed.wait(self._settings.look_every_s)
            else:
                self._free.clear()
                self._fetched.put(fetched)

    def _visit(self) -> Fetched | None:
        """Fetch the first recording that was not heard; None if there is none."""
        settings = self._settings
        self.emptied = False
        with open_port(settings.port, baud=settings.baud) as port:
            self._port = port
            try:
                if self._closed.is_set():
                    return None
                return self._empty(Conversation(port, utc_s=trusted_utc_s))
            finally:
                self._port = None

    def _empty(self, conversation: Conversation) -> Fetched | None:
        hello = _greet(conversation, self._settings)
        device, there = hello.uid.hex(), listed(conversation)
        self._heard.keep_only(device, there)
        for entry in there:
            if (device, entry) not in self._heard:
                return self._fetch(conversation, hello, entry)
            if self._settings.erase and (device, entry) not in self._kept:
                self._erase(conversation, device, entry)
        _tell_time(conversation, hello)
        self.emptied = True
        return None

    def _erase(self, conversation: Conversation, device: str, entry: Recording) -> None:
        """Have the logger forget a recording; that it will not keeps nobody from hearing the others."""
        try:
            erase(conversation, entry)
        except PortError:
            raise
        except BridgeError as error:
            self._kept.add((device, entry))
            log.warning("recording %d is not erased: %s", entry.recording, error, extra=coded(Code.LOGGER_KEEPS))

    def _fetch(self, conversation: Conversation, hello: Hello, entry: Recording) -> Fetched:
        device = hello.uid.hex()
        path = self._folder / file_name(hello, entry)
        if not path.exists() and shutil.disk_usage(self._folder).free < ROOM * entry.size:
            raise CaptureError(
                f"no room for recording {entry.recording} of {1e-6 * entry.size:.1f} MB",
                where=self._folder,
                fix="free space",
            )
        log.info(
            "%s: fetches recording %d, %.1f MB",
            self._settings.port,
            entry.recording,
            1e-6 * entry.size,
            extra=coded(Code.RECORDING_FETCHED),
        )
        try:
            fetch(conversation, entry, path, as_it_is=(device, entry) in self._damaged)
        except DamagedError:
            # Once more, for it may have been damaged on the way. If not, what is whole of it is better than nothing.
            self._damaged.add((device, entry))
            raise
        began = beginning(chunks(path), self._settings.sensor)
        start_s = self._start_s(conversation, entry, began)
        return Fetched(device, entry, path, start_s, self._heard.begin(device, entry))

    def _start_s(self, conversation: Conversation, entry: Recording, began: Beginning | None) -> float:
        """Monotonic time of the first sample, by the device's clock if it has run since; else as if it ended now."""
        session = conversation.session
        if began is not None and session.hello is not None and began.boot_id == session.hello.boot_id:
            start_s = session.clock.time_s(began.device_us)
            if start_s is not None:
                return start_s
        return time.monotonic() - 1e-3 * entry.duration_ms

    def _become(self, trouble: str) -> None:
        """Log what is wrong with the logger, once."""
        if trouble != self.trouble:
            self.trouble = trouble
            if trouble:
                log.warning("%s", trouble, extra=coded(Code.LOGGER_AWAY))
            else:
                log.info("%s: was visited", self._settings.port, extra=coded(Code.LOGGER_VISITED))


@dataclass(frozen=True)
class Inventory:
    """What a logger has to be heard.

    Attributes
    ----------
    model
        What it calls itself; empty if it does not.
    recordings, size_bytes
        Finished recordings in its memory, and their size together.
    newest_utc_s
        When the newest began, in seconds since 1970-01-01T00:00:00Z; None where that is not known.
    """

    model: str
    recordings: int
    size_bytes: int
    newest_utc_s: float | None


def take_inventory(settings: schema.LoggerSource) -> Inventory:
    """Ask a logger what it has recorded.

    Raises
    ------
    CaptureError
        If it cannot be reached, or keeps no recordings.
    """
    try:
        with open_port(settings.port, baud=settings.baud) as port:
            conversation = Conversation(port, utc_s=trusted_utc_s)
            hello = _greet(conversation, settings)
            there = listed(conversation)
    except BridgeError as error:
        raise CaptureError(str(error), fix="a logger may sleep: wake it, as its maker says") from error
    starts_us = [entry.start_utc_us for entry in there if entry.start_utc_us is not None]
    newest_utc_s = 1e-6 * max(starts_us) if starts_us else None
    return Inventory(hello.model, len(there), sum(entry.size for entry in there), newest_utc_s)


def _greet(conversation: Conversation, settings: schema.LoggerSource) -> Hello:
    hello = conversation.greet()
    if Capabilities.RECORDINGS not in hello.capabilities:
        raise CaptureError("keeps no recordings", where=settings.port, fix="use a source of type bridge")
    return hello


def _tell_time(conversation: Conversation, hello: Hello) -> None:
    """Stay until the logger knows the time, by which it dates what it records next."""
    if Capabilities.TIME not in hello.capabilities or trusted_utc_s() is None:
        return
    said = conversation.listen(time.monotonic() + TELL_S)
    answers = (one for one in said if isinstance(one, Frame) and isinstance(one.body, Time))
    for _ in islice(answers, 2):  # by the first its clock becomes known, so that the next question can tell
        pass
