"""A sensor whose logger records by itself: its recordings one after the other, each with its true time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from hydroear.audio import Block, Gap, Scale
from hydroear.capture.collector import Collector, Fetched
from hydroear.capture.microcontroller import MOST_NEWS, report_of, with_sensor, with_status
from hydroear.capture.recorded import Loss, Run, Told, hear
from hydroear.capture.stream import scale_of
from hydroear.codes import Code, coded
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear.health.alarm import Alive, DeviceNews
from hydroear.health.device import DeviceHealth
from hydroear_bridge.frames import Event, Hello, Status

log = logging.getLogger(__name__)

WAIT_S = 3.0
"""How often a source that waits for a recording says so."""
NEWS_S = 0.5
"""What a logger said of itself is taken by another thread than its sound: a moment is left for that."""
SPEED = 60.0
"""Times real time at which recordings are heard, at the most: what sounds now goes first. A choice."""
_NOT_RECORDED = "not recorded"


class LoggerSource:
    """One channel of a logger's recordings, for ever, with its reference channel if there is one.

    While there is no recording, and behind each one, there are planned gaps: what was not recorded is not lost. Only
    when no recording came for ``overdue_h`` is what is missing lost. A recording counts as heard once what follows it
    is read: whoever reads has done with it then.

    Parameters
    ----------
    settings
        The logger, and how it records.
    folder
        Where recordings wait to be heard.

    Raises
    ------
    UsageError
        If the folder cannot be made.
    """

    def __init__(self, settings: schema.LoggerSource, folder: Path) -> None:
        self.name, self.rate_hz = settings.port, settings.rate_hz
        self._settings = settings
        self._collector = Collector(settings, folder)
        self._device = DeviceHealth()
        self._scale: Scale | None = None
        self._news: deque[DeviceNews] = deque(maxlen=MOST_NEWS)
        self._reading = threading.Lock()
        self._closed = threading.Event()
        self._next_index = 0
        self._last_s = time.monotonic() - self._collector.waited_s()
        self._passed_s = time.monotonic()
        self._ended_utc_s: float | None = None  # of the last recording, where its time is known
        self._waited_s = 0.0  # since it was heard
        self._pieces = self._stream()

    @property
    def drift_ppm(self) -> None:
        """Recordings do not tell how fast the clock ran that they were made with."""

    @property
    def overflows(self) -> int:
        """Recordings have no driver."""
        return 0

    @property
    def trouble(self) -> str:
        """Why there is no recording though one is overdue; empty else."""
        return self._overdue if self._is_overdue else ""

    @property
    def device(self) -> DeviceHealth:
        """How the logger was doing when it last recorded."""
        return self._device

    @property
    def scale(self) -> Scale | None:
        """What the samples stand for; None where the logger does not tell, or nothing was heard yet."""
        return self._scale

    def news(self) -> list[DeviceNews]:
        """Take what the logger told of itself while it recorded, as far as that was read since the last time."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def read(self) -> Block | Gap | None:
        """Wait for what comes next, for a few seconds at the most.

        Returns
        -------
        Block, Gap or None
            As of any source; None when closed.
        """
        with self._reading:
            return None if self._closed.is_set() else next(self._pieces, None)

    def close(self) -> None:
        """End it; a waiting :meth:`read` in another thread returns soon. Harmless twice."""
        self._closed.set()
        self._collector.close()
        with self._reading:
            self._pieces.close()

    def _stream(self) -> Generator[Block | Gap, None, None]:
        self._collector.start()
        while not self._closed.is_set():
            fetched = self._collector.wait(WAIT_S)
            if fetched is None:
                yield self._overdue_gap() if self._is_overdue else self._rest()
                continue
            try:
                yield from self._play(fetched)
            except CaptureError as error:  # another configuration is needed, and with it another start
                yield from self._fail(error)
            # Whoever hears this gap can save what was made of the recording before it is gone.
            yield self._gap(1, _NOT_RECORDED, planned=True)
            while not self._closed.wait(NEWS_S):
                try:
                    self._collector.done(fetched)
                except CaptureError as error:
                    yield from self._fail(error, WAIT_S)
                else:
                    break
            self._last_s = self._passed_s = time.monotonic()

    def _play(self, fetched: Fetched) -> Generator[Block | Gap, None, None]:
        utc_s = fetched.start_utc_s
        log.info("%s: hears %s", self.name, fetched, extra=coded(Code.RECORDING_HEARD))
        if utc_s is None:
            log.warning(
                "%s: does not know when it made recording %d: by this machine's clock it began %.1f h ago",
                self.name,
                fetched.entry.recording,
                (time.monotonic() - fetched.start_s) / 3600.0,
                extra=coded(Code.LOGGER_TIMELESS),
            )
        elif self._ended_utc_s is not None and (missing_s := utc_s - self._ended_utc_s - self._waited_s) > 0.0:
            yield self._gap(max(1, round(missing_s * self.rate_hz)), _NOT_RECORDED, planned=True, utc_s=utc_s)
        begin = self._next_index
        for piece in hear(fetched.parts(), self._settings):
            if isinstance(piece, Run):
                end_s = piece.end / self.rate_hz
                end_utc_s = None if utc_s is None else utc_s + end_s
                block = Block(piece.samples, begin + piece.first, fetched.start_s + end_s, end_utc_s, fetched.again)
                self._next_index = block.end_index
                yield block
                self._closed.wait(len(piece.samples) / self.rate_hz / SPEED)
            elif isinstance(piece, Loss):
                yield self._gap(piece.count, piece.reason)
            else:
                self._learn(piece, fetched, begin)
        played_s = (self._next_index - begin) / self.rate_hz
        self._ended_utc_s, self._waited_s = None if utc_s is None else utc_s + played_s, 0.0

    def _learn(self, told: Told, fetched: Fetched, begin: int) -> None:
        """Take what the logger said of itself while it recorded."""
        frame, after_s = told.frame, told.at / self.rate_hz
        match frame.body:
            case Hello() as hello:
                self._device = replace(self._device, model=hello.model, firmware=hello.firmware)
                ours = hello.sensor(self._settings.sensor)
                self._scale = None if ours is None else scale_of(ours, self._settings.gain_db)
                stream_s = (begin + told.at) / self.rate_hz
                self._news.append(Alive(stream_s, hello.boot_id, hello.model, hello.uid.hex()))
            case Status() as status:
                sensor = next((one for one in status.sensors if one.stream == self._settings.sensor), None)
                self._device = with_sensor(with_status(self._device, status), sensor)
            case Event() as event:
                after_s -= 1e-6 * max(0, frame.device_time_us - event.time_us)
                start_utc_s = fetched.start_utc_s
                time: float | datetime = fetched.start_s + after_s
                if start_utc_s is not None:
                    time = datetime.fromtimestamp(start_utc_s + after_s, UTC)
                self._news.append(report_of(event, frame.stream, time))

    def _rest(self) -> Gap:
        """The time that has passed without a recording, and up to when it is known that there was none."""
        passed_s = self._pass()
        self._waited_s += passed_s
        utc_s = time.time() if self._collector.emptied else None
        return self._gap(max(1, round(passed_s * self.rate_hz)), _NOT_RECORDED, planned=True, utc_s=utc_s)

    def _overdue_gap(self) -> Gap:
        """The same, where there should have been one."""
        return self._gap(max(1, round(self._pass() * self.rate_hz)), self._overdue)

    def _fail(self, error: CaptureError, for_s: float = inf) -> Generator[Gap, None, None]:
        """Lose what passes for so long, or until this is closed."""
        log.warning("%s", error, extra=coded(Code.SENSOR_DEAF))
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s and not self._closed.wait(WAIT_S):
            yield self._gap(max(1, round(self._pass() * self.rate_hz)), str(error))

    def _pass(self) -> float:
        """Time since it was asked last, in seconds."""
        now_s = time.monotonic()
        passed_s, self._passed_s = now_s - self._passed_s, now_s
        return passed_s

    def _gap(self, length: int, reason: str, *, planned: bool = False, utc_s: float | None = None) -> Gap:
        gap = Gap(self._next_index, length, reason, planned, utc_s)
        self._next_index = gap.end_index
        return gap

    @property
    def _is_overdue(self) -> bool:
        return time.monotonic() - self._last_s >= 3600.0 * self._settings.overdue_h

    @property
    def _overdue(self) -> str:
        hours = (time.monotonic() - self._last_s) / 3600.0
        why = self._collector.trouble or f"{self.name}: it can be reached and has none"
        return f"no recording for {hours:.1f} h; {why}"
