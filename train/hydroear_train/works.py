"""Work that is kept when it is done: each piece once, several at a time, gone on with after an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from tqdm import tqdm

from hydroear.errors import HydroearError
from hydroear_train.processes import run_each


class Work(Protocol):
    """A piece of work; must be picklable."""

    @property
    def name(self) -> str:
        """What people call it; no two the same."""

    @property
    def is_done(self) -> bool:
        """Whether what it gives is kept."""

    def do(self) -> None:
        """Do it, and keep what it gives."""


def do_each(works: Sequence[Work], *, title: str, unit: str, jobs: int, quiet: bool) -> None:
    """Do those that are not done yet, each in a process of its own with one thread.

    Parameters
    ----------
    title, unit
        What is done, and what a piece is called, for who looks on.
    jobs
        How many at once.
    quiet
        Whether to show no progress.

    Raises
    ------
    HydroearError
        If one fails, or the code changes meanwhile.
    """
    if not works:
        return
    left = {work.name: work.do for work in works if not work.is_done}
    with (
        tqdm(total=len(works), initial=len(works) - len(left), desc=title, unit=unit, disable=quiet) as bar,
        closing(run_each(left, jobs=jobs, tick=bar.refresh)) as done,
    ):
        for name in done:
            bar.set_postfix_str(name, refresh=False)
            bar.update()
    if not all(work.is_done for work in works):
        raise HydroearError(
            "the code changed while it ran", where=title, fix="run it again; what the present code gave is kept"
        )
