"""Which broker to try next, in which version of MQTT, and how long to wait before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from paho.mqtt.enums import MQTTProtocolVersion

from hydroear.mqtt.broker import Address


@dataclass(frozen=True)
class Attempt:
    """A broker to try.

    Attributes
    ----------
    address, protocol
        Where, and in which version.
    wait_s
        How long to wait before.
    """

    address: Address
    protocol: MQTTProtocolVersion
    wait_s: float


class Roster:
    """Brokers in order of preference. All are tried one after the other, then there is a wait, longer each time.

    The waits are spread at random: all units lose a broker at the same moment, and must not all come back at the same
    moment.

    Parameters
    ----------
    addresses
        The preferred one first.
    protocols
        Versions of MQTT, the preferred one first. A broker that does not speak it is tried in the next one at once.
    reconnect_s
        First and longest wait; it doubles from one to the next, and each is spread over its second half.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        protocols: Sequence[MQTTProtocolVersion],
        reconnect_s: tuple[float, float],
    ) -> None:
        self._addresses, self._protocols = list(addresses), list(protocols)
        self._first_s, self._longest_s = reconnect_s
        self._wait_s = self._first_s
        self._spoken: dict[Address, MQTTProtocolVersion] = {}
        self._broker = self._version = 0
        self._rounds = 0

    @property
    def exhausted(self) -> bool:
        """Whether every broker has failed since one was last accepted."""
        return self._rounds > 0

    def first(self) -> Attempt:
        """What to try at the start."""
        return self._attempt(0.0)

    def accepted(self) -> None:
        """The last attempt led to a connection."""
        self._spoken[self._addresses[self._broker]] = self._attempt(0.0).protocol
        self._wait_s = self._first_s
        self._rounds = 0

    def lost(self) -> Attempt:
        """What to try after a connection that stood: the preferred broker first, after a short wait."""
        self._broker = self._version = 0
        return self._attempt(self._spread(self._first_s))

    def failed(self, *, other_version: bool = False) -> Attempt:
        """What to try after an attempt that led to none.

        Parameters
        ----------
        other_version
            Whether that may be because of the version of MQTT.
        """
        unknown = self._addresses[self._broker] not in self._spoken
        if other_version and unknown and self._version + 1 < len(self._protocols):
            self._version += 1
            return self._attempt(0.0)
        self._version = 0
        self._broker += 1
        if self._broker < len(self._addresses):
            return self._attempt(0.0)
        self._broker = 0
        self._rounds += 1
        wait_s = self._spread(self._wait_s)
        self._wait_s = min(self._longest_s, 2.0 * self._wait_s)
        return self._attempt(wait_s)

    def _attempt(self, wait_s: float) -> Attempt:
        address = self._addresses[self._broker]
        return Attempt(address, self._spoken.get(address, self._protocols[self._version]), wait_s)

    @staticmethod
    def _spread(wait_s: float) -> float:
        return random.uniform(0.5, 1.0) * wait_s
