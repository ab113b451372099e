"""The worker's end of a measurement: times tasks on request. Standard library only, for any environment."""

import json
import sys
import time
from collections.abc import Callable, Mapping


def serve(tasks: Mapping[str, Callable[[], object]]) -> None:
    """Answer every line ``TASK REPETITIONS`` on standard input with a JSON list of seconds, until the input ends."""
    for line in sys.stdin:
        name, repetitions = line.split()
        print(json.dumps([_seconds(tasks[name]) for _ in range(int(repetitions))]), flush=True)


def _seconds(task: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    task()
    return time.perf_counter() - began_s
