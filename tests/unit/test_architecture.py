"""The shape of the project: which way imports run, and what a unit need not have installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hydroear.model import SHIPPED_BUNDLE
from listening import health, write

ROOT = Path(__file__).parents[2]
TRAINER_ONLY = ["tensorflow", "keras", "sklearn", "soundfile", "matplotlib", "tqdm", "librosa"]

DAEMON_MODULES = sorted(
    ".".join(path.relative_to(ROOT / "daemon").with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "daemon" / "hydroear").rglob("*.py")
    if path.stem != "__main__"
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_run_the_way_the_contracts_say() -> None:
    lint = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_every_module_of_the_daemon_imports_without_what_only_the_trainer_needs() -> None:
    """A fresh interpreter in which these packages are absent, as on a unit."""
    script = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({TRAINER_ONLY!r}))
for name in {DAEMON_MODULES!r}:
    importlib.import_module(name)
"""
    imports = run(sys.executable, "-W", "error", "-c", script)
    assert imports.returncode == 0, imports.stderr


def test_a_replay_does_not_wait_for_imports_it_can_do_without() -> None:
    """scipy.signal alone takes as long to import, and as much memory, as everything that is needed."""
    unneeded = ["scipy.signal", "scipy.stats", "paho", "sounddevice"]
    script = f"import sys, hydroear.app.replay; print([name for name in {unneeded!r} if name in sys.modules])"
    assert run(sys.executable, "-c", script).stdout == "[]\n"


def test_a_unit_without_a_microcontroller_does_without_the_bridge() -> None:
    script = "import sys, hydroear.app.unit, hydroear.selftest; print('hydroear_bridge' in sys.modules)"
    assert run(sys.executable, "-c", script).stdout == "False\n"


@pytest.mark.parametrize("root", ["daemon", "train", "firmware_bridge"])
def test_a_source_root_is_no_package(root: str) -> None:
    """An ``__init__.py`` there would shadow packages of the same name, such as python-daemon."""
    assert (ROOT / root).is_dir()
    assert not (ROOT / root / "__init__.py").exists()


def test_a_unit_that_scores_has_imported_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """Each of these costs memory for as long as the unit runs, and time before it hears."""
    heavy = ["scipy", "sounddevice", "paho", "asyncio", "multiprocessing"]
    recording = write(tmp_path / "pipe.wav", health())
    script = f"""
import sys
from hydroear import cli
import hydroear.app.unit
assert cli.main(["replay", "--bundle", {str(SHIPPED_BUNDLE)!r}, "--json", {str(recording)!r}]) == 0
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = run(sys.executable, "-c", script)
    assert '"scored": true' in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
