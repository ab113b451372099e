"""The bench's end of a measurement: processes that time tasks, each in its environment."""

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)


class Worker:
    """A script that ends in :func:`stopwatch.serve`, on one thread, for the length of a ``with``.

    Parameters
    ----------
    python
        The interpreter, and with it the environment.
    script
        Name of the script in this folder.
    arguments
        Its arguments.
    """

    def __init__(self, python: Path, script: str, *arguments: object) -> None:
        command = [str(python), str(HERE / script), *map(str, arguments)]
        self._process = subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()

    def seconds(self, task: str, repetitions: int) -> list[float]:
        """Run a task some times; what each took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(task, repetitions, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise subprocess.CalledProcessError(self._process.wait(), self._process.args)
        seconds: list[float] = json.loads(answer)
        return seconds


def interleaved(tasks: Mapping[str, tuple[Worker, str]], *, rounds: int, repetitions: int) -> dict[str, list[float]]:
    """Time tasks in turn, so that what disturbs the machine disturbs all; the first round warms up and is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(1 + rounds):
        for name, (worker, task) in tasks.items():
            taken = worker.seconds(task, repetitions)
            if turn:
                seconds[name] += taken
    return seconds
