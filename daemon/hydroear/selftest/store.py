"""The stage of the state folder: room, rights, and the queue in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hydroear.errors import OutboxError, OutboxOwnedError
from hydroear.outbox import Outbox
from hydroear.outbox.outbox import DEFAULT_MAX_BYTES
from hydroear.selftest.finding import Finding, Result

LITTLE_BYTES = 4 * DEFAULT_MAX_BYTES
"""Free space below which a queue that fills up leaves too little for anything else."""
_PROBE_BYTES = 1 << 16


@dataclass(frozen=True)
class Store:
    """The state folder, as it was found.

    Attributes
    ----------
    path
        The folder.
    free_bytes
        Free space for this user.
    waiting
        Messages in the queue; None if a running daemon owns it.
    set_aside
        Where a damaged queue was put; None if there was none.
    """

    path: Path
    free_bytes: int
    waiting: int | None
    set_aside: Path | None

    @property
    def owned(self) -> bool:
        """Whether a running daemon owns the queue."""
        return self.waiting is None


def visit_store(state_dir: Path, outbox_path: Path) -> Store:
    """Write to the folder, and open the queue.

    Nothing that was not there is left behind: files that another user makes, the daemon could not open. Where there is
    no queue yet, one is made and removed in a temporary folder beside.

    Raises
    ------
    OutboxError
        If the folder cannot be written, or the queue not opened.
    """
    folder = state_dir
    try:
        while not folder.exists():
            folder = folder.parent
        with tempfile.TemporaryDirectory(prefix=".selftest-", dir=folder) as probe:
            _write(Path(probe) / "probe")
            with Outbox(outbox_path if outbox_path.exists() else Path(probe) / outbox_path.name) as outbox:
                waiting, set_aside = outbox.depth(), outbox.set_aside
    except OutboxOwnedError:
        waiting, set_aside = None, None
    except OSError as error:
        raise OutboxError(
            f"cannot be written: {error.strerror}",
            where=folder,
            expected="a folder that this user may write, with free space",
            fix="check its owner and the free disk space, or run as the service's user",
        ) from error
    return Store(state_dir, shutil.disk_usage(folder).free, waiting, set_aside)


def judge_store(store: Store) -> Finding:
    """A folder that works, and how much room is in it."""
    queue = "the daemon is running" if store.owned else f"{store.waiting} message(s) wait"
    measured = f"{store.path} can be written, {store.free_bytes / 2**20:,.0f} MiB free, {queue}"
    expected = f"at least {LITTLE_BYTES / 2**20:.0f} MiB free"
    values = {"free_bytes": store.free_bytes, "waiting": store.waiting}
    if store.set_aside is not None:
        measured += f"; a damaged queue was set aside as {store.set_aside.name}"
        return Finding("state", Result.WARN, measured, "a sound queue", "check the disk or the card", values)
    if store.free_bytes < LITTLE_BYTES:
        return Finding("state", Result.WARN, measured, expected, "free space, or use another disk", values)
    return Finding("state", Result.PASS, measured, expected, values=values)


def _write(path: Path) -> None:
    with path.open("wb") as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
