"""The device's clock by this machine's: its offset and its rate, from exchanges of four time stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

MEMORY_S = 300.0
"""What is older is forgotten: a crystal's rate follows the temperature. A choice."""
STAMP_ERROR_S = 100e-6
"""Standard deviation of an exchange that nothing delayed: stamps are not taken on the wire. A choice."""
RATE_ERROR = 200e-6
"""Standard deviation of a clock's rate before anything is known of it: crystals are off by tens of ppm. A choice."""


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, stamped when each was sent and received.

    Attributes
    ----------
    asked_s, heard_s
        When this machine sent the question and received the answer, on its monotonic clock.
    received_us, answered_us
        When the device received the question and sent the answer, on its clock.
    """

    asked_s: float
    received_us: int
    answered_us: int
    heard_s: float

    @property
    def device_s(self) -> float:
        """The device's time half-way through its part."""
        return 0.5e-6 * (self.received_us + self.answered_us)

    @property
    def offset_s(self) -> float:
        """How far this machine's clock is ahead of the device's, if both ways took equally long."""
        return 0.5 * (self.asked_s + self.heard_s) - self.device_s

    @property
    def on_the_way_s(self) -> float:
        """How long both ways took together."""
        return self.heard_s - self.asked_s - 1e-6 * (self.answered_us - self.received_us)


@dataclass(frozen=True)
class _Line:
    """The offset at a time of the device, and how it changes."""

    device_s: float
    offset_s: float
    slope: float
    error_s: float


class DeviceClock:
    """Tells the time of this machine at which something happened on a device, by its clock.

    Offset and rate are those of a line through the exchanges of the last minutes, by weighted least squares. What an
    exchange took longer than the quickest one went to one of both ways, nobody knows to which: by half of it the
    offset may be wrong, and so much less it counts (compare the clock filter of RFC 5905, section 10). Which one was
    the quickest is known afterwards only, so that a recursion would trust the first ones too much for good.
    """

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque()
        self._line: _Line | None = None
        self._reached = (-1, -inf)

    def begin_anew(self) -> None:
        """Forget everything: the device has started anew, and so has its clock."""
        self._exchanges.clear()
        self._line = None
        self._reached = (-1, -inf)

    def learn(self, exchange: Exchange) -> None:
        """Learn from an exchange; one that cannot be, as after a restart of the device, changes nothing."""
        if exchange.on_the_way_s < 0.0 or exchange.answered_us < exchange.received_us:
            return
        if self._exchanges and exchange.device_s <= self._exchanges[-1].device_s:
            return
        self._exchanges.append(exchange)
        while exchange.device_s - self._exchanges[0].device_s > MEMORY_S:
            self._exchanges.popleft()
        self._line = None

    @property
    def ppm(self) -> float | None:
        """How much faster than this machine's clock the device's runs, in parts per million; None while unknown."""
        if len(self._exchanges) < 2:
            return None
        slope = self._fitted().slope
        return -1e6 * slope / (1.0 + slope)

    @property
    def error_s(self) -> float | None:
        """Standard error of the time at the last exchange; None before the first."""
        return self._fitted().error_s if self._exchanges else None

    def time_s(self, device_us: int) -> float | None:
        """This machine's monotonic time at a time of the device; None before the first exchange.

        A later time of the device never gives an earlier one here, though what is known of the clock changes.
        """
        if not self._exchanges:
            return None
        line, device_s = self._fitted(), 1e-6 * device_us
        time_s = device_s + line.offset_s + line.slope * (device_s - line.device_s)
        reached_us, reached_s = self._reached
        if device_us < reached_us:
            return min(time_s, reached_s)
        time_s = max(time_s, reached_s)
        self._reached = (device_us, time_s)
        return time_s

    def _fitted(self) -> _Line:
        if self._line is None:
            self._line = _fit(self._exchanges)
        return self._line


def _fit(exchanges: Sequence[Exchange]) -> _Line:
    """The line at the last exchange; that the clock runs right is the prior."""
    last = exchanges[-1]
    elapsed_s, ahead_s, on_the_way_s = np.array(
        [(one.device_s - last.device_s, one.offset_s - last.offset_s, one.on_the_way_s) for one in exchanges]
    ).T
    weight = (STAMP_ERROR_S + 0.5 * (on_the_way_s - on_the_way_s.min())) ** -2
    both = weight @ elapsed_s
    covariance = np.linalg.inv([[weight.sum(), both], [both, weight @ elapsed_s**2 + RATE_ERROR**-2]])
    ahead, slope = covariance @ (weight @ ahead_s, weight @ (ahead_s * elapsed_s))
    return _Line(last.device_s, last.offset_s + float(ahead), float(slope), float(covariance[0, 0]) ** 0.5)
