"""A link that loses, damages, repeats and holds up what it carries."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from hydroear_bridge.errors import UsageError
from hydroear_bridge.link import DELIMITER


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong.

    Attributes
    ----------
    loss, corrupt, duplicate
        Probability that a frame is lost, has one byte altered, arrives twice; 0 to 1.
    noise
        Probability that a byte arrives as another, 0 to 1.
    stall
        Probability that a frame, and all behind it, are held up for 0.2 s; 0 to 1.
    cut
        Seconds from one cut of the connection to the next; what was on the way then comes late and out of order.
        0 for none, as below.
    reboot, brownout
        Seconds from one such boot to the next; a brown-out breaks off within a frame and lasts a second.
    tamper, ingress
        Seconds after the beginning at which someone opens the case, or water comes in.
    drift
        How much faster than the world's the device's clock runs, in ppm.
    late_hello
        Seconds from a boot to its first HELLO.
    flood
        1: the device sends 200 lines of LOG a second.
    crash
        1: firmware that is on trial after an update crashes within a second.
    """

    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    noise: float = 0.0
    stall: float = 0.0
    cut: float = 0.0
    reboot: float = 0.0
    brownout: float = 0.0
    tamper: float = 0.0
    ingress: float = 0.0
    drift: float = 0.0
    late_hello: float = 0.0
    flood: float = 0.0
    crash: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _RANGES.get(field.name, (0.0, 1e6))
            if not low <= value <= high:
                raise UsageError(f"{field.name} is {value:g}, expected {low:g} to {high:g}")
            if 0.0 < value <= OUTAGES_S.get(field.name, 0.0):
                raise UsageError(f"{field.name} is {value:g}, expected 0, or more than {OUTAGES_S[field.name]:g}")

    @classmethod
    def parse(cls, text: str, allowed: Sequence[str] = ()) -> Self:
        """Read ``name=number`` with commas between them.

        Parameters
        ----------
        allowed
            Names that there may be; by default all.

        Raises
        ------
        UsageError
            If a name is unknown, or a number is none or out of range.
        """
        values, allowed = {}, allowed or FAULTS
        for part in filter(None, text.split(",")):
            name, _, number = part.partition("=")
            name = name.strip().replace("-", "_")
            if name not in allowed:
                raise UsageError(f"no fault is called {name!r}; there are {', '.join(allowed)}")
            try:
                values[name] = float(number)
            except ValueError:
                raise UsageError(f"{name} is {number!r}, expected a number, as in loss=0.05,reboot=30") from None
        return cls(**values)


FAULTS = tuple(field.name for field in fields(Faults))
LINK_FAULTS = ("loss", "corrupt", "duplicate", "noise", "stall")
"""Those that happen to what was sent."""
OUTAGES_S = {"cut": 1.0, "reboot": 0.3, "brownout": 1.0}
"""So long each of them lasts."""
_PROBABILITY = (0.0, 1.0)
_RANGES = {
    **dict.fromkeys(LINK_FAULTS, _PROBABILITY),
    "drift": (-1e4, 1e4),
    "flood": _PROBABILITY,
    "crash": _PROBABILITY,
}

STALL_S = 0.2
_NONE = Faults()


def check_seed(seed: int) -> None:
    """Refuse one that is below 0 with :class:`UsageError`."""
    if seed < 0:
        raise UsageError(f"seed is {seed}, expected at least 0")


class Link:
    """One direction of a link that has faults.

    Parameters
    ----------
    faults
        What goes wrong on it.
    seed
        Same seed, same chances, at least 0.

    Raises
    ------
    UsageError
        If the seed is out of range.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        check_seed(seed)
        self._faults = faults
        self._chances = np.random.default_rng([seed, 1])
        self._run_together = False
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._free_s = 0.0

    def carry(self, wire: bytes, *, spared: bool = False) -> tuple[bytes, bool]:
        """Carry a frame at once; one that is spared meets no fault itself.

        Returns
        -------
        bytes
            What comes out: nothing if it is lost.
        bool
            Whether a receiver can read the frame: neither lost, nor damaged, nor run together with a damaged one.
        """
        faults, chances = _NONE if spared else self._faults, self._chances
        if chances.random() < faults.loss:
            return b"", False
        sent = wire
        if chances.random() < faults.corrupt:
            sent = _altered(sent, np.array([chances.integers(len(sent))]), chances)
        if faults.noise:
            sent = _altered(sent, np.flatnonzero(chances.random(len(sent)) < faults.noise), chances)
        twice = chances.random() < faults.duplicate
        # Behind a frame that has lost its delimiter the first copy is spoiled, and the second is not.
        arrives = sent == wire and (twice or not self._run_together)
        self._run_together = not sent.endswith(DELIMITER)
        if twice:
            sent += sent
        return sent, arrives

    def send(self, wire: bytes, now_s: float, *, delay_s: float = 0.0) -> None:
        """Carry a frame that arrives later, behind those before it."""
        if self._chances.random() < self._faults.stall:
            delay_s += STALL_S
        self._free_s = max(self._free_s, now_s + delay_s)
        self._waiting.append((self._free_s, self.carry(wire)[0]))

    def arrived(self, now_s: float) -> bytes:
        """Take what has arrived until now."""
        data = bytearray()
        while self._waiting and self._waiting[0][0] <= now_s:
            data += self._waiting.popleft()[1]
        return bytes(data)


def _altered(wire: bytes, places: np.ndarray[tuple[int], np.dtype[np.int64]], chances: np.random.Generator) -> bytes:
    data = np.frombuffer(wire, np.uint8).copy()
    data[places] ^= chances.integers(1, 256, len(places), dtype=np.uint8)
    return data.tobytes()
