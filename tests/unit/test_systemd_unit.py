"""The service unit in the judgement of systemd itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd/hydroear.service"
EXECUTABLE = "ExecStart=/opt/hydroear/bin/hydroear "

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as installed: verify wants the executable to exist, so that of this test takes its place."""
    text = UNIT.read_text()
    assert text.count(EXECUTABLE) == 1
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(EXECUTABLE, f"ExecStart={sys.executable} "))
    return copy


def test_systemd_finds_nothing_to_complain_about(unit: Path) -> None:
    result = analyze("verify", unit)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_misspelt_option_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", unit).stderr  # and yet the exit status is 0


def test_exposure_is_at_most_two_of_ten(unit: Path) -> None:
    result = analyze("security", "--offline=true", "--threshold=20", "--no-pager", unit)
    assert result.returncode == 0, result.stdout + result.stderr
