"""From reports to messages: states, and events from open to close."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hydroear.app.moment import Moment, moment_of_report
from hydroear.app.pipeline import Pipeline, Report
from hydroear.config.schema import Decision
from hydroear.decide import OpenEvent, State
from hydroear.errors import HydroearError
from hydroear.evidence import Reasons
from hydroear.message import Kind, Message
from hydroear.mqtt import payloads, topics
from hydroear.outbox import Outbox

_HEARD = "heard/"
"""How the name begins under which it is remembered up to when, in UTC, what a logger recorded was told of."""

Stamper = Callable[[int], payloads.Stamp]


class Reporter:
    """Tells the control room about one sensor, through the outbox.

    Parameters
    ----------
    unit, sensor
        Their names.
    outbox
        Where messages wait; it also remembers the open event.
    stamp
        Makes the stamp of a message from its number.
    decision
        The rules that scores are held against.
    state_every_s, update_every_s
        Longest time, in the stream, without a message about the state and about an open event.
    """

    def __init__(
        self,
        *,
        unit: str,
        sensor: str,
        outbox: Outbox,
        stamp: Stamper,
        decision: Decision,
        state_every_s: float,
        update_every_s: float,
    ) -> None:
        self._unit, self._sensor, self._outbox, self._stamp = unit, sensor, outbox, stamp
        self._decision = decision
        self._state_every_s, self._update_every_s = state_every_s, update_every_s
        self._seq = itertools.count()
        self._told_s: float | None = None
        self._updated_s = 0.0
        self._last: Report | None = None
        remembered = outbox.recall(sensor)
        self.event = OpenEvent.from_json(remembered) if remembered is not None else None
        told_until = outbox.recall(f"{_HEARD}{sensor}")
        self._told_until_utc_s = None if told_until is None else float(told_until)

    def has_told_of(self, moment: datetime) -> bool:
        """Whether something was told of an event at or after a moment with a time zone, in a recording.

        Where that is heard once more, it must neither close the event nor open another one.
        """
        return self._told_until_utc_s is not None and moment.timestamp() <= self._told_until_utc_s

    def take(self, report: Report, pipeline: Pipeline, reasons: Reasons | None = None) -> None:
        """Queue what this report gives reason to say; `reasons` are those of an event that opens."""
        self._last = report
        if report.event == "open":
            self.event = self._open(moment_of_report(report))
            self._say(report, "open", reasons)
        elif report.event == "close":
            self._say(report, "close")
        elif (
            self.event is not None
            and report.decades is not None
            and report.position_s - self._updated_s >= self._update_every_s
        ):
            self._say(report, "update")
        if report.changed or self._told_s is None or report.position_s - self._told_s >= self._state_every_s:
            self._told_s = report.position_s
            self._outbox.put(self._state(report, pipeline))

    def acknowledge(self, pipeline: Pipeline, by: str) -> None:
        """Tell that somebody has taken the open event on, once the sensor was heard.

        Raises
        ------
        HydroearError
            No window was heard since the start.
        """
        assert self.event is not None
        if self._last is None:
            raise HydroearError(f"{self._sensor} has not been heard since the start", fix="ask again in a minute")
        self.event = replace(self.event, acknowledged=True)
        self._say(replace(self._last, state=pipeline.acknowledge(), reason=f"acknowledged by {by}"), "update")
        self.tell_state(pipeline)

    def tell_state(self, pipeline: Pipeline) -> None:
        """Queue the state now, as it was changed by somebody's order; nothing before a window was heard."""
        if self._last is not None:
            self._outbox.put(self._state(replace(self._last, state=pipeline.state), pipeline))

    def end(self, report: Report) -> None:
        """Close the open event because the recording it was heard in has ended."""
        self._say(replace(report, reason="the recording ended"), "close")

    def _open(self, heard: Moment) -> OpenEvent:
        return OpenEvent(
            event_id=f"{self._sensor}-{heard.time:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
            opened_time=heard.time,
            clock_set=heard.is_trusted(),
            opened_monotonic_s=heard.monotonic_s,
            boot_id=self._stamp(0).boot_id,
        )

    def _say(self, report: Report, phase: payloads.Phase, reasons: Reasons | None = None) -> None:
        assert self.event is not None
        stamp = self._stamp(self.event.seq)
        if stamp.clock == "synchronised":
            self.event = self.event.set_right(stamp.time, monotonic_s=time.monotonic(), boot_id=stamp.boot_id)
        event = self.event
        self._updated_s = report.position_s
        body = payloads.Event(
            event_id=event.event_id,
            sensor=self._sensor,
            phase=phase,
            state="quiet" if report.state is State.QUIET else "acknowledged" if event.acknowledged else "leak",
            opened_time=event.opened_time,
            heard_time=moment_of_report(report).time,
            position_s=round(report.position_s, 3),
            score_decades=round(report.decades or 0.0, 3),
            horizon_decades=_rounded(report.horizon_decades),
            level_db=_rounded(report.level_db),
            level=report.level,
            level_unit=report.level_unit,
            raise_decades=round(self._decision.raise_level, 3),
            false_alarms_per_month=self._decision.false_alarms_per_month,
            reason=report.reason,
            evidence=None if reasons is None else reasons.to_json(),
        )
        message = Message(topics.event(self._unit, event.event_id), payloads.encode(body, stamp), Kind.EVENT)
        heard = {} if report.taken_utc_s is None else {f"{_HEARD}{self._sensor}": str(report.taken_utc_s)}
        if phase == "close":
            self.event = None
            self._outbox.put(message, remember=heard, forget=self._sensor)
        else:
            self.event = event.told()
            self._outbox.put(message, remember={**heard, self._sensor: self.event.to_json()})

    def _state(self, report: Report, pipeline: Pipeline) -> Message:
        body = payloads.State(
            sensor=self._sensor,
            state=report.state.value,
            score_decades=_rounded(report.decades),
            level_db=_rounded(report.level_db),
            level=report.level,
            level_unit=report.level_unit,
            heard_time=moment_of_report(report).time,
            position_s=round(report.position_s, 3),
            windows_scored=pipeline.windows_scored,
            windows_skipped=pipeline.windows_skipped,
            event_id=self.event.event_id if self.event else None,
            muted_s=_rounded(pipeline.muted_s),
        )
        return Message(
            topics.state(self._unit, self._sensor),
            payloads.encode(body, self._stamp(next(self._seq))),
            Kind.STATE,
            retain=True,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
