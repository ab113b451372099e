"""The part of a simulated device that takes updates: an SMP server as MCUmgr's, and a boot loader as MCUboot."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
from smp.error import MGMT_ERR
from smp.header import OP, CommandId, GroupId, Header
from smp.image_management import IMG_MGMT_ERR

from hydroear_bridge.errors import BridgeError
from hydroear_bridge.image import Image, build

BUFFER_SIZE = 1024
SLOT_SIZE = 1 << 20
FIRST = build((1, 0, 0), b"what the device came with")

_OS, _IMAGE = CommandId.OSManagement, CommandId.ImageManagement


class SmpServer:
    """Two slots of flash: of the first the device runs, into the second an update is written.

    Attributes
    ----------
    reset_due
        Whether it was asked to reset the device.
    """

    def __init__(self) -> None:
        self.reset_due = False
        self._slots = [FIRST, b""]
        self._confirmed, self._pending = True, False
        # Of the image that is being written.
        self._length, self._sha256 = 0, b""

    @property
    def firmware(self) -> str:
        """Version that runs."""
        return Image.from_bytes(self._slots[0]).version

    @property
    def on_trial(self) -> bool:
        """Whether what runs will be given up at the next boot, unless it is confirmed before."""
        return not self._confirmed

    def boot(self) -> None:
        """Do what the boot loader does: swap the slots for an update, or back."""
        if self.on_trial or (self._pending and _image(self._slots[1]) is not None):
            self._slots.reverse()
            self._confirmed = self.on_trial
        self._pending = self.reset_due = False
        self._length, self._sha256 = 0, b""

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to a packet; None if it is none."""
        if len(packet) < Header.SIZE:
            return None
        try:
            header = Header.loads(packet[: Header.SIZE])
            asked = cbor2.loads(packet[Header.SIZE :])
        except (ValueError, cbor2.CBORDecodeError):
            return None
        try:
            said = self._do(header, asked)
        except (KeyError, TypeError):
            said = {"rc": MGMT_ERR.EINVAL.value}
        told = cbor2.dumps(said)
        op = OP.READ_RSP if header.op == OP.READ else OP.WRITE_RSP
        return bytes(
            Header(op, header.version, header.flags, len(told), header.group_id, header.sequence, header.command_id)
        ) + bytes(told)

    def _do(self, header: Header, asked: dict[str, Any]) -> dict[str, Any]:
        match header.group_id, header.command_id, header.op:
            case GroupId.OS_MANAGEMENT, _OS.MCUMGR_PARAMETERS, OP.READ:
                return {"buf_size": BUFFER_SIZE, "buf_count": 4}
            case GroupId.OS_MANAGEMENT, _OS.RESET, OP.WRITE:
                self.reset_due = True
                return {}
            case GroupId.IMAGE_MANAGEMENT, _IMAGE.STATE, OP.READ:
                return self._states()
            case GroupId.IMAGE_MANAGEMENT, _IMAGE.STATE, OP.WRITE:
                return self._mark(asked.get("hash"), confirm=asked.get("confirm", False))
            case GroupId.IMAGE_MANAGEMENT, _IMAGE.UPLOAD, OP.WRITE:
                return self._take(asked)
        return {"rc": MGMT_ERR.ENOTSUP.value}

    def _states(self) -> dict[str, Any]:
        images: list[dict[str, Any]] = []
        for slot, data in enumerate(self._slots):
            if (image := _image(data)) is not None:
                told = {"slot": slot, "version": image.version, "hash": image.sha256, "bootable": True}
                flags = {"active": slot == 0, "confirmed": slot == 0 and self._confirmed}
                images.append(told | flags | {"pending": slot == 1 and self._pending})
        return {"images": images, "splitStatus": 0}

    def _mark(self, sha256: bytes | None, *, confirm: bool) -> dict[str, Any]:
        running, other = (_image(data) for data in self._slots)
        if confirm and running is not None and sha256 in (None, running.sha256):
            self._confirmed = True
        elif not confirm and other is not None and sha256 == other.sha256:
            self._pending = True
        else:
            return _refused(IMG_MGMT_ERR.INVALID_HASH)
        return self._states()

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        offset, data = asked["off"], asked["data"]
        if offset == 0 and (asked["len"], asked["sha"]) != (self._length, self._sha256):
            if self._pending or self.on_trial:
                return _refused(IMG_MGMT_ERR.IMAGE_ALREADY_PENDING)
            if asked["len"] > SLOT_SIZE:
                return _refused(IMG_MGMT_ERR.INVALID_IMAGE_TOO_LARGE)
            if not data.startswith(FIRST[:4]):
                return _refused(IMG_MGMT_ERR.INVALID_IMAGE_HEADER_MAGIC)
            self._length, self._sha256, self._slots[1] = asked["len"], asked["sha"], b""
        if offset == len(self._slots[1]) < self._length:
            self._slots[1] += data
        told: dict[str, Any] = {"off": len(self._slots[1])}
        if len(self._slots[1]) == self._length:
            told["match"] = hashlib.sha256(self._slots[1]).digest() == self._sha256
        return told


def _image(data: bytes) -> Image | None:
    try:
        return Image.from_bytes(data)
    except BridgeError:
        return None


def _refused(reason: IMG_MGMT_ERR) -> dict[str, Any]:
    return {"err": {"group": GroupId.IMAGE_MANAGEMENT.value, "rc": reason.value}}
