"""The receiver's side of a link: bytes and times in, what they tell out. Without I/O, and without a clock of its own.

Whoever owns the port calls :meth:`Session.receive` with what it reads, :meth:`Session.tick` when that is due, and
writes :meth:`Session.outgoing` after either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from math import inf

from hydroear_bridge.account import Account, Entry, Restart, Stale
from hydroear_bridge.clock import DeviceClock, Exchange
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import (
    Body,
    Capabilities,
    Frame,
    FrameType,
    Hello,
    RecData,
    RecErase,
    RecList,
    RecRead,
    Result,
    ResultCode,
    Selftest,
    Set,
    Start,
    Stop,
    Time,
)
from hydroear_bridge.link import DELIMITER, BadFrame, Decoder, encode

ANSWER_S = 1.0
SELFTEST_S = 10.0
"""Within these times a device answers, as the protocol has it."""
ATTEMPTS = 5
"""A request is sent so often before it is given up. A choice: of 5 % lost frames that leaves one request in 100,000."""
SILENCE_S = 5.0
"""No frame for so long is a silence: a device says HELLO every 2 s, and two may be lost. A choice."""
TIME_EVERY_S, TIME_LATER_EVERY_S, TIME_SETTLED_S = 0.5, 5.0, 60.0
"""The device's time is asked for often until its clock has settled, and seldom from then on. A choice."""
LONGEST_EXCHANGE_S = 10.0

_MODULUS = 2**32

