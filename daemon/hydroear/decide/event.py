"""An event: one leak, from open to close, under one name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime


@dataclass(frozen=True)
class OpenEvent:
    """An event that is open, as it is remembered over a restart.

    Attributes
    ----------
    event_id
        The same from open to close.
    opened_time
        When it opened, with a time zone.
    seq
        Number of the next message about it, from 0.
    """

    event_id: str
    opened_time: datetime
    seq: int = 0

    def told(self) -> OpenEvent:
        """The event after one more message about it."""
        return replace(self, seq=self.seq + 1)

    def to_json(self) -> str:
        """As it is remembered."""
        return json.dumps({**asdict(self), "opened_time": self.opened_time.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> OpenEvent:
        """Read :meth:`to_json`'s form back."""
        values = json.loads(text)
        return cls(values["event_id"], datetime.fromisoformat(values["opened_time"]), values["seq"])
