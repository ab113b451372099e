"""A bundle's way by the command line: signed by the trainer, installed, calibrated, tried out, kept or left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hydroear.model import SHIPPED_BUNDLE
from hydroear.outbox import Outbox
from listening import DECISION, command, health, hydroear, json_lines, said, write
from signed import key_pair, signed, unsigned

Unit = Callable[..., Path]


def trainer(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "hydroear_train.cli", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    """Makes the configuration of a unit that hears a minute of a healthy pipe, as fast as it can."""
    recording = write(tmp_path / "health.wav", health(60.0, seed=1))

    def make(bundle: Path, *, trusted: bool = True, **models: Any) -> Path:
        config = {
            "unit": "u",
            "bundle": str(bundle),
            "state_dir": str(tmp_path / "state"),
            "sensors": [{"id": "pipe", "source": {"type": "wav", "files": [str(recording)], "speed": 0}}],
            "decision": DECISION,
            "models": {
                "trusted_keys": [str(key_pair(tmp_path)[1])] if trusted else [],
                "shadow_windows": 0,
                "probation_windows": 40,
                **models,
            },
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        return tmp_path / "config.yaml"

    return make


def model(action: str, config: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return hydroear("model", action, "-c", config, *more)


def status(config: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(model("status", config, "--json").stdout)
    return told


def run(config: Path) -> str:
    """Run the unit to the end of its recording; what it said."""
    done = hydroear("run", "-c", config, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json_lines(done.stdout, "window")) > 50
    return "\n".join(said(done.stderr))


def calibrate(config: Path, *options: object) -> dict[str, Any]:
    done = hydroear("calibrate", "-c", config, "--sensor", "pipe", "--for", "50s", "--json", *options)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def bundle_stage(config: Path) -> tuple[int, dict[str, Any]]:
    done = hydroear("selftest", "-c", config, "--json")
    stages = json.loads(done.stdout)["stages"]
    return done.returncode, next(stage for stage in stages if stage["stage"] == "bundle")


def test_a_bundle_is_signed_installed_calibrated_tried_out_and_kept(tmp_path: Path, unit: Unit) -> None:
    key, public = key_pair(tmp_path)
    factory, new = tmp_path / "factory.hydroear", unsigned(tmp_path, "new")
    assert trainer("sign", SHIPPED_BUNDLE, "--key", key, "--release", 1, "--out", factory).returncode == 0
    assert trainer("sign", new, "--key", key, "--release", 2).returncode == 0
    assert trainer("verify", new, "--key", public).returncode == 0
    config = unit(factory)
    calibrate(config)

    installed = model("install", config, new)
    assert installed.returncode == 0, installed.stderr
    assert "hydroear calibrate -c" in installed.stdout
    assert "is installed already" in model("install", config, new).stdout
    assert "waits until it is calibrated for pipe" in model("status", config).stdout
    assert "new waits in slot a until it is calibrated for pipe" in run(config)
    assert status(config)["active"] is None

    learned = calibrate(config, "--model", "candidate")
    told = status(config)
    assert Path(learned["out"]).parent == Path(told["slots"]["a"]["calibrations"])
    assert (learned["bundle"], told["waits_for"]) == (told["slots"]["a"]["sha256"], [])
    said_at_work = run(config)
    assert "new on probation, start 1 of 3" in said_at_work
    assert "confirmed" in said_at_work
    assert (status(config)["active"], status(config)["slots"]["a"]["phase"]) == ("a", "confirmed")
    code, stage = bundle_stage(config)
    assert code == 0
    assert (stage["values"]["release"], stage["values"]["slot"], stage["values"]["phase"]) == (2, "a", "confirmed")

    old = signed(tmp_path, 2, name="old")
    refused = model("install", config, old)
    assert refused.returncode == 1
    assert "release 2 is not newer than release 2" in refused.stderr

    assert model("rollback", config).returncode == 0
    assert "* factory" in model("status", config).stdout
    assert "rolled back by hand" in model("status", config).stdout
    assert run(config) == ""


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: unsigned(folder, "new"), "new.hydroear: not signed; expected a signature of key"),
        (lambda folder: signed(folder, 1, key="stranger"), "release-1.hydroear: signed with key"),
    ],
)
def test_a_unit_that_trusts_a_key_runs_nothing_else(
    tmp_path: Path, unit: Unit, make: Callable[[Path], Path], told: str
) -> None:
    config = unit(make(tmp_path))
    for verb in (["run"], ["calibrate", "--sensor", "pipe", "--for", "50s"]):
        done = hydroear(verb[0], "-c", config, *verb[1:])
        (line,) = said(done.stderr)
        assert done.returncode == 1
        assert told in line
    code, stage = bundle_stage(config)
    assert (code, stage["result"]) == (1, "fail")
    assert told.partition(";")[0] in stage["measured"]


def test_a_unit_that_trusts_no_key_says_that_it_asks_for_no_signature(unit: Unit) -> None:
    code, stage = bundle_stage(unit(SHIPPED_BUNDLE, trusted=False))
    assert code == 0
    assert "no signature asked for" in stage["measured"]


def test_a_key_that_is_missing_is_told_and_nothing_runs(tmp_path: Path, unit: Unit) -> None:
    done = hydroear("run", "-c", unit(signed(tmp_path, 1), trusted_keys=["gone.pub"]))
    assert done.returncode == 2
    assert f"{tmp_path}/gone.pub: cannot be read" in done.stderr


def test_a_calibration_stays_valid_when_its_bundle_is_signed(tmp_path: Path, unit: Unit) -> None:
    bundle = tmp_path / "b.hydroear"
    bundle.write_bytes(SHIPPED_BUNDLE.read_bytes())
    calibrate(unit(bundle, trusted=False))
    assert trainer("sign", bundle, "--key", key_pair(tmp_path)[0], "--release", 1).returncode == 0
    assert run(unit(bundle)) == ""


def test_a_model_that_fails_at_work_ends_the_unit_and_the_next_start_is_without_it(tmp_path: Path, unit: Unit) -> None:
    config = unit(signed(tmp_path, 1))
    new = signed(tmp_path, 2)
    assert model("install", config, new, "--without-calibration").returncode == 0
    failing = (
        "import sys, itertools, hydroear.model.runtime as r, hydroear.cli as cli\n"
        "work, calls = r.Model.__call__, itertools.count()\n"
        "def fail(self, values):\n"
        "    if next(calls) >= 20: raise RuntimeError('Node number 7 failed to invoke')\n"
        "    return work(self, values)\n"
        "r.Model.__call__ = fail\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", failing, *command("run", "-c", config, "--json")[3:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a model fails on a window (Node number 7 failed to invoke)" in done.stderr
    assert "Node number 7" in status(config)["slots"]["a"]["reason"]
    assert run(config) == ""


def test_a_unit_that_is_killed_too_often_goes_back(tmp_path: Path, unit: Unit) -> None:
    config = unit(signed(tmp_path, 1), probation_windows=100_000)
    assert model("install", config, signed(tmp_path, 2), "--without-calibration").returncode == 0
    for start in (1, 2, 3):
        assert f"on probation, start {start} of 3" in run(config)
    assert "slot a: release-2 rolled back: started 3 times" in run(config)
    assert status(config)["active"] is None


def test_a_unit_that_cannot_run_beside_another_counts_no_start(tmp_path: Path, unit: Unit) -> None:
    config = unit(signed(tmp_path, 1))
    assert model("install", config, signed(tmp_path, 2), "--without-calibration").returncode == 0
    with Outbox(tmp_path / "state" / "outbox.sqlite"):
        done = hydroear("run", "-c", config)
    assert done.returncode == 1
    assert "belongs to another running process" in done.stderr
    assert status(config)["slots"]["a"]["phase"] == "candidate"


@pytest.mark.parametrize("action", ["confirm", "rollback"])
def test_what_cannot_be_done_by_hand_is_one_line(tmp_path: Path, unit: Unit, action: str) -> None:
    done = model(action, unit(signed(tmp_path, 1)))
    (line,) = said(done.stderr)
    assert done.returncode == 2
    assert f"model {action}: " in line
