"""TIME: four stamps that tell the device's clock from the receiver's."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Self

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames.field import FrameType, check, unpack

_TIME = struct.Struct("<QQQqI")
_NOT_KNOWN = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Time:
    """A request for the device's time, and its answer.

    Attributes
    ----------
    receiver_sent_us
        t1: when the receiver sent the request, by any clock of its own in µs, 0 to 2⁶⁴-1.
    device_received_us, device_sent_us
        t2, t3: device time of the request's arrival and of the answer, in µs, 0 to 2⁶⁴-1; 0 in a request.
    utc_offset_us
        µs from 1970-01-01T00:00:00Z to the device's boot, -2⁶³ to 2⁶³-1; None if not known.
    uncertainty_us
        Uncertainty of the offset to either side, in µs, 0 to 2³²-2; None if the offset is not known.
    """

    TYPE: ClassVar = FrameType.TIME

    receiver_sent_us: int
    device_received_us: int = 0
    device_sent_us: int = 0
    utc_offset_us: int | None = None
    uncertainty_us: int | None = None

    def __post_init__(self) -> None:
        check("receiver_sent_us", self.receiver_sent_us, 0, 2**64 - 1)
        check("device_received_us", self.device_received_us, 0, 2**64 - 1)
        check("device_sent_us", self.device_sent_us, 0, 2**64 - 1)
        if (self.utc_offset_us is None) != (self.uncertainty_us is None):
            raise FrameError("utc_offset_us and uncertainty_us are known together or not at all")
        check("utc_offset_us", self.utc_offset_us or 0, -(2**63), 2**63 - 1)
        check("uncertainty_us", self.uncertainty_us or 0, 0, _NOT_KNOWN - 1)

    def to_bytes(self) -> bytes:
        """Write the payload."""
        return _TIME.pack(
            self.receiver_sent_us,
            self.device_received_us,
            self.device_sent_us,
            self.utc_offset_us or 0,
            _NOT_KNOWN if self.uncertainty_us is None else self.uncertainty_us,
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read the payload; :class:`FrameError` if it ends early."""
        sent, device_received, device_sent, offset, uncertainty = unpack(cls.TYPE, _TIME, payload)
        known = uncertainty != _NOT_KNOWN
        return cls(
            receiver_sent_us=sent,
            device_received_us=device_received,
            device_sent_us=device_sent,
            utc_offset_us=offset if known else None,
            uncertainty_us=uncertainty if known else None,
        )
