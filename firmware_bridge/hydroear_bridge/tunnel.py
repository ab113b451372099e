"""Packets of SMP, MCUmgr's Simple Management Protocol, through frames of the bridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from smpclient.transport import SMPTransport

from hydroear_bridge.conversation import Conversation
from hydroear_bridge.errors import BridgeError, PortError
from hydroear_bridge.frames import MUST_UNDERSTAND, Frame, FrameType, Hello, Uninterpreted
from hydroear_bridge.ports import Port
from hydroear_bridge.session import ANSWER_S, Happening, Session

PATIENCE_S = 15.0
"""So long an answer is asked for, also over a connection that comes and goes. A choice."""
PRESENT_S = 10.0
"""A device says HELLO every 2 s, and an update is worth waiting for four that are lost. A choice."""
REOPEN_S = 0.2
"""So soon a port that has gone is looked for again."""
RESET_S = 5.0
"""A device that goes on for so long after it was to reset has not been asked. A choice."""
_GROUP_TO_COMMAND = slice(4, 8)
"""Group, sequence and command, by which an answer is known."""


class Tunnel(SMPTransport):
    """A transport for the package smpclient, over cuts of the connection and boots of the device.

    A packet that is not answered is sent again: what a device has done already, it does not do twice. That is not so of
    a reset, for which there is :meth:`reset`.

    Parameters
    ----------
    reach
        Opens the port.

    Attributes
    ----------
    patience_s
        So long an answer is waited for, and asked for again.

    Raises
    ------
    BridgeError
        If the port cannot be opened.
    """

    def __init__(self, reach: Callable[[], Port]) -> None:
        self.patience_s = PATIENCE_S
        self._reach = reach
        self._session = Session(time.monotonic())
        self._port: Port | None = reach()
        self._device_us = 0

    def hello(self, within_s: float = PRESENT_S) -> Hello:
        """Wait for the next HELLO; :class:`BridgeError` if none comes."""
        return self._next_hello(time.monotonic() + within_s)

    def reset(self, packet: bytes, within_s: float) -> Hello:
        """Have the device reset, and wait for the HELLO of its next boot.

        The packet is sent again only when the device says that it runs on: two resets are two boots, and the second
        gives up what the first has on trial.

        Raises
        ------
        BridgeError
            If it does not come back.
        """
        assert self._session.hello is not None
        before, until_s = self._session.hello.boot_id, time.monotonic() + within_s
        asked_us = self._device_us
        self._say(packet)
        while (hello := self._next_hello(until_s)).boot_id == before:
            if self._device_us > asked_us + 1e6 * RESET_S:
                asked_us = self._device_us
                self._say(packet)
        return hello

    async def send_and_receive(self, data: bytes) -> bytes:
        """Send a packet, again if need be, until its answer has come; :class:`BridgeError` if none does."""
        until_s = time.monotonic() + self.patience_s
        while time.monotonic() < until_s:
            self._say(data)
            for answer in self._packets(ANSWER_S):
                if answer[_GROUP_TO_COMMAND] == data[_GROUP_TO_COMMAND]:
                    return answer
        raise BridgeError("the device does not answer any more; give the command again, it goes on from there")

    async def send(self, data: bytes) -> None:
        """Send a packet, whether or not it arrives."""
        self._say(data)

    async def receive(self) -> bytes:
        """The next packet; :class:`BridgeError` if none comes."""
        for answer in self._packets(self.patience_s):
            return answer
        raise BridgeError("the device does not answer")

    async def connect(self, address: str, timeout_s: float) -> None:
        """Do nothing."""

    async def disconnect(self) -> None:
        """Close the port."""
        self._hang_up()

    @property
    def mtu(self) -> int:
        """Bytes of the longest packet that a frame to the device holds."""
        assert self._session.hello is not None
        return self._session.hello.max_payload

    @property
    def max_unencoded_size(self) -> int:
        """Bytes of the longest packet that the device takes."""
        return min(self.mtu, self._smp_server_transport_buffer_size or self.mtu)

    def _packets(self, within_s: float) -> Iterator[bytes]:
        """What the device answers."""
        for happening in self._listen(time.monotonic() + within_s):
            match happening:
                case Frame(body=Uninterpreted(frame_type=FrameType.SMP, payload=packet), flags=flags) if (
                    not flags & MUST_UNDERSTAND
                ):
                    yield packet

    def _say(self, packet: bytes) -> None:
        self._session.say(Uninterpreted(frame_type=FrameType.SMP, payload=packet))

    def _next_hello(self, until_s: float) -> Hello:
        began_s = time.monotonic()
        for happening in self._listen(until_s):
            if isinstance(happening, Frame) and isinstance(happening.body, Hello):
                return happening.body
        raise BridgeError(f"no HELLO within {until_s - began_s:.0f} s; check the cable and that the device runs")

    def _listen(self, until_s: float) -> Iterator[Happening]:
        """What happens until a monotonic time, whether or not the port is there all the time."""
        while time.monotonic() < until_s:
            try:
                if self._port is None:
                    self._port = self._reach()
                    self._session.reconnect(time.monotonic())
                for happening in Conversation(self._port, session=self._session).listen(until_s):
                    if isinstance(happening, Frame):
                        self._device_us = happening.device_time_us
                    yield happening
            except PortError:
                self._hang_up()
                time.sleep(REOPEN_S)

    def _hang_up(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None
