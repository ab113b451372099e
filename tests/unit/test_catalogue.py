"""Every message has a code, and every code says in the journal's catalogue what it means and what to do."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hydroear.codes import Code

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "systemd/hydroear.catalog"
LEVELS = {"info", "warning", "error", "exception", "critical", "log"}
ENTRY = re.compile(r"# ([a-z-]+)\n-- ([0-9a-f]{32})\nSubject: ([^\n]+)\nDefined-By: hydroear\n\n(.+)", re.DOTALL)


def log_calls(path: Path) -> list[ast.Call]:
    """Where a module logs more than what helps its programmers."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    loggers = ("log", "_log", "logging.getLogger(__name__)")
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS and ast.unparse(call.func.value) in loggers
    ]


def test_everything_that_is_logged_has_a_code() -> None:
    calls = [(path, call) for path in (ROOT / "daemon/hydroear").rglob("*.py") for call in log_calls(path)]
    assert len(calls) > 30
    without = [(path, call) for path, call in calls if "extra" not in {keyword.arg for keyword in call.keywords}]
    assert [f"{path}:{call.lineno}" for path, call in without] == []


def test_every_code_is_used() -> None:
    source = "".join(path.read_text() for path in (ROOT / "daemon/hydroear").rglob("*.py") if path.name != "codes.py")
    assert [code for code in Code if f"Code.{code.name}" not in source] == []


def test_the_catalogue_explains_every_code_and_no_other() -> None:
    _, *entries = CATALOGUE.read_text().split("\n\n# ")
    parts = [match.groups() for entry in entries if (match := ENTRY.fullmatch(f"# {entry}"))]
    assert [(code, number) for code, number, _, _ in parts] == [(code.value, code.message_id) for code in Code]
    for code, _, subject, text in parts:
        assert subject
        assert "Do: " in text or "There is nothing to do" in " ".join(text.split()), f"{code}: what is to be done?"


@pytest.mark.skipif(not shutil.which("journalctl"), reason="journalctl is not installed")
def test_the_journal_takes_the_catalogue(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOGUE, folder)
    subprocess.run(["journalctl", "--update-catalog", f"--root={tmp_path}"], check=True)
    command = ["journalctl", f"--root={tmp_path}", "--no-pager", "--list-catalog"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(line.split(" ", 1)[0] for line in listed) == sorted(code.message_id for code in Code)
