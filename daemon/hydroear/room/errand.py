"""One thing asked of one unit from the command line, from the request to its end."""

from __future__ import annotations

import base64
import glob
import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydroear.errors import HydroearError, LinkError, UsageError
from hydroear.mqtt import topics
from hydroear.mqtt.commands import PIECE_BYTES
from hydroear.room import said
from hydroear.room.ledger import Ledger
from hydroear.room.parcel import Parcel
from hydroear.room.questions import TIMEOUT_S, Answer, Questions
from hydroear.room.said import UnreadableError, address, read
from hydroear.room.session import Heard, LinkNews, Session
from hydroear.wholefile import whole_file

STALL_S = 10.0
"""So long without a piece, the missing ones are asked for again. A choice."""
TRIES = 3
"""How often pieces are asked for of which none comes."""
LOOK_S = 0.2

Progress = Callable[[str, float], None]


def filters(unit: str) -> list[str]:
    """What is to be heard of a unit that is asked something."""
    return [f"{topics.ROOT}/{unit}/{rest}" for rest in ("status", "reply/+")]


class Errand:
    """Asks a unit and waits for what comes of it.

    Parameters
    ----------
    session
        Hears :func:`filters`.
    questions
        Publishes by it.
    unit
        Which unit.
    timeout_s
        How long to wait for each reply.
    """

    def __init__(self, session: Session, questions: Questions, unit: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._session, self._questions, self._unit, self._timeout_s = session, questions, unit, timeout_s
        self._ledger = Ledger()
        self._parcel: tuple[Parcel, Path] | None = None
        self._connected, self._why = False, ""

    def ask(self, verb: str, fields: Mapping[str, Any]) -> Answer:
        """Ask, and wait for the answer."""
        request_id = self._questions.ask(self._unit, verb, fields, timeout_s=self._timeout_s)
        while True:
            answer = self._hear()
            given_up = [*self._questions.tend(), *([answer] if answer else [])]
            mine = next((each for each in given_up if each.request_id == request_id), None)
            if mine is not None:
                return mine
            if self._is_offline:
                return self._questions.give_up(request_id, "the unit is offline; ask again when it is back")

    def fetch_clip(self, event_id: str, out: Path, progress: Progress) -> Answer:
        """Fetch the sound of an event into a file; goes on where an earlier attempt ended.

        Raises
        ------
        HydroearError
            The file cannot be written, or what came is not what the unit announced.
        """
        self._session.subscribe(topics.clip(self._unit, event_id))
        parcel = _begun(event_id, out)
        self._parcel = parcel, out
        for _ in range(TRIES):
            while not parcel.whole:
                before = parcel.wanted
                answer = self.ask("clip", {"event_id": event_id, "first": before})
                if answer.outcome != "done":
                    return answer
                self._await_pieces(parcel, progress)
                if parcel.wanted == before:
                    break
            else:
                progress("clip", 1.0)
                return _filed(parcel, out, answer)
        return Answer(self._unit, "clip", answer.request_id, "unanswered", "the pieces of the clip do not come")

    def send_model(self, path: Path, fields: Mapping[str, Any], progress: Progress) -> Answer:
        """Send a bundle in pieces, from where an earlier attempt ended, and have it installed.

        Raises
        ------
        BundleError
            It is none.
        """
        from hydroear.model import read_bundle

        read_bundle(path)
        content = path.read_bytes()
        whole = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        count = -(-len(content) // PIECE_BYTES)
        wanted, stuck = 0, 0
        while True:
            piece = content[wanted * PIECE_BYTES : (wanted + 1) * PIECE_BYTES]
            data = base64.b64encode(piece).decode()
            answer = self.ask("model-piece", {**whole, "piece": wanted, "data": data})
            if answer.outcome != "done":
                return answer
            if answer.values.get("whole") is True:
                progress("model", 1.0)
                return self.ask("model-install", {**fields, "sha256": whole["sha256"]})
            after = answer.values.get("next")
            stuck = stuck + 1 if after == wanted else 0
            if not isinstance(after, int) or not 0 <= after < count or stuck == TRIES:
                raise HydroearError(f"the unit wants piece {after} after {wanted}", expected=f"0 to {count - 1}")
            wanted = after
            progress("model", wanted / count)

    @property
    def _is_offline(self) -> bool:
        """Whether the unit has said goodbye, or was lost: it would not even hear a request."""
        view = self._ledger.unit(self._unit, datetime.now(UTC))
        return self._connected and view is not None and view.online is False

    def _await_pieces(self, parcel: Parcel, progress: Progress) -> None:
        """Take in pieces until none comes any more."""
        wanted, stalls_s = parcel.wanted, time.monotonic() + STALL_S
        while not parcel.whole and time.monotonic() < stalls_s:
            self._hear()
            if parcel.wanted != wanted:
                wanted, stalls_s = parcel.wanted, time.monotonic() + STALL_S
                progress("clip", min(parcel.share, 0.99))

    def _hear(self) -> Answer | None:
        """Take in what comes next; gives the answer to a request, if it is one."""
        match self._session.next(LOOK_S):
            case Heard() as heard:
                self._ledger.take(heard.topic, heard.payload, retained=heard.retained, now=heard.time)
                self._take_piece(heard)
                return self._questions.hear(heard.topic, heard.payload)
            case LinkNews(connected=True, why=""):
                self._connected = True
            case LinkNews() as news:
                if not self._connected or news.connected:  # one that is lost comes back
                    raise LinkError(news.why)
        return None

    def _take_piece(self, heard: Heard) -> None:
        if self._parcel is None:
            return
        parcel, out = self._parcel
        with suppress(UnreadableError):  # it is missing then, and asked for again
            about = address(heard.topic)
            if about is not None and about.kind == "clip" and about.unit == self._unit:
                piece = read(about, heard.payload)
                assert isinstance(piece, said.Clip)
                if parcel.take(piece):
                    _keep(piece, out)


def _begun(event_id: str, out: Path) -> Parcel:
    """What an earlier attempt left beside a file."""
    if not out.parent.is_dir():
        raise UsageError("no such folder", where=out.parent, expected="a folder to write the clip to")
    for part in _parts(out):
        return Parcel(event_id, part.read_bytes(), part.suffixes[-2].removeprefix("."))
    return Parcel(event_id)


def _parts(out: Path) -> list[Path]:
    """What an attempt leaves beside a file until it is whole; the hash of the clip is in the name."""
    return list(out.parent.glob(f".{glob.escape(out.name)}.*.part"))


def _keep(piece: said.Clip, out: Path) -> None:
    """Keep a piece, for an attempt that goes on after this one."""
    part = out.with_name(f".{out.name}.{piece.sha256}.part")
    try:
        with part.open("r+b" if part.exists() else "wb") as file:
            file.seek(piece.piece * PIECE_BYTES)
            file.truncate()
            file.write(piece.data)
    except OSError as error:
        raise _unwritable(out, error) from error


def _filed(parcel: Parcel, out: Path, answer: Answer) -> Answer:
    """Write a whole clip, and forget the parts of it."""
    try:
        content = parcel.open()
        with whole_file(out) as file:
            file.write(content)
    except OSError as error:
        raise _unwritable(out, error) from error
    finally:
        for part in _parts(out):
            part.unlink(missing_ok=True)
    return answer


def _unwritable(out: Path, error: OSError) -> HydroearError:
    return HydroearError(
        f"the clip cannot be written: {error.strerror}", where=out, fix="free space or check its owner"
    )
