"""Slots A and B for installed bundles: which of them runs, and what becomes of one that fails.

The configured bundle is the factory's. It runs where no slot is active, so that a unit always has something to score
with. A bundle that is installed becomes a *candidate* in the slot that is not active, and is scored beside the one at
work, as its shadow. A start activates it, on *probation*; once it has scored for long enough it is *confirmed*. One
that fails is *bad*, and the unit goes back to the other slot if that is confirmed, to the factory's bundle if not.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args

from hydroear.codes import Code, coded
from hydroear.config.schema import Config
from hydroear.errors import BundleError, UsageError
from hydroear.model.bundle import Bundle, parse_bundle, read_content, write_content
from hydroear.model.signature import PublicKey
from hydroear.wholefile import whole_file

log = logging.getLogger(__name__)

Slot = Literal["a", "b"]
Step = Literal["installed", "shadowing", "shadowed", "withdrawn", "activated", "confirmed", "rolled-back"]

MAX_STARTS = 3
"""How often a bundle on probation is started: a unit that ends each time before it is confirmed will not get there. And
how often one is begun to be scored beside that at work by a unit that dies of it each time.
"""

_SCHEMA = "hydroear/models/1"


class Phase(StrEnum):
    """How far an installed bundle has come."""

    CANDIDATE = "candidate"
    PROBATION = "probation"
    CONFIRMED = "confirmed"
    BAD = "bad"


@dataclass(frozen=True)
class Installed:
    """A bundle in a slot.

    Attributes
    ----------
    name, sha256
        Of the bundle.
    release
        Number of its release, signed with it; None where no signature was asked for.
    phase
        How far it has come.
    starts
        How often it was started on probation. Of a candidate, how often it was begun to be scored beside the bundle at
        work by a unit that then did not end in order.
    without_calibration
        Whether it may be activated for sensors that have no calibration for it.
    reason
        Why it is bad; empty if it is not.
    shadowed
        Whether it was scored beside the bundle at work for long enough, and stood it.
    shadow
        How it compared with that bundle so far, by sensor; to be told, as JSON values.
    """

    name: str
    sha256: str
    release: int | None
    phase: Phase = Phase.CANDIDATE
    starts: int = 0
    without_calibration: bool = False
    reason: str = ""
    shadowed: bool = False
    shadow: Mapping[str, Any] = field(default_factory=dict)

    def is_same_as(self, other: Installed) -> bool:
        """Whether it is the same bundle, installed under the same conditions, however far each has come."""

        def identity(installed: Installed) -> tuple[object, ...]:
            return installed.name, installed.sha256, installed.release, installed.without_calibration

        return identity(self) == identity(other)


@dataclass(frozen=True)
class Change:
    """What became of an installed bundle last.

    Attributes
    ----------
    step
        What became of it.
    name, sha256, release
        Which bundle.
    reason
        Why; empty where it went well.
    time
        When it was written to the disk, in ISO 8601 with a time zone; empty before.
    """

    step: Step
    name: str
    sha256: str
    release: int | None
    reason: str = ""
    time: str = ""

    @classmethod
    def of(cls, step: Step, installed: Installed) -> Change:
        """A step of an installed bundle."""
        return cls(step, installed.name, installed.sha256, installed.release, installed.reason)


@dataclass(frozen=True)
class Slots:
    """What is installed; every method gives the slots as they are afterwards.

    Attributes
    ----------
    a, b
        What is in each slot; None for nothing.
    active
        The slot that runs; None for the factory's bundle.
    highest_confirmed
        The highest release number that was ever confirmed; 0 before.
    last
        What changed last; None before anything was installed.
    """

    a: Installed | None = None
    b: Installed | None = None
    active: Slot | None = None
    highest_confirmed: int = 0
    last: Change | None = None

    @property
    def inactive(self) -> Slot:
        """The slot that a bundle is installed in."""
        return "b" if self.active == "a" else "a"

    @property
    def running(self) -> Installed | None:
        """The bundle of the active slot."""
        return None if self.active is None else self.get(self.active)

    @property
    def candidate(self) -> Installed | None:
        """The bundle that waits to be activated."""
        found = self.get(self.inactive)
        return found if found is not None and found.phase is Phase.CANDIDATE else None

    def get(self, slot: Slot) -> Installed | None:
        """What is in a slot."""
        return self.a if slot == "a" else self.b

    def put(self, slot: Slot, installed: Installed | None) -> Slots:
        """Put something into a slot."""
        return replace(self, a=installed) if slot == "a" else replace(self, b=installed)

    def _step(self, step: Step, slot: Slot, installed: Installed) -> Slots:
        return replace(self.put(slot, installed), last=Change.of(step, installed))

    def admitted(self, new: Installed, *, factory_release: int = 0) -> Slots:
        """A candidate comes into the slot that is not active.

        Parameters
        ----------
        new
            The candidate.
        factory_release
            Release number of the configured bundle; 0 where it has none.

        Raises
        ------
        BundleError
            If its release is older than what has run well: that would bring back what was mended since. Or if the
            running bundle is on probation: it needs the other slot to go back to.
        """
        newest = max(self.highest_confirmed, factory_release)
        if new.release is not None and new.release <= newest:
            raise BundleError(
                f"release {new.release} is not newer than release {newest}, which this unit has",
                where=new.name,
                expected=f"{newest + 1} or higher",
                fix="sign it again with a higher number",
            )
        if self.running is not None and self.running.phase is Phase.PROBATION:
            raise BundleError(
                f"{self.running.name} in slot {self.active} is on probation and needs the other slot to go back to",
                where=new.name,
                fix="wait until it is confirmed, or give hydroear model confirm or rollback",
            )
        return self._step("installed", self.inactive, new)

    def shadowing(self) -> Slots:
        """The candidate begins to be scored beside the bundle at work, or is given up if units have died of that."""
        candidate = self.candidate
        if candidate is None:
            return self
        if candidate.starts >= MAX_STARTS:
            return self.withdrawn(
                f"{candidate.starts} times the unit died while this model was scored beside the one at work"
            )
        return self._step("shadowing", self.inactive, replace(candidate, starts=candidate.starts + 1, shadow={}))

    def compared(self, shadow: Mapping[str, Any]) -> Slots:
        """How the candidate compares so far."""
        candidate = self.candidate
        return self if candidate is None else self.put(self.inactive, replace(candidate, shadow=shadow))

    def interrupted(self) -> Slots:
        """The unit ends in order, and with it the scoring of the candidate: that speaks against nobody."""
        candidate = self.candidate
        if candidate is None:
            return self
        return self.put(self.inactive, replace(candidate, starts=max(0, candidate.starts - 1)))

    def shadowed(self) -> Slots:
        """The candidate was scored beside the bundle at work for long enough, and stood it."""
        candidate = self.candidate
        return self if candidate is None else self._step("shadowed", self.inactive, replace(candidate, shadowed=True))

    def started(self, *, ready: str = "") -> Slots:
        """The unit starts: a candidate goes on probation, one that has been started too often is given up.

        Parameters
        ----------
        ready
            SHA-256 of the candidate that may be activated; none may if left out.
        """
        if (candidate := self.candidate) is not None and candidate.sha256 == ready:
            slot = self.inactive
            begun = replace(candidate, phase=Phase.PROBATION, starts=1)
            return replace(self._step("activated", slot, begun), active=slot)
        running = self.running
        if running is None or self.active is None or running.phase is not Phase.PROBATION:
            return self
        if running.starts >= MAX_STARTS:
            return self.rolled_back(f"started {running.starts} times and never scored for long enough to be confirmed")
        return self.put(self.active, replace(running, starts=running.starts + 1))

    def confirmed(self) -> Slots:
        """The bundle on probation has stood it; nothing changes if there is none."""
        running = self.running
        if running is None or self.active is None or running.phase is not Phase.PROBATION:
            return self
        highest = max(self.highest_confirmed, running.release or 0)
        kept = self._step("confirmed", self.active, replace(running, phase=Phase.CONFIRMED))
        return replace(kept, highest_confirmed=highest)

    def rolled_back(self, reason: str) -> Slots:
        """The active bundle is bad: back to the other one if that is confirmed, else to the factory's."""
        running, other = self.running, self.inactive
        if running is None or self.active is None:
            return self
        left = self._step("rolled-back", self.active, replace(running, phase=Phase.BAD, reason=reason))
        before = self.get(other)
        return replace(left, active=other if before is not None and before.phase is Phase.CONFIRMED else None)

    def withdrawn(self, reason: str) -> Slots:
        """The candidate is bad before it was activated; nothing changes if there is none."""
        if self.candidate is None:
            return self
        return self._step("withdrawn", self.inactive, replace(self.candidate, phase=Phase.BAD, reason=reason))

    def to_json(self) -> bytes:
        """As it is written to the disk."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Slots:
        """Read :meth:`to_json`'s bytes.

        Raises
        ------
        ValueError
            If they are anything else.
        """
        try:
            document: Any = json.loads(content)
            if document.pop("schema") != _SCHEMA:
                raise ValueError("another schema")
            installed = {slot: _installed(document[slot]) for slot in ("a", "b")}
            slots = cls(**{**document, **installed, "last": _change(document.get("last"))})
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        if slots.active not in (None, "a", "b") or (slots.active is not None and slots.running is None):
            raise ValueError(f"slot {slots.active!r} is active, and empty")
        if type(slots.highest_confirmed) is not int:
            raise ValueError("a release that is no number")
        return slots


def _installed(fields: dict[str, Any] | None) -> Installed | None:
    if fields is None:
        return None
    installed = Installed(**{**fields, "phase": Phase(fields["phase"])})
    if re.fullmatch("[0-9a-f]{64}", installed.sha256) is None:
        raise ValueError("a bundle without its hash")
    if type(installed.starts) is not int or not (installed.release is None or type(installed.release) is int):
        raise ValueError("a count that is no number")
    if type(installed.shadowed) is not bool or type(installed.shadow) is not dict:
        raise ValueError("a comparison that is none")
    return installed


def _change(fields: dict[str, Any] | None) -> Change | None:
    if fields is None:
        return None
    change = Change(**fields)
    if change.step not in get_args(Step) or (change.time and datetime.fromisoformat(change.time).tzinfo is None):
        raise ValueError("a change that is none")
    return change


class SlotStore:
    """The slots on the disk: ``a.hydroear``, ``b.hydroear`` and ``slots.json`` in a folder.

    Every change is one replacement of ``slots.json``; a bundle is whole on the disk before that names it. So whenever
    the power fails, the slots are those of before or of after.

    Parameters
    ----------
    folder
        Made when something is first installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, slot: Slot) -> Path:
        """The file of a slot."""
        return self._folder / f"{slot}.hydroear"

    def load(self) -> Slots:
        """The slots; empty ones where nothing was ever installed, or where they are damaged, which is logged."""
        path = self._folder / "slots.json"
        try:
            return Slots.from_json(path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning(
                "%s: what is installed is forgotten, and the configured bundle runs: %s; install it again",
                path,
                error,
                extra=coded(Code.MODEL_SLOTS_FAIL),
            )
        return Slots()

    def change(self, change: Callable[[Slots], Slots]) -> Slots:
        """Change the slots, one process at a time.

        Returns
        -------
        Slots
            As they are afterwards.

        Raises
        ------
        BundleError
            If they cannot be written; they are as before then.
        """
        before = self.load()
        if change(before) == before:
            return before
        with self._alone():
            before = self.load()
            after = _timed(before, change(before))
            if after != before:
                self._save(after)
        return after

    def install(self, content: bytes, new: Installed, *, factory_release: int) -> Slots:
        """Put a bundle that was checked into the slot that is not active.

        Parameters
        ----------
        content
            Its file.
        new
            What it is.
        factory_release
            See :meth:`Slots.admitted`.

        Raises
        ------
        BundleError
            If it is not admitted, or cannot be written.
        """
        with self._alone():
            before = self.load()
            after = _timed(before, before.admitted(new, factory_release=factory_release))
            # Emptied first: from here on the file is no longer what the slot was said to hold.
            self._save(before.put(before.inactive, None))
            write_content(self.path(before.inactive), content)
            self._save(after)
        return after

    def _save(self, slots: Slots) -> None:
        with whole_file(self._folder / "slots.json") as out:
            out.write(slots.to_json())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the slots meanwhile; the kernel lets go when this one dies."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BundleError(
                f"cannot be written ({error.strerror})", where=self._folder, fix="free space or check its owner"
            ) from error


