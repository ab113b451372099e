"""Work in processes: at once, one thread each, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from hydroear.errors import UsageError
from hydroear_train.corpus import read_manifest
from hydroear_train.processes import LostProcessError, run_each

SLEEPER = "import os, time, pathlib; pathlib.Path({!r}).write_text(str(os.getpid())); time.sleep(600)"


def nothing() -> None:
    """The tick of who does not look at the clock."""


def wait_until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + 20.0
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline_s, "it is still there"
        time.sleep(0.05)


def test_works_run_at_once_where_asked_to_and_else_in_turn(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    # Either end of a FIFO waits for the other.
    meeting = {
        "reader": partial(Path.read_text, tmp_path / "fifo"),
        "writer": partial(Path.write_text, tmp_path / "fifo", "x"),
    }
    assert set(run_each(meeting, jobs=2, tick=nothing)) == {"reader", "writer"}
    chain = {"first": partial(os.mkdir, tmp_path / "a"), "second": partial(os.mkdir, tmp_path / "a/b")}
    assert list(run_each(chain, jobs=1, tick=nothing)) == ["first", "second"]


def test_each_computes_with_one_thread(tmp_path: Path) -> None:
    code = (
        "import numpy, pathlib, threadpoolctl as t;"
        f"pathlib.Path({str(tmp_path / 'out')!r}).write_text(str([p['num_threads'] for p in t.threadpool_info()]))"
    )
    assert list(run_each({"work": partial(exec, code)}, jobs=1, tick=nothing)) == ["work"]
    assert (tmp_path / "out").read_text() == "[1]"


def test_an_error_comes_through_as_it_was_raised_and_ends_the_others(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import time, pathlib\nwhile not pathlib.Path({str(pid)!r}).exists(): time.sleep(0.02)\n"
    works = {
        "sleeper": partial(exec, SLEEPER.format(str(pid))),
        "quick": partial(exec, code),
        "wrong": partial(read_manifest, Path("gone.csv")),
    }
    names = run_each(works, jobs=2, tick=nothing)
    assert next(names) == "quick"
    with pytest.raises(UsageError, match=r"^gone\.csv: cannot be read") as caught:
        next(names)
    assert caught.value.where == "gone.csv"
    wait_until_gone(int(pid.read_text()))


@pytest.mark.parametrize(
    ("work", "how"),
    [
        (partial(os._exit, 3), "exit code 3"),
        (partial(signal.raise_signal, signal.SIGKILL), "killed by SIGKILL"),
        (
            partial(exec, "import threading, time\nthreading.Thread(target=time.sleep, args=[600]).start()\n1 / 0"),
            "code 1",
        ),
    ],
)
def test_a_process_that_ends_without_a_word_is_named(work: partial[None], how: str) -> None:
    with pytest.raises(LostProcessError, match=f"seed 1: its process ended \\(.*{how}\\)"):
        list(run_each({"seed 1": work}, jobs=1, tick=nothing))


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = (
        "import sys; from functools import partial; from hydroear_train.processes import run_each;"
        "list(run_each({'sleeper': partial(exec, sys.argv[1])}, jobs=1, tick=lambda: None))"
    )
    with subprocess.Popen([sys.executable, "-c", script, SLEEPER.format(str(pid))]) as parent:
        while not (pid.exists() and pid.read_text()):
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    wait_until_gone(int(pid.read_text()))
