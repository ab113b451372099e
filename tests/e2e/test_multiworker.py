"""Workers in processes of their own train one network, and memory does not grow with the corpus."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training_worker
from bench.training_memory import peak_mib
from broker import free_port

STEPS = 10
# Measured: 3e-7. Sums in another order, and moments that several workers take as E(x²) − E(x)².
LOSS_TOLERANCE = 1e-4


def start(cache: Path, *, config: str | None = None, dying_step: int = -1) -> subprocess.Popen[str]:
    environment = os.environ | ({} if config is None else {"TF_CONFIG": config})
    command = [sys.executable, training_worker.__file__, cache, STEPS, dying_step, 60]
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def pair(cache: Path, *, dying_step: int = -1) -> list[subprocess.Popen[str]]:
    """Two workers on loopback; the second kills itself before a step."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    return [
        start(
            cache,
            config=json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}),
            dying_step=dying_step if index == 1 else -1,
        )
        for index in range(2)
    ]


def outcome(worker: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two runs of one worker alone, with a cache each, gave."""
    return [outcome(worker) for worker in [start(tmp_path_factory.mktemp("alone")) for _ in range(2)]]


def test_the_same_seed_gives_the_same_weights(twice: list[dict[str, Any]]) -> None:
    assert twice[0] == twice[1]
    assert twice[0]["losses"][-1] < twice[0]["losses"][0]


def test_two_workers_learn_what_one_learns_with_the_same_batches(twice: list[dict[str, Any]], tmp_path: Path) -> None:
    alone = twice[0]
    first, second = [outcome(worker) for worker in pair(tmp_path)]
    assert (first["chief"], second["chief"]) == (True, False)
    assert first["weights"] == second["weights"]
    assert first["losses"] == second["losses"]
    np.testing.assert_allclose(first["losses"], alone["losses"], rtol=LOSS_TOLERANCE)
    np.testing.assert_allclose(first["answers"], alone["answers"], rtol=0.01)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_worker_that_dies_ends_the_other_with_a_clear_error(tmp_path: Path) -> None:
    survivor, dying = pair(tmp_path, dying_step=3)
    dying.communicate(timeout=120)
    assert dying.returncode == -signal.SIGKILL
    died_s = time.monotonic()
    _, err = survivor.communicate(timeout=60)
    assert time.monotonic() - died_s < 45
    assert survivor.returncode == 1
    errors = [line for line in err.splitlines() if line.startswith("worker: error:")]
    assert len(errors) == 1, err
    assert "another worker ended" in errors[0]
    assert "Traceback" not in err


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """Ten times the audio is 66 MiB more of it. Measured: 6 to 17 MiB more for 165 MiB of audio."""
    small, large = peak_mib(2.0, tmp_path), peak_mib(20.0, tmp_path)
    assert large - small < 30.0
