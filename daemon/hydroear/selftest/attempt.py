"""One try at something that may fail, crash or hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from hydroear.errors import HydroearError
from hydroear.selftest.finding import Finding, Result, failure

T = TypeVar("T")


def attempt(stage: str, limit_s: float, work: Callable[[], T]) -> T | Finding:
    """Do the work on a thread of its own.

    Parameters
    ----------
    stage
        Whose row a failure becomes.
    limit_s
        How long to wait; work that hangs is left behind on its thread, which does not outlive the process.
    work
        Measures something.

    Returns
    -------
    T or Finding
        What the work returned, or why it did not return.
    """
    outcomes: SimpleQueue[T | Finding] = SimpleQueue()

    def run() -> None:
        try:
            outcomes.put(work())
        except HydroearError as error:
            outcomes.put(failure(stage, error))
        except Exception as error:
            what = f"unexpected {type(error).__name__}: {error}"
            outcomes.put(Finding(stage, Result.FAIL, what, fix="report this to the makers of hydroear"))

    threading.Thread(target=run, name=f"selftest-{stage}", daemon=True).start()
    try:
        return outcomes.get(timeout=max(0.0, limit_s))
    except Empty:
        return Finding(stage, Result.FAIL, "hangs", f"an end within {limit_s:.0f} s", "restart the unit if this recurs")
