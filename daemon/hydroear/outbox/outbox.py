"""Messages and what is open, in one SQLite file, so that one commit covers both."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from hydroear.codes import Code, coded
from hydroear.errors import OutboxError, OutboxOwnedError
from hydroear.message import Kind, Message, Stored

T = TypeVar("T")

log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 64 * 2**20
MAX_SHARE = {Kind.EVENT: 1.0, Kind.STATE: 0.2, Kind.HEALTH: 0.2, Kind.CLIP: 0.8}
"""How much of the room each kind may have: sound leaves some to what is said, and replies leave some to sound."""
MAX_AGE_S = {Kind.STATE: 86400.0, Kind.HEALTH: 86400.0, Kind.CLIP: 7 * 86400.0}
"""After which nobody waits for it any more; an event is never too old. Choices."""

# The totals are kept by triggers: they are part of every commit, and no put has to scan the table.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    retain INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS message_kind ON message (kind);
CREATE TABLE IF NOT EXISTS total (
    kind INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER IF NOT EXISTS message_added AFTER INSERT ON message BEGIN
    UPDATE total SET messages = messages + 1, bytes = bytes + length(new.payload) WHERE kind = new.kind;
END;
CREATE TRIGGER IF NOT EXISTS message_removed AFTER DELETE ON message BEGIN
    UPDATE total SET messages = messages - 1, bytes = bytes - length(old.payload) WHERE kind = old.kind;
END;
CREATE TABLE IF NOT EXISTS remembered (name TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS reply (id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT UNIQUE, payload BLOB NOT NULL);
"""

# In WAL mode NORMAL survives kill -9 but not a power cut, and units lose power: an event that was put must be there
# when the lights come back.
_DURABLY = "PRAGMA synchronous = FULL"
# For what a power cut may undo: a message that was delivered is then delivered again.
_SWIFTLY = "PRAGMA synchronous = NORMAL"

REPLIES = 500
"""How many replies are remembered."""

