"""A session held at a port, in real time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from hydroear_bridge.errors import BridgeError, PortEndError
from hydroear_bridge.frames import Frame, Hello, ResultCode
from hydroear_bridge.ports import Port
from hydroear_bridge.session import ANSWER_S, ATTEMPTS, Answer, Happening, Request, Session

HELLO_S = 5.0
"""A device says HELLO every 2 s, and one may be lost."""


class Sink(Protocol):
    """What takes bytes, such as an open file."""

    def write(self, data: bytes, /) -> object: ...


class Conversation:
    """A device at an open port.

    Parameters
    ----------
    port
        The port; belongs to the caller.
    capture
        Takes every byte that arrives, as it is; None to keep none.
    session
        What is known of the device from an earlier port; None if nothing is.
    utc_s
        Gives the time of day, in seconds since 1970-01-01T00:00:00Z, which the device is told; None while that is not
        known.

    Attributes
    ----------
    session
        What is known of the device.
    """

    def __init__(
        self,
        port: Port,
        capture: Sink | None = None,
        session: Session | None = None,
        *,
        utc_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.session = session or Session(time.monotonic())
        self._port, self._capture, self._utc_s = port, capture, utc_s

    def listen(self, until_s: float) -> Iterator[Happening]:
        """What happens until a monotonic time, the end of a file, or :meth:`Port.wake`.

        Raises
        ------
        PortError
            If the other end has gone.
        """
        session, now_s = self.session, time.monotonic()
        while now_s < until_s:
            if now_s >= session.due_s:
                yield from session.tick(now_s, self._utc_s())
            self._port.write(session.outgoing())
            try:
                data = self._port.read(min(until_s, session.due_s))
            except PortEndError:
                return
            if self._port.woken:
                return
            now_s = time.monotonic()
            if self._capture is not None:
                self._capture.write(data)
            yield from session.receive(data, now_s)

    def ask(self, request: Request, *, as_good: ResultCode = ResultCode.OK) -> Iterator[Frame | Answer]:
        """Ask something of the device; the frames that come until it has answered, and the answer.

        A device that is busy is asked again.

        Parameters
        ----------
        as_good
            A code that is as good as ok.

        Raises
        ------
        BridgeError
            If it refuses, or does not answer.
        """
        for _ in range(ATTEMPTS):
            answer = yield from self._ask(request)
            code = None if answer.result is None else answer.result.code
            if code in (ResultCode.OK, as_good):
                yield answer
                return
            if code != ResultCode.BUSY:
                break
            yield from (one for one in self.listen(time.monotonic() + ANSWER_S) if isinstance(one, Frame))
        raise BridgeError(f"{self._port.name}: {request.TYPE.name}: {answer.said}")

    def _ask(self, request: Request) -> Generator[Frame, None, Answer]:
        number = self.session.request(request, time.monotonic())
        for happening in self.listen(math.inf):
            if isinstance(happening, Answer) and happening.number == number:
                return happening
            if isinstance(happening, Frame):
                yield happening
        raise BridgeError(f"{self._port.name}: ends before an answer to {request.TYPE.name}")

    def greet(self) -> Hello:
        """Wait for the HELLO of the device.

        Raises
        ------
        BridgeError
            If none comes.
        """
        for happening in self.listen(time.monotonic() + HELLO_S):
            if isinstance(happening, Frame) and isinstance(happening.body, Hello):
                return happening.body
        raise BridgeError(
            f"{self._port.name}: no HELLO within {HELLO_S:g} s; check the cable, the baud rate and that the device runs"
        )
