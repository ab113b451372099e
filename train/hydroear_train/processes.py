"""Work spread over processes: each piece in one of its own, which knows nothing of the pieces before it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from hydroear.errors import HydroearError

_ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_TICK_S = 1.0


class LostProcessError(HydroearError):
    """A process that ended without a word."""


def run_each(works: Mapping[str, Callable[[], None]], *, jobs: int, tick: Callable[[], None]) -> Generator[str]:
    """Do work in processes, one thread each: another number of threads would round sums differently.

    All of them end with this process, however it ends, and when the iterator is closed.

    Parameters
    ----------
    works
        What to do, by name; must be picklable.
    jobs
        How many processes at once, at least 1.
    tick
        Called about once a second while they work.

    Yields
    ------
    str
        Names of works, as they are done.

    Raises
    ------
    HydroearError
        The first that a work raised.
    LostProcessError
        If a process ended in another way.
    """
    waiting = list(works.items())[::-1]
    running: dict[Connection, tuple[str, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, work = waiting.pop()
                receiver, process = _start(work)
                running[receiver] = name, process
            ready = wait(list(running), timeout=_TICK_S)
            for receiver in [receiver for receiver in running if receiver in ready]:
                name, process = running[receiver]
                error = _outcome(name, receiver, process)
                del running[receiver]
                if error:
                    raise error
                yield name
            tick()
    finally:
        for receiver, (_, process) in running.items():
            process.kill()
            process.join()
            receiver.close()


def _start(work: Callable[[], None]) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # Pickled here, so that nothing is imported there before the number of threads is set.
    process = context.Process(target=_work, args=(pickle.dumps(work), sender), daemon=True)
    process.start()
    sender.close()
    return receiver, process


def _outcome(name: str, receiver: Connection, process: SpawnProcess) -> HydroearError | None:
    """What a process that has ended says; None if its work is done."""
    try:
        error: HydroearError | None = receiver.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        error = LostProcessError(
            f"its process ended ({how})", where=name, fix="see above what it said, free memory or run fewer at once"
        )
    process.join()
    receiver.close()
    return error


def _work(pickled: bytes, sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent ends us.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # TensorFlow's chatter is no result.
    os.environ.update(_ONE_THREAD)
    work: Callable[[], None] = pickle.loads(pickled)
    code = 0
    try:
        work()
    except HydroearError as error:
        sender.send(error)
    except Exception:
        traceback.print_exc()
        code = 1
    else:
        sender.send(None)
    sys.stderr.flush()
    os._exit(code)  # Threads of TensorFlow's that wait for ever would keep the interpreter from ending.


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
