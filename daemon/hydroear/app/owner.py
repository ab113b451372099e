"""Whose files those of a unit are."""

from __future__ import annotations

import os
from pathlib import Path

from hydroear.errors import UsageError


def check_user(state_dir: Path) -> None:
    """Refuse the superuser: files that he makes in another user's folder, that user's daemon could not open.

    Raises
    ------
    UsageError
        If this is the superuser and the folder is another's.
    """
    if os.geteuid() == 0 and state_dir.exists() and (owner := state_dir.stat().st_uid) != 0:
        raise UsageError(
            f"the folder belongs to user {owner}", where=state_dir, fix="run as that user, the daemon's own"
        )
