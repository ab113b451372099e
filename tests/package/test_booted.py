"""The package on a machine that runs systemd: this machine's own Debian, booted in a box."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from box import ROOT, SERVICE, Box, why_not
from debian import package
from hydroear.model import SHIPPED_BUNDLE

TIMER = "hydroear-selftest.timer"
HISS = """\
import os, sys, time
while True:
    sys.stdout.buffer.write(b"".join(bytes((low, 255 * (low % 2))) for low in os.urandom(1600)))
    sys.stdout.buffer.flush()
    time.sleep(0.1)
"""


class BareBox(Box):
    """One that nothing of hydroear is installed in."""

    def _install(self) -> None:
        (self.root / "etc/systemd/system/default.target").symlink_to("/lib/systemd/system/multi-user.target")
        (self.root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)  # keeps packages from starting anything

    def _binds(self) -> list[str]:
        return []

    def dpkg(self, *arguments: str | Path) -> str:
        """Run dpkg; packages are files of this machine."""
        for argument in arguments:
            if isinstance(argument, Path):
                self.write(f"srv/{argument.name}", argument.read_bytes())
        return self.run("dpkg", *(f"/srv/{a.name}" if isinstance(a, Path) else a for a in arguments))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BareBox]:
    if reason := why_not(tmp_path):
        pytest.skip(f"no systemd can be booted here: {reason}")
    folder = tmp_path / "box"
    folder.mkdir()
    box = BareBox(folder, "hydroear-package")
    box.boot()
    yield box
    box.close()


@pytest.fixture
def deb() -> Path:
    """The package for this machine."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    arch = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    return package(release["VERSION_CODENAME"], arch)


def configure(box: BareBox) -> None:
    """What the engineer does."""
    box.write("srv/hiss.py", HISS)
    box.write("etc/hydroear/model.hydroear", SHIPPED_BUNDLE.read_bytes())
    source: dict[str, Any] = {"type": "pipe", "command": ["/usr/bin/python3", "/srv/hiss.py"]}
    config = {"unit": "unit-1", "bundle": "model.hydroear", "sensors": [{"id": "pipe", "source": source}]}
    box.write("etc/hydroear/config.yaml", yaml.safe_dump(config))


def state(box: BareBox) -> tuple[str, str]:
    return box.show("UnitFileState"), box.show("ActiveState")


def test_the_service_follows_the_package(box: BareBox, deb: Path, tmp_path: Path) -> None:
    said = box.dpkg("--install", deb)
    assert "systemctl start hydroear" in said
    assert state(box) == ("enabled", "inactive")  # there is nothing to hear yet
    assert box.show("UnitFileState", TIMER) == "enabled"
    assert "The broker is not reached" in box.run("journalctl", "--list-catalog", "df1ae54fe2e05d78b78ede7b4e3fcda0")

    configure(box)
    box.run("systemctl", "start", SERVICE)
    box.wait_until_ready()
    first = box.main_pid()
    archive = tmp_path / "support.tar.gz"
    box.run("hydroear", "support", "--out", "/srv/support.tar.gz")
    archive.write_bytes((box.root / "srv/support.tar.gz").read_bytes())
    names = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout
    assert all(name in names for name in ("service.log", "service.txt", "live.jsonl", "kernel.log"))

    box.dpkg("--install", deb)
    box.wait_until_ready()
    assert box.main_pid() != first
    assert box.show("ActiveState", TIMER) == "active"

    box.dpkg("--remove", "hydroear")
    assert box.show("ActiveState") == "inactive"
    assert (box.root / "var/lib/private/hydroear").is_dir()
    box.dpkg("--install", deb)
    box.wait_until_ready()
    box.dpkg("--purge", "hydroear")
    assert box.show("LoadState") == "not-found"
    assert not any((box.root / "var/lib" / name).exists() for name in ("hydroear", "private/hydroear"))
    assert not (box.root / "etc/hydroear").exists()


def test_a_unit_is_calibrated_before_its_first_start_and_after(box: BareBox, deb: Path) -> None:
    box.dpkg("--install", deb)
    configure(box)
    calibrate = ("hydroear", "calibrate", "-c", "/etc/hydroear/config.yaml", "--sensor", "pipe", "--for", "70s")
    learned = box.root / "var/lib/private/hydroear/site/pipe.json"
    box.run(*calibrate, "--accept-anyway")  # hiss is no pipe
    box.run("systemctl", "start", SERVICE)
    box.wait_until_ready()
    first = learned.read_bytes()
    box.run("systemctl", "stop", SERVICE)
    lent = (f"-p{name}" for name in ("DynamicUser=yes", "User=hydroear", "StateDirectory=hydroear"))
    box.run("systemd-run", "--pipe", "--wait", *lent, *calibrate, "--accept-anyway")
    assert learned.read_bytes() != first
    box.run("systemctl", "start", SERVICE)
    box.wait_until_ready()


def test_the_script_installs_what_the_package_does(box: BareBox) -> None:
    source = box.root / "srv/hydroear"
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "dist", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored)
    script = ("env", "PYTHON=/usr/bin/python3", "/srv/hydroear/systemd/install.sh")
    assert "systemctl start hydroear" in box.run(*script)
    assert state(box) == ("enabled", "inactive")
    configure(box)
    box.run("systemctl", "start", SERVICE)
    box.wait_until_ready()
    first = box.main_pid()
    assert box.run(*script).endswith("hydroear runs\n")
    box.wait_until_ready()
    assert box.main_pid() != first
    assert box.run("/usr/local/bin/hydroear", "--version").startswith("hydroear ")
    box.run("/srv/hydroear/systemd/uninstall.sh")
    assert (box.root / "etc/hydroear/config.yaml").exists()
    for _ in range(2):
        box.run("/srv/hydroear/systemd/uninstall.sh", "--purge")
    assert box.show("LoadState") == "not-found"
    for gone in ("etc/hydroear", "opt/hydroear", "var/lib/private/hydroear", "usr/local/bin/hydroear"):
        assert not (box.root / gone).exists()
