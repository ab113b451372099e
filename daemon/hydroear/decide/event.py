"""An event: one leak, from open to close, under one name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True)
class OpenEvent:
    """An event that is open, as it is remembered over a restart.

    Attributes
    ----------
    event_id
        The same from open to close.
    opened_time
        When it opened, with a time zone.
    clock_set
        Whether the clock could be trusted then, or the time was set right since.
    opened_monotonic_s, boot_id
        The monotonic time at which it opened, and the run of the machine which that counts from.
    acknowledged
        Whether somebody has taken it on.
    seq
        Number of the next message about it, from 0.
    """

    event_id: str
    opened_time: datetime
    clock_set: bool
    opened_monotonic_s: float
    boot_id: str
    acknowledged: bool = False
    seq: int = 0

    def told(self) -> OpenEvent:
        """The event after one more message about it."""
        return replace(self, seq=self.seq + 1)

    def set_right(self, now: datetime, *, monotonic_s: float, boot_id: str) -> OpenEvent:
        """The event once the clock can be trusted: when it opened follows from how long ago that was.

        Unchanged where its time was right, or the machine has been started anew since.

        Parameters
        ----------
        now, monotonic_s, boot_id
            The time, the monotonic time and the run of the machine, now.
        """
        if self.clock_set or boot_id != self.boot_id:
            return self
        opened_time = now - timedelta(seconds=monotonic_s - self.opened_monotonic_s)
        return replace(self, opened_time=opened_time, clock_set=True)

    def to_json(self) -> str:
        """As it is remembered."""
        return json.dumps({**asdict(self), "opened_time": self.opened_time.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> OpenEvent:
        """Read :meth:`to_json`'s form back."""
        values = json.loads(text)
        return cls(**{**values, "opened_time": datetime.fromisoformat(values["opened_time"])})
