"""What waits to be told to the control room, before anyone knows how it travels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a message is about; the lower the number, the sooner it is sent and the later it is dropped.

    The numbers are stored on disk: never renumber.
    """

    EVENT = 0
    STATE = 1
    HEALTH = 2
    CLIP = 3


@dataclass(frozen=True)
class Message:
    """A message that has to arrive at least once.

    Attributes
    ----------
    topic
        Full topic, without wildcards.
    payload
        What is sent.
    kind
        Its priority.
    retain
        The broker keeps it as the last known value of the topic.
    """

    topic: str
    payload: bytes
    kind: Kind
    retain: bool = False


@dataclass(frozen=True)
class Stored:
    """A message that waits.

    Attributes
    ----------
    id
        A number that is not used twice while the process lives.
    message
        The message.
    put_s
        Monotonic time at which it was put; None if an earlier process did.
    """

    id: int
    message: Message
    put_s: float | None
