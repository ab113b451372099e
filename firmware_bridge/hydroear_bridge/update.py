"""An update of the firmware of a device: by the package smpclient, through a :class:`Tunnel`."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass

from smp.error import ErrorV1, ErrorV2
from smp.image_management import ImageState
from smpclient import SMPClient
from smpclient.exceptions import SMPClientException, SMPUploadError
from smpclient.generics import SMPRequest, TEr1, TEr2, TRep, error, success
from smpclient.requests.image_management import ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import ResetWrite

from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import Capabilities, Hello
from hydroear_bridge.image import Image
from hydroear_bridge.tunnel import PATIENCE_S, Tunnel

ERASE_S = 40.0
"""A device may erase a slot of its flash before it answers the first packet of an image."""
RETURN_S = 180.0
"""A boot loader may have a megabyte to swap before the device says HELLO again."""
LEAST_PACKET = 128
"""MCUmgr wants hash and header of an image in its first packet."""
_FOREVER_S = 1e6
"""The tunnel has a patience of its own."""

logging.getLogger("smpclient").addHandler(logging.NullHandler())


class Outcome(enum.Enum):
    """What became of an update."""

    UPDATED = "updated"
    ALREADY_THERE = "already there"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Update:
    """What became of an update, and which firmware the device said it had, before and now."""

    outcome: Outcome
    before: str
    now: str


class Updater:
    """Brings an image to a device, and sees to it that the device stays as it was if the image is no good.

    Parameters
    ----------
    tunnel
        Leads to the device.
    data
        The image.
    tell
        Is told each step.
    progress
        Is told how many bytes of the image the device has.

    Raises
    ------
    BridgeError
        If the bytes are no image.
    """

    def __init__(
        self, tunnel: Tunnel, data: bytes, *, tell: Callable[[str], object], progress: Callable[[int], object]
    ) -> None:
        self._tunnel, self._data, self._tell, self._progress = tunnel, data, tell, progress
        self._image = Image.from_bytes(data)
        self._client = SMPClient(tunnel, "", _FOREVER_S)

    def run(self) -> Update:
        """Do what is left to be done: an update that was broken off goes on.

        Raises
        ------
        BridgeError
            If the device takes no updates, refuses this one, or is heard no more.
        """
        # No loop of asyncio.run, which would hold back a Ctrl-C: nothing here waits for the loop.
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(self._run())
        finally:
            loop.run_until_complete(self._client.disconnect())
            loop.close()

    async def _run(self) -> Update:
        before = hello = self._tunnel.hello()
        if Capabilities.SMP not in hello.capabilities:
            raise BridgeError("the device takes no updates over this link")
        await self._client.connect()
        if (size := self._tunnel.max_unencoded_size) < LEAST_PACKET:
            raise BridgeError(f"the device takes packets of {size} bytes, an update wants {LEAST_PACKET}")
        state = await self._state()
        if state is None:
            await self._upload()
            state = await self._state()
            if state is None:
                raise BridgeError("the device has no image with that hash though it took it all; is it signed for it?")
        if state.active and state.confirmed:
            return Update(Outcome.ALREADY_THERE, before.firmware, hello.firmware)
        if not state.active:
            if not state.pending:
                self._tell("marking it for a test")
                await self._ask(ImageStatesWrite(hash=self._image.sha256))
            self._tell("resetting the device")
            hello = self._tunnel.reset(ResetWrite().BYTES, RETURN_S)
        return await self._confirm(before, hello)

    async def _upload(self) -> None:
        self._tell(f"uploading {self._image.version}")
        self._tunnel.patience_s = ERASE_S
        try:
            async for offset in self._client.upload(self._data, first_timeout_s=_FOREVER_S):
                self._progress(offset)
                self._tunnel.patience_s = PATIENCE_S
        except SMPUploadError as failure:
            raise BridgeError(f"the device does not take the image: {_reason(failure.args[0])}") from None
        except SMPClientException as failure:
            raise BridgeError(f"the device answers what cannot be understood: {failure}") from None

    async def _confirm(self, before: Hello, hello: Hello) -> Update:
        """Confirm the image that is on trial when it has said HELLO twice."""
        while True:
            state = await self._state()
            if state is None or not state.active:
                return Update(Outcome.ROLLED_BACK, before.firmware, self._tunnel.hello(RETURN_S).firmware)
            again = self._tunnel.hello(RETURN_S)
            if again.boot_id == hello.boot_id:
                break
            hello = again
        self._tell("confirming it")
        await self._ask(ImageStatesWrite(hash=self._image.sha256, confirm=True))
        return Update(Outcome.UPDATED, before.firmware, hello.firmware)

    async def _state(self) -> ImageState | None:
        """What the device says of the image; None if it has no such."""
        told = await self._ask(ImageStatesRead())
        return next((state for state in told.images if state.hash == self._image.sha256), None)

    async def _ask(self, request: SMPRequest[TRep, TEr1, TEr2]) -> TRep:
        try:
            told = await self._client.request(request)
        except SMPClientException as failure:
            raise BridgeError(f"the device answers what cannot be understood: {failure}") from None
        if error(told):
            raise BridgeError(f"the device refuses: {_reason(told)}")
        assert success(told)
        return told


def _reason(told: object) -> str:
    """What an error of the device's says, in words."""
    match told:
        case ErrorV1(rc=code, rsn=reason):
            return reason or code.name
        case ErrorV2():
            return str(told.err.rc.name).lower().replace("_", " ")
    return str(told)