Request = Start | Stop | Set | Selftest | RecList | RecRead | RecErase


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes
    ----------
    number
        What :meth:`Session.request` gave for it.
    request, stream
        What was asked, and of which stream.
    result
        What the device says; None if it did not answer, or booted meanwhile.
    """

    number: int
    request: Request
    stream: int
    result: Result | None

    @property
    def granted(self) -> bool:
        """Whether the device has done it."""
        return self.result is not None and self.result.code == ResultCode.OK

    @property
    def said(self) -> str:
        """What the device says, in a word or two."""
        if self.result is None:
            return "no answer"
        code = self.result.code
        return ResultCode(code).name.lower().replace("_", " ") if code in list(ResultCode) else f"code {code}"


@dataclass(frozen=True)
class Silence:
    """No frame has come for so long; told once, until one comes."""

    duration_s: float


Happening = Frame | BadFrame | Entry | Answer | Silence


@dataclass
class _Pending:
    """A request that waits for its answer."""

    number: int
    request: Request
    stream: int
    due_s: float
    sequences: list[int] = field(default_factory=list)

    @property
    def patience_s(self) -> float:
        return SELFTEST_S + ANSWER_S if isinstance(self.request, Selftest) else ANSWER_S


class Session:
    """One device, for as long as it is listened to, over its boots and over cuts of the link.

    Parameters
    ----------
    now_s
        Monotonic time now, at least 0, as in all methods.

    Attributes
    ----------
    clock
        The device's clock by the monotonic one.
    hello
        The last HELLO; None before the first.
    restarts
        Times that the device was seen to boot.
    """

    def __init__(self, now_s: float) -> None:
        self.clock = DeviceClock()
        self.hello: Hello | None = None
        self.restarts = 0
        self._decoder = Decoder()
        self._account = Account()
        self._out = bytearray(DELIMITER)
        self._sequence = 0
        self._requests = 0
        self._pending: dict[int, _Pending] = {}
        self._started: dict[int, Start] = {}
        self._heard_s = now_s
        self._silent = False
        self._device_us = 0
        self._time_since_s: float | None = None
        self._time_due_s = inf

    def receive(self, data: bytes, now_s: float) -> list[Happening]:
        """Take bytes that have arrived now.

        Returns
        -------
        list of Happening
            In order: what a frame tells of what was lost before it comes before the frame. Frames that must not be
            used and answers do not come as frames; events come as often as the device repeats them.

        Raises
        ------
        BridgeError
            If the package cobs is not installed.
        """
        told: list[Happening] = []
        for item in self._decoder.receive(data):
            if isinstance(item, BadFrame):
                told.append(item)
            else:
                told += self._take(item, now_s)
        return told

    def tick(self, now_s: float, utc_s: float | None = None) -> list[Happening]:
        """Do what is due now.

        Parameters
        ----------
        utc_s
            Seconds since 1970-01-01T00:00:00Z, which the device is told; None if this machine does not know.
        """
        told: list[Happening] = []
        if now_s >= self._time_due_s:
            self._ask_time(now_s, utc_s)
        for pending in list(self._pending.values()):
            if now_s < pending.due_s:
                continue
            if len(pending.sequences) < ATTEMPTS:
                self._send_request(pending, now_s)
            else:
                told.append(self._give_up(pending))
        if now_s >= self._heard_s + SILENCE_S and not self._silent:
            self._silent = True
            told.append(Silence(now_s - self._heard_s))
        return told

    @property
    def due_s(self) -> float:
        """Monotonic time of the next :meth:`tick`; infinite if there is nothing to wait for."""
        silence_s = inf if self._silent else self._heard_s + SILENCE_S
        return min([silence_s, self._time_due_s, *(pending.due_s for pending in self._pending.values())])

    def outgoing(self) -> bytes:
        """Take the bytes that are to be written now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def request(self, request: Request, now_s: float, *, stream: int = 0) -> int:
        """Ask something of the device, again if no answer comes; its :class:`Answer` tells what became of it.

        Returns
        -------
        int
            Number of the request.

        Raises
        ------
        BridgeError
            If the device takes no frames that long.
        """
        if self.hello is not None and len(request.to_bytes()) > self.hello.max_payload:
            raise BridgeError(f"the device takes payloads of {self.hello.max_payload} bytes, too few for this request")
        self._requests += 1
        pending = _Pending(self._requests, request, stream, now_s)
        self._pending[pending.number] = pending
        self._send_request(pending, now_s)
        return pending.number

    def say(self, body: Body) -> None:
        """Send the device what no RESULT answers."""
        self._send(body, 0)

    def subscribe(self, stream: int, start: Start, now_s: float) -> None:
        """See to it that a stream sends samples; meant for each HELLO, and harmless when it does so already.

        A device that need not be asked sends of its own accord. One that has booted, or does not answer, is asked
        again. One that sends with other settings is stopped first.
        """
        if self.hello is None or Capabilities.START not in self.hello.capabilities:
            return
        # What is repeated for want of an answer must not stop what was started since.
        asked = any(isinstance(one.request, Start | Stop) and one.stream == stream for one in self._pending.values())
        if not asked and self._started.get(stream) != start:
            self.request(start, now_s, stream=stream)

    def unsubscribe(self, stream: int, now_s: float) -> int:
        """Ask a stream to send no more samples; gives the number of that request, as :meth:`request` does."""
        self.forget(stream)
        self._pending = {
            number: one
            for number, one in self._pending.items()
            if not (isinstance(one.request, Start) and one.stream == stream)
        }
        return self.request(Stop(), now_s, stream=stream)

    def forget(self, stream: int) -> None:
        """Take a stream for stopped, so that :meth:`subscribe` asks for it again."""
        self._started.pop(stream, None)

    def reconnect(self, now_s: float) -> None:
        """Begin anew with the link, not with the device: the port was closed and is open again."""
        self._decoder = Decoder()
        self._out[:] = DELIMITER
        self._started.clear()
        self._heard_s, self._silent = now_s, False

    def _take(self, frame: Frame, now_s: float) -> list[Happening]:
        entries = self._account.receive(frame)
        told: list[Happening] = []
        for entry in entries:
            if isinstance(entry, Restart):
                told += self._begin_anew()
            told.append(entry)
        if entries and isinstance(entries[-1], Stale):
            return told
        self._heard_s, self._silent = now_s, False
        match frame.body:
            case Hello() as hello:
                self._greet(hello, now_s)
            case Time() as answer:
                self._learn_time(answer, now_s)
            case Result() as result:
                return told + self._answer(result, now_s)
            case RecData() | RecList():
                self._be_patient(now_s)
        return [*told, frame]

    def _begin_anew(self) -> list[Happening]:
        """Forget what the device has forgotten, too."""
        self.restarts += 1
        self.clock.begin_anew()
        self._started.clear()
        self._time_since_s, self._time_due_s = None, inf
        return [self._give_up(pending) for pending in list(self._pending.values())]

    def _greet(self, hello: Hello, now_s: float) -> None:
        self.hello = hello
        if self._time_since_s is None and Capabilities.TIME in hello.capabilities:
            self._time_since_s = self._time_due_s = now_s

    def _ask_time(self, now_s: float, utc_s: float | None) -> None:
        assert self._time_since_s is not None
        settled = now_s - self._time_since_s >= TIME_SETTLED_S
        self._time_due_s = now_s + (TIME_LATER_EVERY_S if settled else TIME_EVERY_S)
        offset_us = error_us = None
        time_s, error_s = self.clock.time_s(self._device_us), self.clock.error_s
        if utc_s is not None and time_s is not None and error_s is not None:
            offset_us = round(1e6 * (utc_s - now_s + time_s)) - self._device_us
            error_us = math.ceil(1e6 * error_s)
        self._send(Time(receiver_sent_us=round(1e6 * now_s), utc_offset_us=offset_us, uncertainty_us=error_us), 0)

    def _learn_time(self, answer: Time, now_s: float) -> None:
        # The device gives back when it was asked, so that nothing has to be remembered; what came from another
        # receiver, with a clock of its own, cannot be told otherwise than by its time.
        asked_s = 1e-6 * answer.receiver_sent_us
        if 0.0 <= now_s - asked_s <= LONGEST_EXCHANGE_S:
            self.clock.learn(Exchange(asked_s, answer.device_received_us, answer.device_sent_us, now_s))
            self._device_us = answer.device_sent_us

    def _answer(self, result: Result, now_s: float) -> list[Happening]:
        for pending in self._pending.values():
            if result.request_sequence in pending.sequences:
                break
        else:
            return []
        del self._pending[pending.number]
        answer = Answer(pending.number, pending.request, pending.stream, result)
        if isinstance(pending.request, Start):
            if answer.granted:
                self._started[pending.stream] = pending.request
            elif result.code == ResultCode.BUSY:  # it sends already, as another receiver has asked it to
                self.request(Stop(), now_s, stream=pending.stream)
        return [answer]

    def _be_patient(self, now_s: float) -> None:
        """Wait for longer with a request that is being served; the time begins with the last frame it has caused."""
        for pending in self._pending.values():
            if pending.request.TYPE in (FrameType.REC_LIST, FrameType.REC_READ):
                pending.due_s = now_s + pending.patience_s

    def _give_up(self, pending: _Pending) -> Answer:
        del self._pending[pending.number]
        return Answer(pending.number, pending.request, pending.stream, None)

    def _send_request(self, pending: _Pending, now_s: float) -> None:
        pending.sequences.append(self._send(pending.request, pending.stream))
        pending.due_s = now_s + pending.patience_s

    def _send(self, body: Body, stream: int) -> int:
        sequence = self._sequence
        self._sequence = (sequence + 1) % _MODULUS
        self._out += encode(Frame(sequence=sequence, device_time_us=0, stream=stream, body=body))
        return sequence
