"""Whenever a unit is killed while bundles come and go, it starts again, with one that scores."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hydroear.app.probation import start_model
from hydroear.config.loader import load_config
from hydroear.model import choose_runtime
from hydroear.model.slots import SlotStore
from hydroear.score import Scorer
from signed import key_pair, signed

TESTS = Path(__file__).parents[1]
KILLS = 24


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A unit that trusts a key, with a factory's bundle of release 1."""
    unit = {
        "unit": "u",
        "bundle": str(signed(tmp_path, 1)),
        "state_dir": str(tmp_path / "state"),
        "sensors": [{"id": "pipe", "source": {"type": "wav", "files": ["pipe.wav"]}}],
        "models": {"trusted_keys": [str(key_pair(tmp_path)[1])], "shadow_windows": 2, "probation_windows": 3},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(unit))
    return tmp_path / "config.yaml"


def command(config: Path, work: str) -> list[str]:
    return [sys.executable, str(TESTS / "model_worker.py"), str(config), str(config.parent), work]


def test_a_kill_at_any_access_to_the_slots_leaves_a_unit_that_starts_and_takes_bundles(config: Path) -> None:
    done = subprocess.run(command(config, "sweep"), capture_output=True, text=True, check=False, timeout=240.0)
    assert done.returncode == 0, done.stderr
    boots = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(boots) >= 40
    assert {boot["then"] for boot in boots} == {"release-9"}
    # Never the factory's: a bundle that was confirmed stays to go back to; never one that failed, or that was not heard
    # beside the one before.
    assert {boot["runs"] for boot in boots} == {"release-2", "release-3", "release-4"}
    confirmed = [boot["confirmed"] for boot in boots]
    assert confirmed == sorted(confirmed)
    assert (confirmed[0], confirmed[-1]) == (2, 3)
    assert "forgotten" not in done.stderr


def test_kills_at_random_moments_leave_a_unit_that_starts(config: Path) -> None:
    rng, runtime = random.Random(5), choose_runtime()
    unit = load_config(config)
    confirmed, names = 0, set()
    for _ in range(KILLS):
        process = subprocess.Popen(command(config, "loop"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        time.sleep(rng.uniform(0.0, 0.8))
        process.send_signal(signal.SIGKILL)
        _, stderr = process.communicate()
        assert process.returncode == -signal.SIGKILL, stderr
        assert "forgotten" not in stderr
        model = start_model(unit, runtime)
        Scorer(model.bundle, runtime).check_golden()
        names.add(model.bundle.name)
        slots = SlotStore(unit.models_dir).load()
        assert slots.highest_confirmed >= confirmed
        confirmed = slots.highest_confirmed
    assert confirmed > 2
    assert len(names) > 3
    assert all(re.fullmatch(r"release-\d+", name) for name in names)
