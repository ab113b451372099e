"""What the packages are made of can still be had."""

from __future__ import annotations

import subprocess
import sys

from debian import ROOT


def test_the_dependencies_resolve_for_every_release_and_processor_to_what_is_listed() -> None:
    command = [sys.executable, ROOT / "systemd/deb/resolve.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