# In memory: states come every minute for years, and a memory card does not; and a monotonic time means nothing to the
# next process.
_MEMORY = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE latest (topic TEXT PRIMARY KEY, id INTEGER NOT NULL, kind INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TEMP TABLE put (id INTEGER PRIMARY KEY, monotonic_s REAL NOT NULL);
CREATE TEMP TRIGGER message_forgotten AFTER DELETE ON message BEGIN DELETE FROM put WHERE id = old.id; END;
CREATE TEMP TRIGGER latest_forgotten AFTER DELETE ON latest BEGIN DELETE FROM put WHERE id = old.id; END;
"""


class _DamagedError(sqlite3.DatabaseError):
    """Damage that a check found, rather than a statement that stumbled over it."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class Outbox:
    """Store and forward, and the events and alarms that are open; survives ``kill -9`` and power cuts.

    One process owns the file, any of its threads may call. A damaged file is set aside as ``*.corrupt``
    (only the latest, so that a dying disk is not filled) and a new one begun: a unit that forgot its
    queue is better than one that cannot start.

    Parameters
    ----------
    path
        The database file; its folder is made when missing.
    max_bytes
        Cap on the payloads held. Beyond it the oldest messages of the least important kind are dropped
        and counted, as are those beyond :data:`MAX_SHARE` and :data:`MAX_AGE_S` of their kind. Age counts from
        the put, or from when this process took over what another left: clocks of units are set and may be wrong.

    Raises
    ------
    OutboxOwnedError
        The file belongs to another process.
    OutboxError
        It cannot be opened or written.
    """

    def __init__(self, path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._mutex = threading.RLock()
        self._listener: Callable[[], None] = _nobody
        self._last_id = 0
        self._opened_s = time.monotonic()
        self.set_aside: Path | None = None
        self._db: sqlite3.Connection | None = None
        self._owner_fd = _own(path)
        try:
            self._commit(lambda _: None)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(
        self,
        *messages: Message,
        remember: Mapping[str, str] = MappingProxyType({}),
        forget: str | None = None,
        answered: str | None = None,
    ) -> None:
        """Commit messages, and what is to be remembered with them, in one transaction.

        Parameters
        ----------
        messages
            Queued in this order. Of retained messages that are no events only the latest on a topic means
            anything: it takes the place of one still undelivered, and waits in memory. A unit that is
            started anew says such things again.
        remember
            Records by name, such as that of an open event, in the caller's own encoding.
        forget
            The name of a record that is of no use any more.
        answered
            The request that the first message replies to: :meth:`reply_to` knows it from now on, until
            :data:`REPLIES` others have come.
        """

        def work(db: sqlite3.Connection) -> None:
            db.execute(_DURABLY)
            for message in messages:
                self._insert(db, message)
            db.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?)", remember.items())
            if forget is not None:
                db.execute("DELETE FROM remembered WHERE name = ?", (forget,))
            if answered is not None:
                db.execute(
                    "INSERT OR REPLACE INTO reply (request_id, payload) VALUES (?, ?)", (answered, messages[0].payload)
                )
                db.execute("DELETE FROM reply WHERE id <= (SELECT max(id) FROM reply) - ?", (REPLIES,))
            self._enforce_limits(db)

        self._commit(work)
        self._listener()

    def pending(self, limit: int, *, skip: Collection[int] = ()) -> list[Stored]:
        """At most `limit` undelivered messages but those in `skip`, by priority, then oldest first."""
        columns = "id, topic, payload, kind, {}, (SELECT monotonic_s FROM put WHERE put.id = {}.id)"
        unless = f"WHERE id NOT IN ({','.join('?' * len(skip))})"
        # Each half comes in order by an index or is small: with a long queue, sorting would take all the time there is.
        query = (
            f"SELECT {columns.format('retain', 'message')} FROM message {unless} UNION ALL "
            f"SELECT {columns.format('1', 'latest')} FROM latest {unless} ORDER BY 4, 1 LIMIT ?"
        )
        rows = self._commit(lambda db: db.execute(query, (*skip, *skip, limit)).fetchall())
        return [
            Stored(number, Message(topic, payload, Kind(kind), bool(retain)), put_s)
            for number, topic, payload, kind, retain, put_s in rows
        ]

    def delete(self, *ids: int) -> None:
        """Forget delivered messages; numbers that are gone already are ignored."""
        numbers = [(number,) for number in ids]

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SWIFTLY)
            in_memory = db.executemany("DELETE FROM latest WHERE id = ?", numbers).rowcount
            if in_memory < len(numbers):
                db.executemany("DELETE FROM message WHERE id = ?", numbers)

        self._commit(work)

    def recall(self, name: str) -> str | None:
        """The record of a name, None when there is none."""
        row = self._commit(lambda db: db.execute("SELECT record FROM remembered WHERE name = ?", (name,)).fetchone())
        return None if row is None else str(row[0])

    def recall_all(self, prefix: str) -> list[str]:
        """The records of names that begin so, in order of the names."""
        query = "SELECT record FROM remembered WHERE substr(name, 1, ?) = ? ORDER BY name"
        rows = self._commit(lambda db: db.execute(query, (len(prefix), prefix)).fetchall())
        return [str(record) for (record,) in rows]

    def reply_to(self, request_id: str) -> bytes | None:
        """What was replied to a request, None if it is not remembered."""
        row = self._commit(
            lambda db: db.execute("SELECT payload FROM reply WHERE request_id = ?", (request_id,)).fetchone()
        )
        return None if row is None else bytes(row[0])

    def depth(self) -> int:
        """Number of messages that wait."""
        (latest,) = self._commit(lambda db: db.execute("SELECT count(*) FROM latest").fetchone())
        return sum(self._totals("messages").values()) + int(latest)

    def drops(self) -> dict[Kind, int]:
        """Messages dropped over the limits of size and age since the file was begun, by kind."""
        return self._totals("dropped")

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every put, on the thread that put; it must not block."""
        self._listener = listener

    def close(self) -> None:
        """Give the file up to the next owner."""
        with self._mutex:
            if self._db is not None:
                self._db.close()
            if self._owner_fd >= 0:
                os.close(self._owner_fd)
                self._owner_fd = -1

    def _totals(self, column: str) -> dict[Kind, int]:
        rows = self._commit(lambda db: db.execute(f"SELECT kind, {column} FROM total").fetchall())
        return {Kind(kind): count for kind, count in rows}

    def _insert(self, db: sqlite3.Connection, message: Message) -> None:
        # SQLite would give the number of a deleted message to the next one, and the late
        # acknowledgement of the first would then delete the second undelivered.
        self._last_id += 1
        db.execute("INSERT INTO put VALUES (?, ?)", (self._last_id, time.monotonic()))
        if message.retain and message.kind is not Kind.EVENT:
            db.execute("DELETE FROM latest WHERE topic = ?", (message.topic,))
            db.execute(
                "INSERT INTO latest VALUES (?, ?, ?, ?)",
                (message.topic, self._last_id, message.kind, message.payload),
            )
            return
        db.execute(
            "INSERT INTO message (id, kind, topic, payload, retain) VALUES (?, ?, ?, ?, ?)",
            (self._last_id, message.kind, message.topic, message.payload, message.retain),
        )

    def _enforce_limits(self, db: sqlite3.Connection) -> None:
        for kind, max_age_s in MAX_AGE_S.items():
            while (put_s := self._oldest_s(db, kind)) is not None and time.monotonic() - put_s > max_age_s:
                self._drop_oldest(db, kind)
        held = dict(db.execute("SELECT kind, bytes FROM total"))
        for kind in Kind:
            while held[kind] > MAX_SHARE[kind] * self._max_bytes:
                held[kind] -= self._drop_oldest(db, kind)
        for kind in reversed(Kind):
            while held[kind] and sum(held.values()) > self._max_bytes:
                held[kind] -= self._drop_oldest(db, kind)

    def _oldest_s(self, db: sqlite3.Connection, kind: Kind) -> float | None:
        """When the oldest message of a kind was put, or taken over; None where there is none."""
        (number,) = db.execute("SELECT min(id) FROM message WHERE kind = ?", (kind,)).fetchone()
        if number is None:
            return None
        row = db.execute("SELECT monotonic_s FROM put WHERE id = ?", (number,)).fetchone()
        return self._opened_s if row is None else float(row[0])

    @staticmethod
    def _drop_oldest(db: sqlite3.Connection, kind: Kind) -> int:
        """Drop one message and count it; gives the bytes that makes free."""
        oldest = "id = (SELECT min(id) FROM message WHERE kind = ?)"
        (size,) = db.execute(f"SELECT length(payload) FROM message WHERE {oldest}", (kind,)).fetchone()
        db.execute(f"DELETE FROM message WHERE {oldest}", (kind,))
        db.execute("UPDATE total SET dropped = dropped + 1 WHERE kind = ?", (kind,))
        return int(size)

    def _commit(self, work: Callable[[sqlite3.Connection], T], *, mend: bool = True) -> T:
        with self._mutex:
            try:
                if self._db is None:
                    self._db = self._connect()
                with self._db:
                    return work(self._db)
            except sqlite3.Error as error:
                if not (mend and _is_damage(error)):
                    raise _cannot_use(self._path, error) from error
                self._set_aside(error)
            return self._commit(work, mend=False)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_DURABLY)
            _check(db)
            db.executescript(_SCHEMA)
            db.executescript(_MEMORY)
            with db:
                db.executemany("INSERT OR IGNORE INTO total (kind) VALUES (?)", [(kind,) for kind in Kind])
            (last_id,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        except BaseException:
            db.close()
            raise
        self._last_id = max(self._last_id, last_id)
        return db

    def _set_aside(self, error: sqlite3.Error) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        aside = self._path.with_name(self._path.name + ".corrupt")
        # The journal goes with its database: left behind, it would be played into the new one.
        for suffix in ("-wal", "-shm", ""):
            source = self._path.with_name(self._path.name + suffix)
            target = aside.with_name(aside.name + suffix)
            target.unlink(missing_ok=True)
            if source.exists():
                source.replace(target)
        self.set_aside = aside
        log.error(
            "%s: the queue is damaged (%s); set aside as %s and begun anew",
            self._path,
            error,
            aside.name,
            extra=coded(Code.OUTBOX_DAMAGED),
        )


@dataclass(frozen=True)
class Stock:
    """What a queue holds of one kind.

    Attributes
    ----------
    messages, bytes
        Those that wait; of retained states only a running unit knows.
    dropped
        Messages dropped over the limits since the file was begun.
    """

    messages: int
    bytes: int
    dropped: int


def take_stock(path: Path) -> dict[Kind, Stock]:
    """Count what waits in a queue, by kind, without owning it or changing it.

    Raises
    ------
    OutboxError
        If it is not there, or cannot be read.
    """
    # Without a journal beside it nobody writes to it, and SQLite need not make one for a reader.
    journal = path.with_name(path.name + "-wal")
    options = "mode=ro" if journal.exists() else "mode=ro&immutable=1"
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)
        try:
            rows = db.execute("SELECT kind, messages, bytes, dropped FROM total").fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise _cannot_use(path, error) from error
    return {Kind(kind): Stock(*counts) for kind, *counts in rows}


def own_queue(path: Path) -> Callable[[], None]:
    """Keep every other process from a queue, without opening it.

    Returns
    -------
    callable
        Gives it up again; so does the end of this process.

    Raises
    ------
    OutboxOwnedError
        It belongs to another process.
    OutboxError
        Its folder cannot be written.
    """
    fd = _own(path)
    return lambda: os.close(fd)


def _nobody() -> None:
    """Listen to nothing."""


def _own(path: Path) -> int:
    """Lock the database for this process; the kernel gives it up when the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise _cannot_use(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OutboxOwnedError(
            "the queue belongs to another running process",
            where=path,
            fix="stop the other hydroear, or give this one a state_dir of its own",
        ) from None
    return fd


def _check(db: sqlite3.Connection) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _DamagedError(verdict)


def _is_damage(error: sqlite3.Error) -> bool:
    # The low byte is the primary result code (sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _cannot_use(path: Path, error: Exception) -> OutboxError:
    return OutboxError(
        f"the queue cannot be used: {error}",
        where=path,
        fix="check the folder's owner and the free disk space",
    )
