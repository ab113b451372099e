"""How a unit is doing, in one line for people: what ``systemctl status`` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydroear.decide import State

if TYPE_CHECKING:
    from hydroear.app.unit import Ear
    from hydroear.mqtt.link import LinkStatus


def standing(ears: Sequence[Ear], *, link: LinkStatus | None, waiting: int) -> str:
    """The line.

    Parameters
    ----------
    ears
        The sensors.
    link
        The way to the broker; None where there is none.
    waiting
        Messages in the outbox.
    """
    count = f"{len(ears)} sensor{'' if len(ears) == 1 else 's'}"
    return f"{count}: {', '.join(map(_sensor, ears))}; {_broker(link)}; {waiting} queued"


def _sensor(ear: Ear) -> str:
    state = ear.pipeline.state
    if state is State.FAULT:
        return f"{ear.sensor} fault ({ear.source.trouble or ear.pipeline.liveness.ailment})"
    return f"{ear.sensor} {state}"


def _broker(link: LinkStatus | None) -> str:
    if link is None:
        return "no broker"
    if link.connected:
        return f"broker connected, but {link.last_error}" if link.last_error else "broker connected"
    return f"no connection ({link.last_error})" if link.last_error else "no connection yet"
