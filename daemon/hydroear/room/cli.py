"""``hydroear room``: what the control room sees of its units, and what it asks of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from hydroear.config.loader import load_room, load_section
from hydroear.config.schema import Mqtt, Room
from hydroear.errors import LinkError, UsageError
from hydroear.room.ledger import Ledger
from hydroear.room.session import Heard, LinkNews, Session
from hydroear.room.table import summary, table

SETTLED_S = 1.0
"""So long without something that was kept, a broker has told all that it has kept. A choice."""
LOOK_S = 15.0
"""How long to wait for a broker at most when one look is to be taken."""
TICK_S = 1.0
"""How often to look for units that went silent."""


def load_settings(config: Path | None, url: str | None) -> Room:
    """The settings of the room: from a file, or for a broker that wants no login from its URL alone.

    Raises
    ------
    ConfigError, UsageError
        What is wrong with them.
    """
    if (config is None) == (url is None):
        raise UsageError(
            "which broker?", where="room", expected="either -c FILE or --mqtt URL", fix="see systemd/room.example.yaml"
        )
    if config is not None:
        return load_room(config)
    return Room(mqtt=load_section(Mqtt, {"url": url or ""}, "--mqtt"))


def look_once(settings: Room, *, as_json: bool, out: TextIO) -> int:
    """Print what the broker has kept of all units; gives 1 if somebody has to do something, else 0.

    Raises
    ------
    LinkError
        There is no broker, or it does not let the room in.
    """
    ledger = Ledger()
    with Session(settings.mqtt) as session:
        _collect(session, ledger)
    now = datetime.now(UTC)
    units = ledger.units(now)
    if as_json:
        print(json.dumps(ledger.snapshot(now)), file=out)
    elif units:
        print(f"{table(units)}\n\n{summary(units)}", file=out)
    if not units:
        print("hydroear: warning: no unit has ever told this broker anything", file=sys.stderr)
    if ledger.strange:
        print(f"hydroear: warning: {ledger.strange} messages on topics of no unit", file=sys.stderr)
    return 1 if not units or any(unit.severity.needs_somebody for unit in units) else 0


def _collect(session: Session, ledger: Ledger) -> None:
    """Take in what the broker has kept, until nothing of that comes any more."""
    give_up_s = time.monotonic() + LOOK_S
    settled_s: float | None = None
    while (now_s := time.monotonic()) < min(give_up_s, settled_s or give_up_s):
        match session.next(min(give_up_s, settled_s or give_up_s) - now_s):
            case Heard(retained=True) as heard:
                ledger.take(heard.topic, heard.payload, retained=True, now=heard.time)
                settled_s = time.monotonic() + SETTLED_S
            case Heard() as heard:
                ledger.take(heard.topic, heard.payload, retained=False, now=heard.time)
            case LinkNews(connected=True, why=""):
                settled_s = time.monotonic() + SETTLED_S
            case LinkNews() as news:
                raise LinkError(news.why)
    if settled_s is None:
        raise LinkError(f"no answer from the broker within {LOOK_S:g} s", fix="check mqtt.url and the network")


def stream(settings: Room, out: TextIO) -> int:
    """Print one JSON line for everything that is new, until interrupted."""
    ledger = Ledger()
    with Session(settings.mqtt) as session:
        for line in _lines(session, ledger):
            print(json.dumps(line), file=out, flush=True)
    return 0


def _lines(session: Session, ledger: Ledger) -> Iterator[dict[str, Any]]:
    tick_s = time.monotonic() + TICK_S
    while True:
        changes = []
        match session.next(max(0.0, tick_s - time.monotonic())):
            case Heard() as heard:
                changes = ledger.take(heard.topic, heard.payload, retained=heard.retained, now=heard.time)
            case LinkNews() as news:
                yield {"kind": "link", "connected": news.connected, "why": news.why}
        if time.monotonic() >= tick_s:
            changes += ledger.tick(datetime.now(UTC))
            tick_s = time.monotonic() + TICK_S
        for change in changes:
            yield {"kind": change.kind, "unit": change.unit, **change.about}
