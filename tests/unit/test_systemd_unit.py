"""The service units in the judgement of systemd itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted([*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.timer")])
EXECUTABLE = "ExecStart=/opt/hydroear/bin/hydroear "

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as installed: verify wants the executable to exist, so that of this test takes its place."""
    assert (SYSTEMD / "hydroear.service").read_text().count(EXECUTABLE) == 1
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(EXECUTABLE, f"ExecStart={sys.executable} "))
    return tmp_path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_to_complain_about(installed: Path, unit: Path) -> None:
    result = analyze("verify", installed / unit.name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_misspelt_option_would_be_found(installed: Path) -> None:
    unit = installed / "hydroear.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", unit).stderr  # and yet the exit status is 0


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_exposure_is_at_most_two_of_ten(installed: Path, unit: Path) -> None:
    result = analyze("security", "--offline=true", "--threshold=20", "--no-pager", installed / unit.name)
    assert result.returncode == 0, result.stdout + result.stderr
