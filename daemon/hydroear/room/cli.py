"""``hydroear room``: what the control room sees of its units, and what it asks of them."""

from __future__ import annotations

import getpass
import json
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hydroear.config.loader import load_room, load_section
from hydroear.config.schema import NAME_EXPECTED, NAME_PATTERN, Mqtt, Room
from hydroear.errors import LinkError, UsageError
from hydroear.model.signature import load_private_key
from hydroear.progress import Progress
from hydroear.room.errand import Errand, filters
from hydroear.room.ledger import Ledger
from hydroear.room.questions import Questions, compose, fields_of
from hydroear.room.session import Heard, LinkNews, Session
from hydroear.room.table import summary, table

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SETTLED_S = 1.0
"""So long without something that was kept, a broker has told all that it has kept. A choice."""
LOOK_S = 15.0
"""How long to wait for a broker at most when one look is to be taken."""
MAX_TIMEOUT_S = 3600.0
"""As long as a request may hold."""
EXIT_CODES = {"done": 0, "refused": 1, "failed": 1, "unanswered": 3}
TICK_S = 1.0
"""How often to look for units that went silent."""


def load_settings(config: Path | None, url: str | None, key: Path | None = None) -> Room:
    """The settings of the room: from a file, or for a broker that wants no login from its URL alone; with a key or not.

    Raises
    ------
    ConfigError, UsageError
        What is wrong with them.
    """
    if (config is None) == (url is None):
        raise UsageError(
            "which broker?", where="room", expected="either -c FILE or --mqtt URL", fix="see systemd/room.example.yaml"
        )
    settings = load_room(config) if config else Room(mqtt=load_section(Mqtt, {"url": url or ""}, "--mqtt"))
    return settings if key is None else settings.model_copy(update={"command_key": key})


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


def watch(settings: Room, *, by: str | None) -> int:
    """Show all units live, until the operator leaves.

    Raises
    ------
    UsageError
        There is no terminal, or the package that draws on it is missing.
    """
    try:
        import rich  # noqa: F401 - absent where only --once, --json and ask are used
    except ImportError as error:
        raise UsageError(
            "the package rich is not installed",
            where="room",
            expected="it for the live view; --once and --json need none",
            fix='pip install "hydroear[room]"',
        ) from error
    from hydroear.room import screen

    with Session(settings.mqtt) as session:
        screen.run(session, Questions(session.publish, by=by or whoever(), key=_key(settings)))
    return 0


def ask(
    settings: Room,
    unit: str,
    verb: str,
    pairs: Sequence[str],
    *,
    by: str | None,
    timeout_s: float,
    clip_out: Path | None,
    bundle: Path | None,
    as_json: bool,
    out: TextIO,
) -> int:
    """Ask a unit something and print what it replied; gives the exit code of :data:`EXIT_CODES`.

    Raises
    ------
    UsageError
        The unit would refuse it whatever its state.
    LinkError
        There is no broker, or it does not let the room in.
    """
    if not re.fullmatch(NAME_PATTERN, unit):
        raise UsageError(f"bad name {unit!r}", where="UNIT", expected=NAME_EXPECTED)
    if not 0.0 < timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(f"{timeout_s:g} s", where="--timeout", expected=f"above 0, up to {MAX_TIMEOUT_S:g}")
    for path, option, only in ((clip_out, "--out", "clip"), (bundle, "--file", "model-install")):
        if path is not None and verb != only:
            raise UsageError(f"{verb} takes no {option}", where="ask", expected=f"it with {only} alone")
    fields = fields_of(verb, pairs)
    compose(verb, {**fields, **({"sha256": "0" * 64} if bundle is not None else {})})
    key, progress = _key(settings), Progress(sys.stderr)
    with Session(settings.mqtt, filters(unit)) as session:
        questions = Questions(session.publish, by=by or whoever(), key=key)
        errand = Errand(session, questions, unit, timeout_s=timeout_s)
        if clip_out is not None:
            answer = errand.fetch_clip(str(fields.get("event_id", "")), clip_out, progress)
        elif bundle is not None:
            answer = errand.send_model(bundle, fields, progress)
        else:
            answer = errand.ask(verb, fields)
    if as_json:
        print(json.dumps(asdict(answer)), file=out)
    elif answer.outcome == "done":
        print("\n".join([f"{unit} {verb}: done", *_told(answer.values)]), file=out)
    if answer.error:
        print(f"hydroear: error: {unit} {verb}: {answer.outcome}: {answer.error}", file=sys.stderr)
    return EXIT_CODES[answer.outcome]


def _key(settings: Room) -> Ed25519PrivateKey | None:
    return None if settings.command_key is None else load_private_key(settings.command_key)


def whoever() -> str:
    """Who asks, as this machine knows it."""
    try:
        return f"{getpass.getuser()}@{platform.node()}"[:100]
    except (KeyError, OSError):
        return "control room"


def _told(value: Any, name: str = "") -> Iterator[str]:
    """What a reply says, one line a value."""
    if isinstance(value, dict) and value:
        for key, inside in value.items():
            yield from _told(inside, f"{name}.{key}" if name else key)
    elif name:
        yield f"  {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


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
