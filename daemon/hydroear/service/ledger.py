"""How often a service has failed in a row, so that one that fails at once is not started again at once for ever."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

GOOD_RUN_S = 60.0
"""A run that lasts for so long has not failed at its start."""
LONGEST_S = 60.0


class StartLedger:
    """The starts of a service since the boot, in a file that ends with it.

    systemd itself waits equally long after every failure until version 254 (``RestartSteps=``).

    Parameters
    ----------
    folder
        The service's runtime folder, which must outlive a restart; None where there is none, and no start has to wait.
    clock_s
        Time since the boot, in seconds.
    """

    def __init__(self, folder: Path | None, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._path = None if folder is None else folder / "starts.json"
        self._clock_s = clock_s
        self.failures = self._count()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> StartLedger:
        """That of the folder in ``RUNTIME_DIRECTORY`` (systemd.exec(5))."""
        folder = environment.get("RUNTIME_DIRECTORY")
        return cls(Path(folder) if folder else None)

    @property
    def wait_s(self) -> float:
        """How long this start should wait: 1 s after one failure, twice as long after each further one, up to 60 s."""
        return 0.0 if self.failures == 0 else min(LONGEST_S, 2.0 ** min(self.failures - 1, 10))

    def begin(self) -> None:
        """The start begins now; until :meth:`end` it counts as one that fails."""
        if self._path is not None:
            self._path.write_text(json.dumps({"failures": self.failures, "began_s": self._clock_s()}))

    def end(self) -> None:
        """The service was ended in order."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _count(self) -> int:
        """Starts in a row, up to the last one, that did not last."""
        if self._path is None:
            return 0
        try:
            last = json.loads(self._path.read_bytes())
            lasted = self._clock_s() - float(last["began_s"]) >= GOOD_RUN_S
            return 0 if lasted else int(last["failures"]) + 1
        except (OSError, ValueError, KeyError, TypeError):
            return 0
