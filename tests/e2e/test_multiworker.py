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
from hydroear_train.simulate import write_corpus

STEPS = 10
# Measured: 3e-7. Sums in another order, and moments that several workers take as E(x²) − E(x)².
LOSS_TOLERANCE = 1e-4
# Measured: 5e-4 after 60 steps of a network of many more layers.
FIT_TOLERANCE = 5e-3

# What the gate lets through after a few steps: an early layer and a narrow autoencoder.
QUICK = """\
front_end: {n_mels: 32, high_hz: 4000.0, window_frames: 32, window_hop_frames: 16}
extractor: {alpha: 0.35, steps: 60, pairs: 16, validation_pairs: 128, frames_averaged: 4, layers: [block_1_expand_relu]}
pretext: {condition: 0.02, mixup: 0.2, supervised: true}
autoencoder: {components: 6, hidden: 48, bottleneck: 2, epochs: 10, windows: 1000}
"""


def start(cache: Path, *, config: str | None = None, dying_step: int = -1) -> subprocess.Popen[str]:
    environment = os.environ | ({} if config is None else {"TF_CONFIG": config})
    command = [sys.executable, training_worker.__file__, cache, STEPS, dying_step, 60]
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def cluster() -> list[str]:
    """``TF_CONFIG`` of two workers on loopback."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    return [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}) for index in range(2)
    ]


def pair(cache: Path, *, dying_step: int = -1) -> list[subprocess.Popen[str]]:
    """Two workers on loopback; the second kills itself before a step."""
    return [
        start(cache, config=config, dying_step=dying_step if index == 1 else -1)
        for index, config in enumerate(cluster())
    ]


def start_fit(corpus: Path, out: Path, *options: object, config: str | None = None) -> subprocess.Popen[str]:
    """``hydroear-train fit`` of a bundle ``quick``."""
    recipe = corpus.parent / "quick.yaml"
    recipe.write_text(QUICK)
    command = [
        sys.executable, "-m", "hydroear_train.cli", "fit", "--manifest", corpus / "manifest.csv", "--recipe", recipe,
        "--out", out, "--name", "quick", "--quiet", *options,
    ]  # fmt: skip
    environment = os.environ | ({} if config is None else {"TF_CONFIG": config})
    return subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(worker: subprocess.Popen[str]) -> str:
    """What a worker that ended well wrote to standard output."""
    out, err = worker.communicate(timeout=240)
    assert worker.returncode == 0, err
    return out


def extractor_losses(run: Path) -> list[float]:
    losses: list[float] = json.loads((run / "metrics.json").read_text())["curves"]["extractor loss"]
    return losses


def outcome(worker: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "corpus"
    write_corpus(folder, sites=3, recordings_per_site=3, duration_s=12.0, leak_fraction=0.34, seed=4)
    return folder


@pytest.fixture(scope="module")
def streamed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one worker that streamed from shards beside it."""
    run = tmp_path_factory.mktemp("runs") / "streamed"
    worker = start_fit(corpus, run, "--cache", run / "cache")
    _, err = worker.communicate(timeout=240)
    assert (worker.returncode, err) == (0, "")
    return run


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


def test_a_bundle_from_shards_that_are_there_already_has_the_same_bytes(
    corpus: Path, streamed: Path, tmp_path: Path
) -> None:
    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (streamed / "cache").rglob("*.tfrecord")}

    before = written()
    finished(start_fit(corpus, tmp_path / "again", "--cache", streamed / "cache"))
    assert written() == before
    assert (tmp_path / "again" / "quick.hydroear").read_bytes() == (streamed / "quick.hydroear").read_bytes()


def test_two_fits_together_give_the_loss_curve_of_one_and_one_bundle(
    corpus: Path, streamed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "together"
    workers = [start_fit(corpus, run, "--strategy", "multiworker", "--json", config=config) for config in cluster()]
    first, second = [finished(worker) for worker in workers]
    assert json.loads(first)["bundle"] == str(run / "quick.hydroear")
    assert second == ""
    np.testing.assert_allclose(extractor_losses(run), extractor_losses(streamed), rtol=FIT_TOLERANCE)
    assert {path.name for path in run.iterdir()} == {
        "cache", "curves.png", "metrics.json", "quick.hydroear", "recipe.json",
    }  # fmt: skip


def test_a_worker_without_a_cluster_is_refused(corpus: Path, tmp_path: Path) -> None:
    worker = start_fit(corpus, tmp_path / "run", "--strategy", "multiworker")
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert err.startswith("hydroear-train: error: TF_CONFIG: not set")


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
