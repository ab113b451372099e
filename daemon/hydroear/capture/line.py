"""A line to a microcontroller: opened once, and shared by the sources that hear its sensors."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace

from hydroear.capture.attempts import BackOff
from hydroear.capture.microcontroller import Microcontroller
from hydroear.capture.stream import Stream
from hydroear.capture.supervised import FeedEnd, Frame
from hydroear.errors import CaptureError
from hydroear.health.alarm import DeviceNews
from hydroear.health.clock import trusted_utc_s
from hydroear.health.device import DeviceHealth
from hydroear_bridge import BridgeError
from hydroear_bridge.errors import PortEndError, PortError
from hydroear_bridge.ports import Port, open_port

KEPT_S = 10.0
"""So much audio is kept for a source that does not read it, as while a card is slow. A choice."""
FAREWELL_S = 0.25
"""So long a device may take to answer when it is asked to send no more; it answers at once, or is not there."""
CLOSE_S = 2.0
"""So long the port may take to be closed; only a connection that is being made takes longer."""


class Line:
    """The port of one device, open for as long as somebody hears it, in a thread of its own.

    What fails is told to all who hear it, and is tried again once for all of them.

    Parameters
    ----------
    port, baud
        As in :func:`hydroear_bridge.ports.open_port`.

    Attributes
    ----------
    starts
        Times that it was opened, or was to be.
    """

    def __init__(self, port: str, baud: int) -> None:
        self.starts = 0
        self._name, self._baud = port, baud
        self._device = Microcontroller(port, time.monotonic())
        self._back_off = BackOff()
        self._mutex = threading.Lock()  # over all below, and the device
        self._shares: list[Share] = []
        self._port: Port | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._parted = threading.Event()
        self._ending: Exception | None = None
        self._opened_s = self._heard_s = 0.0

    @property
    def hopeless(self) -> bool:
        """Whether it has failed for so long that it is opened only every 30 s."""
        return self._back_off.hopeless

    def health(self, sensor: int) -> DeviceHealth:
        """How the device and one of its sensors are doing. May be asked from any thread."""
        return self._device.health(sensor)

    def news(self) -> list[DeviceNews]:
        """Take what the device has told of itself since the last time. May be called from any thread."""
        return self._device.news()

    def join(self, share: Share) -> None:
        """Give a share what its stream sends, from now on."""
        with self._mutex:
            self._device.add(share.stream, time.monotonic())
            self._shares.append(share)
            if self._ending is not None:
                share.give([self._ending])
            if self._thread is None:
                self._closing = threading.Event()
                # What is logged of the device is of the sensor for which it is heard first.
                run = copy_context().run
                self._thread = threading.Thread(target=run, args=(self._run, self._closing), name=self._name)
                self._thread.daemon = True
                self._thread.start()

    def leave(self, share: Share) -> None:
        """Give a share no more, and close the port if it was the last; harmless twice."""
        with self._mutex:
            if share not in self._shares:
                return
            self._shares.remove(share)
            self._device.remove(share.stream, time.monotonic())
            if self._port is not None and self._device.is_asked_to_stop:
                self._parted.clear()
                with suppress(BridgeError):
                    self._port.write(self._device.outgoing())
            else:
                self._parted.set()
            if self._shares:
                return
        self._parted.wait(FAREWELL_S)
        self._close()

    def _close(self) -> None:
        with self._mutex:
            thread = self._thread
            if thread is None or self._shares:  # somebody has come meanwhile
                return
            self._thread = self._ending = None
            self._closing.set()
            if self._port is not None:
                self._port.wake()
        thread.join(CLOSE_S)

    def _run(self, closing: threading.Event) -> None:
        try:
            while not closing.wait(self._back_off.retry_s - time.monotonic()):
                try:
                    self._converse(closing)
                except CaptureError as error:
                    self._back_off.fail(time.monotonic(), heard_for_s=self._heard_s - self._opened_s)
                    self._tell(error)
        except Exception as ending:  # FeedEnd, or what nobody has thought of: whoever reads is to know
            self._ending = ending
            self._tell(ending)

    def _converse(self, closing: threading.Event) -> None:
        """Open the port, and hear it until it fails or nobody listens any more."""
        self.starts += 1
        self._opened_s = self._heard_s = time.monotonic()
        try:
            with open_port(self._name, baud=self._baud) as port:
                self._hear(port, closing)
        except PortEndError:
            raise FeedEnd from None
        except PortError as error:
            raise CaptureError(error.what, where=error.port) from error
        except BridgeError as error:
            raise CaptureError(str(error)) from error

    def _hear(self, port: Port, closing: threading.Event) -> None:
        with self._mutex:
            if closing.is_set():
                return
            self._port = port
            self._device.connect(time.monotonic())
        try:
            self._pump(port, closing)
        finally:
            with self._mutex:
                self._port = None

    def _pump(self, port: Port, closing: threading.Event) -> None:
        device, data = self._device, b""
        while not closing.is_set():
            with self._mutex:
                now_s = time.monotonic()
                device.receive(data, now_s)
                if now_s >= device.due_s and not port.is_file:
                    device.tick(now_s, trusted_utc_s())
                self._hand_out()
                if device.failure is not None:
                    raise device.failure
                port.write(device.outgoing())
                due_s = device.due_s
            if port.is_file:
                self._wait_for_readers()
            data = port.read(due_s)

    def _hand_out(self) -> None:
        for share in self._shares:
            told = share.stream.take()
            if any(isinstance(one, Frame) for one in told):
                self._heard_s = time.monotonic()
            share.give(told)
        if not self._device.is_asked_to_stop:
            self._parted.set()

    def _tell(self, why: Exception) -> None:
        with self._mutex:
            for share in self._shares:
                share.give([why])
            self._parted.set()

    def _wait_for_readers(self) -> None:
        """Read a file no faster than it is heard."""
        with self._mutex:
            shares = list(self._shares)
        for share in shares:
            share.wait_for_room()


class Share:
    """What one source hears of a line: a supply of the frames of its stream, the latest 10 s of which it keeps.

    Parameters
    ----------
    line
        The line, which is heard from the first :meth:`receive` on.
    stream
        The stream.
    rate_hz
        Its sample rate.
    """

    def __init__(self, line: Line, stream: Stream, rate_hz: int) -> None:
        self.stream = stream
        self._line = line
        self._most = round(KEPT_S * rate_hz)
        self._changed = threading.Condition()
        self._told: deque[Frame | Exception] = deque()
        self._kept = 0  # samples
        self._joined = self._killed = False

    @property
    def starts(self) -> int:
        """As in :class:`Line`."""
        return self._line.starts

    @property
    def hopeless(self) -> bool:
        """As in :class:`Line`."""
        return self._line.hopeless

    def give(self, told: Sequence[Frame | Exception]) -> None:
        """Take what is to be read; waits for nobody, so that what was not read in time makes room."""
        with self._changed:
            for one in told:
                if isinstance(one, Frame):
                    self._kept += len(one.samples)
                elif self._told and not isinstance(self._told[-1], Frame):
                    self._told.pop()
                self._told.append(one)
            while self._kept > self._most:
                self._drop()
            self._changed.notify_all()

    def receive(self, until_s: float) -> Frame | None:
        """Wait for a frame until a monotonic time.

        Raises
        ------
        CaptureError
            If the line, or the sensor behind it, has failed.
        FeedEnd
            At the end of a file of captured bytes.
        """
        if not self._joined:
            self._joined = True
            self._line.join(self)
        with self._changed:
            self._changed.wait_for(lambda: self._told or self._killed, until_s - time.monotonic())
            if self._killed or not self._told:
                return None
            told = self._told.popleft()
            if not isinstance(told, Frame):
                raise told
            self._kept -= len(told.samples)
            self._changed.notify_all()
            return told

    def wait_for_room(self) -> None:
        """Wait until half of what can be kept is free, or nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept <= self._most // 2 or self._killed)

    def kill(self) -> None:
        """End a wait in another thread, and all after it; harmless twice."""
        with self._changed:
            self._killed = True
            self._changed.notify_all()

    def end(self) -> None:
        """Hear the line no more; harmless twice."""
        self.kill()
        self._line.leave(self)

    def _drop(self) -> None:
        """Drop the oldest frame, whose samples count as lost before the next."""
        while not isinstance(oldest := self._told.popleft(), Frame):
            pass
        place, frame = next((place, one) for place, one in enumerate(self._told) if isinstance(one, Frame))
        self._told[place] = _after(oldest, frame)
        self._kept -= len(oldest.samples)


def _after(dropped: Frame, frame: Frame) -> Frame:
    """A frame that follows one which was dropped."""
    if frame.lost is None:  # what was lost before is measured by the clock
        return frame
    if dropped.lost is None:
        return replace(frame, lost=None, loss=dropped.loss)
    lost = dropped.lost + len(dropped.samples) + frame.lost
    return replace(frame, lost=lost, loss="not read in time", after_loss=dropped.after_loss or frame.after_loss)
