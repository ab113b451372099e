"""The same warning not more often than anybody reads it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hydroear.codes import Code

BURST = 5
DEVICE_BURST = 20
"""Of what devices say to people, whose words differ from line to line. A choice."""
INTERVAL_S = 600.0


@dataclass
class _Flow:
    """What has come of one kind since an interval began."""

    began_s: float
    passed: int = 0
    held: int = 0


class RateLimit(logging.Filter):
    """Lets warnings and errors of a kind through :data:`BURST` times in :data:`INTERVAL_S`; the next tells of the rest.

    A kind is what one line of the program says of one sensor under one code at one level, whatever the words. What
    devices say is limited at every level, to :data:`DEVICE_BURST`: nobody here wrote their firmware.

    Parameters
    ----------
    clock_s
        The time, in seconds.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._mutex = threading.Lock()
        self._flows: dict[tuple[object, ...], _Flow] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record passes; one that passes after others were held back says how many."""
        code = getattr(record, "code", "")
        burst = DEVICE_BURST if code == Code.DEVICE_LOG else BURST
        if record.levelno < logging.WARNING and code != Code.DEVICE_LOG:
            return True
        kind = (record.pathname, record.lineno, code, getattr(record, "sensor", ""), record.levelno)
        now_s = self._clock_s()
        with self._mutex:
            flow = self._flows.setdefault(kind, _Flow(now_s))
            if now_s - flow.began_s >= INTERVAL_S:
                held_s, held = now_s - flow.began_s, flow.held
                flow = self._flows[kind] = _Flow(now_s)
                if held:
                    record.msg = f"{record.getMessage()} ({held} more like it in the last {held_s:.0f} s)"
                    record.args = None
            if flow.passed >= burst:
                flow.held += 1
                return False
            flow.passed += 1
            return True
