"""The account of a link: what was lost, where, and when the device started anew."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello

_SEQUENCES = 2**32
EARLIER_BOOTS = 16
"""Of so many a HELLO is known that comes late. A choice."""


@dataclass(frozen=True)
class Restart:
    """The device booted, or what was heard of it was wrong; sequence and sample index count anew."""

    boot_id: int


@dataclass(frozen=True)
class FramesLost:
    """Frames that the device sent and the link lost."""

    first_sequence: int
    count: int


@dataclass(frozen=True)
class SamplesLost:
    """Samples of a stream that did not arrive.

    Attributes
    ----------
    place
        Where they were lost. ``unknown`` if the link lost frames and the device says that it lost
        samples too: nothing tells how many each.
    """

    stream: int
    first_index: int
    count: int
    place: Literal["device", "link", "unknown"]


@dataclass(frozen=True)
class Stale:
    """A frame that must not be used: a repeat, or of a boot whose HELLO has not been heard."""

    sequence: int


Entry = Restart | FramesLost | SamplesLost | Stale


@dataclass(frozen=True)
class _Mark:
    """Where a stream stood after its last AUDIO frame: the index to come, the frames lost until then."""

    next_index: int
    frames_lost: int


class Account:
    """Follows the frames of one link in the order in which they arrive."""

    def __init__(self) -> None:
        self._boot_id: int | None = None
        self._earlier_boots: deque[int] = deque(maxlen=EARLIER_BOOTS)
        self._late: tuple[int, int] | None = None
        """Boot id and device time of the last HELLO of an earlier boot, if none that may be used has come since."""
        self._hello_us = 0
        """Device time of the youngest HELLO of this boot."""
        self._in_doubt = False
        """Whether that one lay behind, and nothing that may be used has come since."""
        self._next_sequence: int | None = None
        self._frames_lost = 0
        self._marks: dict[int, _Mark] = {}
        self._beginning: _Mark | None = None
        """Where a stream not heard yet stands; None if we came after the boot and cannot know."""

    def receive(self, frame: Frame) -> list[Entry]:
        """Take the next frame; give what it tells of the frames and samples before it.

        The frame itself may be used unless the last entry is :class:`Stale`.
        """
        entries: list[Entry] = []
        ahead = 0 if self._next_sequence is None else (frame.sequence - self._next_sequence) % _SEQUENCES
        behind = ahead >= _SEQUENCES // 2

        if isinstance(frame.body, Hello):
            boot_id = frame.body.boot_id
            known, same = self._boot_id is not None, boot_id == self._boot_id
            if boot_id in self._earlier_boots:
                if not self._comes_again(boot_id, frame.device_time_us):
                    return [Stale(frame.sequence)]
                self._earlier_boots.remove(boot_id)
            if (behind and self._is_mistaken(frame)) if same else (known or behind):
                entries.append(Restart(boot_id))
                self._marks.clear()
                self._beginning = None
                ahead, behind = 0, False
            if not same:
                if self._boot_id is not None:
                    self._earlier_boots.append(self._boot_id)
                self._boot_id = boot_id
                if frame.sequence == 0:
                    self._beginning = _Mark(0, self._frames_lost)
        if behind:
            return [Stale(frame.sequence)]
        self._in_doubt = False
        if isinstance(frame.body, Hello):
            self._hello_us = frame.device_time_us
            self._late = None

        if ahead:
            entries.append(FramesLost((frame.sequence - ahead) % _SEQUENCES, ahead))
            self._frames_lost += ahead
        self._next_sequence = (frame.sequence + 1) % _SEQUENCES

        if isinstance(frame.body, Audio):
            entries += self._samples(frame.stream, frame.body, frame.sequence)
        return entries

    def _comes_again(self, boot_id: int, device_time_us: int) -> bool:
        """Whether two HELLOs on end are of the same earlier boot, the second younger: the device took its id again."""
        before, self._late = self._late, (boot_id, device_time_us)
        return before is not None and before[0] == boot_id and before[1] < device_time_us

    def _is_mistaken(self, hello: Frame) -> bool:
        """Whether a HELLO that lies behind is the second younger than all before, with no frame in between to be used.

        What was further ahead then was none of this boot: a frame of an earlier one that came late.
        """
        if hello.device_time_us <= self._hello_us:
            return False
        self._hello_us = hello.device_time_us
        before, self._in_doubt = self._in_doubt, True
        return before

    def _samples(self, stream: int, audio: Audio, sequence: int) -> list[Entry]:
        mark = self._marks.get(stream, self._beginning) or _Mark(audio.sample_index, self._frames_lost)
        missing = audio.sample_index - mark.next_index
        if missing < 0:
            return [Stale(sequence)]
        self._marks[stream] = _Mark(audio.end_index, self._frames_lost)
        if missing == 0:
            return []
        place: Literal["device", "link", "unknown"] = "device"
        if mark.frames_lost != self._frames_lost:
            place = "unknown" if AudioFlags.GAP in audio.flags else "link"
        return [SamplesLost(stream, mark.next_index, missing, place)]