def _timed(before: Slots, after: Slots) -> Slots:
    """The slots with the time of their last change, if that is a new one."""
    if after.last is None or after.last == before.last:
        return after
    return replace(after, last=replace(after.last, time=datetime.now(UTC).isoformat(timespec="milliseconds")))


@dataclass(frozen=True)
class Choice:
    """A bundle that a unit may run.

    Attributes
    ----------
    path
        Its file.
    slot
        Where it is installed; None for the configured bundle.
    installed
        What is known of it there; None likewise.
    """

    path: Path
    slot: Slot | None = None
    installed: Installed | None = None

    @property
    def model(self) -> str:
        """By what :class:`hydroear.config.schema.Config` finds the calibrations for it."""
        return "" if self.installed is None else self.installed.sha256

    def read(self, trusted: tuple[PublicKey, ...]) -> Bundle:
        """Read it, and check that it is signed by one of these keys, if there are any.

        Raises
        ------
        BundleError
            If it cannot be used, or is not what was installed.
        """
        bundle = parse_bundle(read_content(self.path), self.path, trusted)
        if self.installed is not None and bundle.sha256 != self.installed.sha256:
            raise BundleError("not the bundle that was installed", where=self.path)
        return bundle


def choose(config: Config, slots: Slots) -> Choice:
    """The bundle that runs with these slots."""
    if slots.active is None:
        return Choice(config.bundle)
    return Choice(SlotStore(config.models_dir).path(slots.active), slots.active, slots.running)


def bundle_to_run(config: Config) -> Choice:
    """The bundle that a unit runs: that of the active slot, or the configured one."""
    return choose(config, SlotStore(config.models_dir).load())


def candidate_to_run(config: Config) -> Choice:
    """The bundle that waits to be activated.

    Raises
    ------
    UsageError
        If none does.
    """
    store = SlotStore(config.models_dir)
    slots = store.load()
    if slots.candidate is None:
        raise UsageError("no bundle waits to be activated", where="--model candidate", fix="install one first")
    return Choice(store.path(slots.inactive), slots.inactive, slots.candidate)


def trusted_keys(config: Config) -> tuple[PublicKey, ...]:
    """The keys of the section ``models``.

    Raises
    ------
    UsageError
        If one cannot be read, or the package that verifies is not installed.
    """
    return tuple(PublicKey.load(path) for path in config.models.trusted_keys)
