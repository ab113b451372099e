"""A stream played at an endpoint, in real time, to whoever listens."""

from __future__ import annotations

import time
from collections.abc import Iterable

from hydroear_bridge.endpoint import Endpoint
from hydroear_bridge.link import DELIMITER

STEP_S = 0.05
FIRST_BYTE_S = 1.0
"""By then a receiver has said its first byte, if it says any; before it, it may empty a terminal of what came early."""
LAST_S = 2.0
"""So long has a receiver to take what is on the way to it when the stream ends."""


def play(stream: Iterable[tuple[float, bytes]], endpoint: Endpoint, *, speed: float) -> None:
    """Send a stream from the moment on at which somebody listens, and hang up behind it.

    No byte is lost to a receiver that is slow: it is waited for. To nobody the stream goes on unheard.

    Parameters
    ----------
    stream
        Seconds from its beginning, in order, and what is due then.
    speed
        So many seconds of the stream take one; at 0 it goes as fast as the receiver takes it, and stops while nobody
        listens.
    """
    _await_receiver(endpoint)
    began_s, connected = time.monotonic(), False
    for due_s, data in stream:
        if speed:
            at_s = began_s + due_s / speed
            while time.monotonic() < at_s:
                endpoint.exchange(b"", at_s)
        elif not endpoint.connected:
            _await_receiver(endpoint)
        before, connected = connected, endpoint.connected
        if connected:
            endpoint.deliver(data if before else DELIMITER + data)
    endpoint.finish(time.monotonic() + LAST_S)


def _await_receiver(endpoint: Endpoint) -> None:
    while not endpoint.connected:
        endpoint.exchange(b"", time.monotonic() + STEP_S)
    until_s = time.monotonic() + FIRST_BYTE_S
    while time.monotonic() < until_s and not endpoint.exchange(b"", until_s):
        pass
