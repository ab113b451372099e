"""A unit whose sensor is gone for too long ends with a failure, for systemd to start it again."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hydroear.model import SHIPPED_BUNDLE
from virtual_microphone import virtual_microphone

RATE_HZ = 16_000
NOISE = np.random.default_rng(1).normal(0.0, 0.01, 60 * RATE_HZ)


def run(folder: Path, *sources: dict[str, Any], timeout_s: float = 40.0) -> subprocess.CompletedProcess[str]:
    config = {
        "unit": "hill-street",
        "bundle": str(SHIPPED_BUNDLE),
        "state_dir": str(folder / "state"),
        "sensors": [{"id": f"s{k}", "source": source} for k, source in enumerate(sources)],
    }
    (folder / "unit.yaml").write_text(yaml.safe_dump(config))
    line = [sys.executable, "-m", "hydroear.cli", "run", "--json", "-c", str(folder / "unit.yaml")]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=timeout_s)


def microphone(name: str, **more: object) -> dict[str, Any]:
    return {"type": "microphone", "device": f"alsa:{name}", "stall_s": 0.5, **more}


def test_a_unit_whose_only_sensor_is_given_up_fails(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path, NOISE):
        began_s = time.monotonic()
        done = run(tmp_path, microphone("absent", give_up_after_s=4))
    assert done.returncode == 1
    assert time.monotonic() - began_s > 4.0
    assert re.search(
        r"s0: given up: nothing heard for \d s; alsa:absent: no such device; inputs are: alsa:leakmic", done.stderr
    )
    assert "Traceback" not in done.stderr


def test_it_fails_though_another_sensor_is_heard(tmp_path: Path) -> None:
    with virtual_microphone(tmp_path, NOISE):
        done = run(tmp_path, microphone("leakmic"), microphone("absent", give_up_after_s=6))
    assert done.returncode == 1
    assert '"sensor": "s0", "window": 1,' in done.stdout
    assert "s1: given up: " in done.stderr


def test_patience_counts_from_the_last_sample(tmp_path: Path) -> None:
    """A program that sends a little and ends, so that pauses double until one is longer than the patience of 5 s."""
    script = "import sys; sys.stdout.buffer.write(bytes(3200)); sys.stdout.flush()"
    began_s = time.monotonic()
    done = run(tmp_path, {"type": "pipe", "command": [sys.executable, "-c", script], "give_up_after_s": 5})
    assert done.returncode == 1
    assert time.monotonic() - began_s > 0.5 + 1.0 + 2.0 + 4.0 + 5.0
    assert "given up: nothing heard for" in done.stderr


@pytest.mark.parametrize("give_up_after_s", [0, 3600])
def test_a_sensor_may_be_waited_for(tmp_path: Path, give_up_after_s: float) -> None:
    with virtual_microphone(tmp_path, NOISE), pytest.raises(subprocess.TimeoutExpired):
        run(tmp_path, microphone("absent", give_up_after_s=give_up_after_s), timeout_s=8.0)
