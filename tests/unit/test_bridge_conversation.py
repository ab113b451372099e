"""A conversation with a device that is busy, and one whose answers are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bridging import Bench
from hydroear_bridge import conversation as module
from hydroear_bridge.conversation import Conversation
from hydroear_bridge.device import Device, StoredRecording
from hydroear_bridge.endpoint import Server
from hydroear_bridge.errors import BridgeError
from hydroear_bridge.frames import Frame, FrameType, RecData, Result, ResultCode
from hydroear_bridge.ports import open_port
from hydroear_bridge.simulator import noise
from hydroear_bridge.upload import erase, fetch, listed

NIGHT = StoredRecording(b"\0what was recorded", None, 0)


class Awkward(Device):
    """Answers some requests otherwise than it should, or not at all."""

    busy = 0
    mute = 0

    def receive(self, data: bytes, now_s: float) -> list[Frame]:
        frames = []
        for frame in super().receive(data, now_s):
            body = frame.body
            if isinstance(body, Result) and body.request_type == FrameType.REC_ERASE and self.mute:
                self.mute -= 1
            elif isinstance(body, Result) and body.request_type == FrameType.REC_READ and self.busy:
                self.busy -= 1
                frames.append(replace(frame, body=replace(body, code=ResultCode.BUSY)))
            elif not (isinstance(body, RecData) and self.busy):
                frames.append(frame)
        return frames


@contextmanager
def talk(*, busy: int = 0, mute: int = 0) -> Iterator[Conversation]:
    bench = Bench(Server(0))
    device = Awkward(noise(0), rate_hz=8000, recordings=[NIGHT])
    device.busy, device.mute = busy, mute
    bench.device = device
    with bench, open_port(bench.endpoint.name) as port:
        conversation = Conversation(port)
        conversation.greet()
        yield conversation


def test_a_device_that_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    with talk(busy=2) as conversation:
        (entry,) = listed(conversation)
        fetch(conversation, entry, tmp_path / "night")
    assert (tmp_path / "night").read_bytes() == NIGHT.data
    with talk(busy=99) as conversation, pytest.raises(BridgeError, match="REC_READ: busy"):
        fetch(conversation, entry, tmp_path / "again")


def test_what_was_erased_without_a_word_is_erased() -> None:
    with talk(mute=1) as conversation:
        (entry,) = listed(conversation)
        erase(conversation, entry)
        assert listed(conversation) == []


def test_what_a_device_refuses_to_erase_is_told() -> None:
    with talk() as conversation:
        (entry,) = listed(conversation)
        with pytest.raises(BridgeError, match="REC_ERASE: refused"):
            erase(conversation, replace(entry, crc32=entry.crc32 ^ 1))
