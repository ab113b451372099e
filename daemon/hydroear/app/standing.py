"""How a unit is doing, in one line for people: what ``systemctl status`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydroear.decide import State

if TYPE_CHECKING:
    from hydroear.app.unit import Ear
    from hydroear.mqtt.link import LinkStatus


def standing(ears: Sequence[Ear], *, link: LinkStatus | None, waiting: int | None, notice: str = "") -> str:
    """The line.

    Parameters
    ----------
    ears
        The sensors.
    link
        The way to the broker; None where there is none.
    waiting
        Messages in the outbox; None where that cannot be told.
    notice
        What else there is to say.
    """
    count = f"{len(ears)} sensor{'' if len(ears) == 1 else 's'}"
    queue = "queue out of order" if waiting is None else f"{waiting} queued"
    return "; ".join(filter(None, (f"{count}: {', '.join(map(_sensor, ears))}", _broker(link), queue, notice)))


def _sensor(ear: Ear) -> str:
    state = ear.pipeline.state
    if state is State.FAULT:
        return f"{ear.sensor} fault ({ear.source.trouble or ear.pipeline.liveness.ailment})"
    return f"{ear.sensor} {state}"


def _broker(link: LinkStatus | None) -> str:
    if link is None:
        return "no broker"
    trouble = link.last_error.partition("; ")[0]  # what to do about it is in the log
    if link.connected:
        return f"broker connected, but {trouble}" if trouble else "broker connected"
    return trouble or "broker not connected yet"
