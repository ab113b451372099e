"""Evidence on disk: within its budget, the worst goes first, and whatever the disk does, listening goes on."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hydroear.codes import Code, coded
from hydroear.config.schema import Evidence
from hydroear.wholefile import PARTIAL, whole_file

log = logging.getLogger(__name__)

RECORDS_BYTES = 4 * 10**6
"""Budget of the records, of which each has a few thousand bytes."""

_MB = 10**6


class Kind(StrEnum):
    """What is kept of an event, each kind with a budget of its own."""

    CLIP = "clip"
    PICTURE = "picture"
    RECORD = "record"


_KINDS = {".wav": Kind.CLIP, ".flac": Kind.CLIP, ".png": Kind.PICTURE, ".json": Kind.RECORD}


@dataclass(frozen=True)
class _Kept:
    path: Path
    size: int
    rank: tuple[bool, float, float]
    """The higher the better: whether the event is open, its score, when the file was written."""


class EvidenceStore:
    """Files of evidence, ``FOLDER/SENSOR/EVENT.wav`` (or ``.flac``), ``.png`` and ``.json``.

    What is there is read from the folder whenever something is added, so that it may be emptied by hand, unmounted or
    copied away at any time. One thread at a time may call :meth:`put`; :meth:`hold` and :meth:`release` never wait for
    the disk.

    Parameters
    ----------
    folder
        Where the files are; made when the first is written. The folder around it must be there.
    settings
        The budgets.

    Attributes
    ----------
    counts
        By sensor and by what became of them, how many files were kept, each under its :class:`Kind`, were ``evicted``
        to make room, ``refused`` for want of room, or ``failed``.
    """

    def __init__(self, folder: Path, settings: Evidence) -> None:
        self._folder = folder
        self._budgets = {
            Kind.CLIP: settings.clips_mb * _MB,
            Kind.PICTURE: settings.pictures_mb * _MB,
            Kind.RECORD: RECORDS_BYTES,
        }
        self._keep_free = settings.keep_free_mb * _MB
        self._mutex = threading.Lock()
        self._open: frozenset[str] = frozenset()
        self._scores: dict[str, float] = {}
        self._complaint: str | None = None
        self.counts: Counter[tuple[str, str]] = Counter()

    def wants(self, kind: Kind) -> bool:
        """Whether any of this kind are kept at all."""
        return self._budgets[kind] > 0

    def hold(self, event_id: str) -> None:
        """The event is open: its evidence goes last."""
        with self._mutex:
            self._open |= {event_id}

    def release(self, event_id: str) -> None:
        """The event is closed."""
        with self._mutex:
            self._open -= {event_id}

    def clean(self) -> None:
        """Remove what a process that was killed left half written."""
        try:
            for path in self._folder.glob(f"*/.*{PARTIAL}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            self._complain(f"the folder cannot be tidied ({error.strerror})")

    def put(self, sensor: str, event_id: str, score: float, suffix: str, data: bytes) -> Path | None:
        """Keep one file, whole or not at all, in the place of worse ones if it must be.

        Parameters
        ----------
        sensor, event_id
            Whose evidence it is.
        score
            Site score of the event, in decades: the higher, the longer it is kept.
        suffix
            ``.wav``, ``.flac``, ``.png`` or ``.json``.
        data
            What the file holds.

        Returns
        -------
        Path or None
            Where it is; None where it could not be kept, which is counted, and logged the first time.
        """
        folder, kind = self._folder / sensor, _KINDS[suffix]
        path = folder / f"{event_id}{suffix}"
        self._scores[event_id] = score
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            want = self._make_room(kind, event_id, score, len(data))
            if want:
                self.counts[sensor, "refused"] += 1
                self._complain(want)
                return None
            with whole_file(path, mode=0o600) as out:
                out.write(data)
        except OSError as error:
            self.counts[sensor, "failed"] += 1
            self._complain(f"{path.name} cannot be kept ({error.strerror or error})")
            return None
        self._complaint = None
        self.counts[sensor, kind] += 1
        return path

    def _make_room(self, kind: Kind, event_id: str, score: float, size: int) -> str:
        """Evict what is worse than a new file of an event; says what is wanting if that is not enough."""
        kept = [file for file in self._kept(kind) if file.path.stem != event_id]
        disk = os.statvfs(self._folder)
        over_budget = sum(file.size for file in kept) + size - self._budgets[kind]
        under_floor = self._keep_free + size - disk.f_bavail * disk.f_frsize
        victims = []
        new_rank = (event_id in self._open, score, float("inf"))
        for file in sorted(kept, key=lambda file: file.rank):
            if max(over_budget, under_floor) <= 0 or file.rank >= new_rank:
                break
            victims.append(file)
            over_budget -= file.size
            under_floor -= file.size
        if over_budget > 0:
            return f"a {kind} of {size} bytes has no place in its budget beside those of worse events"
        if under_floor > 0:
            return f"the disk would have less than {self._keep_free // _MB} MB free"
        for file in victims:
            file.path.unlink(missing_ok=True)
            self.counts[file.path.parent.name, "evicted"] += 1
        return ""

    def _kept(self, kind: Kind) -> Iterator[_Kept]:
        for path in self._folder.glob("*/*"):
            if _KINDS.get(path.suffix) is kind and not path.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # taken away by hand just now
                    status = path.stat()
                    rank = (path.stem in self._open, self._score(path), status.st_mtime)
                    yield _Kept(path, status.st_size, rank)

    def _score(self, path: Path) -> float:
        """The score of the event that a file is of, from its record; 0 where that is gone."""
        if path.stem not in self._scores:
            try:
                self._scores[path.stem] = float(json.loads(path.with_suffix(".json").read_bytes())["score_decades"])
            except (OSError, ValueError, KeyError, TypeError):
                self._scores[path.stem] = 0.0
        return self._scores[path.stem]

    def _complain(self, what: str) -> None:
        # A full disk stays full: it is told once, and again only after something could be kept.
        if self._complaint is None:
            log.warning(
                "%s: evidence is not kept: %s; listening goes on",
                self._folder,
                what,
                extra=coded(Code.EVIDENCE_LOST),
            )
        self._complaint = what
