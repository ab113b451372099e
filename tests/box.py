"""A unit's machine: this machine's own files under an overlay, booted with systemd as its first process.

systemd-nspawn needs no systemd outside. The box has the network of the machine, so that a broker outside is its broker,
and its own processes, mounts and cgroups. What it writes goes to memory, and stays there over its power cuts.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from broker import wait_for
from hydroear.model import SHIPPED_BUNDLE
from listening import DECISION, RATE_HZ

ROOT = Path(__file__).parents[1]
SERVICE = "hydroear.service"
STATE = "/var/lib/hydroear"
SENSOR = "hydrant-7"
UNIT = "high-street"
PATIENCE_S = 90.0
POLL_S = 0.1
CGROUPS = Path("/sys/fs/cgroup")
DISK = "4G"

PYTHON = Path("/opt/hydroear/python")
"""The interpreter, as the box sees it."""
SOURCE = Path("/opt/hydroear/source")
"""This repository, as the box sees it."""
_PACKAGES = Path("/opt/hydroear/packages")
_BIN = Path("/opt/hydroear/bin")
_ROOTS = ("daemon", "train", "firmware_bridge")
# Its libraries are not where it was built to look for them, which may be in a home that the service does not see.
_INTERPRETER = f"""#!/bin/sh
LD_LIBRARY_PATH={PYTHON}/lib exec {PYTHON}/bin/python{sys.version_info.major}.{sys.version_info.minor} "$@"
"""
_PROGRAM = f"""#!{_BIN}/python
import os, sys
sys.path[1:1] = [{", ".join(f"'{SOURCE}/{root}'" for root in _ROOTS)}, '{_PACKAGES}']
os.environ["PYTHONPATH"] = ":".join(sys.path[1:5])
from hydroear.cli import main
sys.exit(main())
"""


def config(url: str, *, sound: str = "pipe", **sections: Any) -> dict[str, Any]:
    """The configuration of the unit in a box: its broker, the sound of its pipe, and what else a test wants."""
    command = [f"{_BIN}/python", "/opt/hydroear/player.py", f"/opt/hydroear/{sound}.raw"]
    return {
        "unit": UNIT,
        "bundle": str(SOURCE / SHIPPED_BUNDLE.relative_to(ROOT)),
        "sensors": [
            {
                "id": SENSOR,
                "site": "/etc/hydroear/site.json",
                "source": {"type": "pipe", "command": command, "rate_hz": RATE_HZ, "stall_s": 1.0},
            }
        ],
        "decision": {**DECISION, "horizon_s": 3.0, "recheck_s": 1.0, "clear_s": 3.0},
        "publish": {"state_every_s": 5.0, "event_update_every_s": 5.0},
        "mqtt": {"url": url},
        **sections,
    }


def why_not(folder: Path) -> str:
    """Why no box can be booted here; empty if one was, in an empty folder."""
    if os.geteuid() != 0:
        return "that needs root"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed: apt-get install systemd-container"
    try:
        box = Box(folder, "hydroear-box-trial")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no overlay can be mounted: {error}"
    try:
        box.boot()
    except (OSError, AssertionError) as error:
        return f"{error}\n{box.console[-1000:]}"
    finally:
        box.close()
    return ""


class Box:
    """One such machine.

    Parameters
    ----------
    folder
        An empty folder; what the box writes is mounted there.
    name
        Its host name, and that of its cgroup.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.root = folder / "disk" / "root"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        disk = folder / "disk"
        disk.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk)
        for part in ("upper", "work", "root"):
            (disk / part).mkdir()
        layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
        _mount("-t", "overlay", "overlay", "-o", layers, self.root)
        self._forget_services()
        self._install()

    def close(self) -> None:
        """Switch it off and forget what it wrote."""
        self.power_cut()
        for mounted in (self.root, self._folder / "disk"):
            subprocess.run(["umount", "--lazy", mounted], check=False)

    @property
    def console(self) -> str:
        """What its systemd said."""
        return (self._folder / "console.log").read_text(errors="replace")

    def boot(self, *options: str) -> None:
        """Switch it on, with further options of systemd-nspawn; return when it runs."""
        cgroups = self._make_cgroups()
        script = "".join(f"echo $$ > '{group}/cgroup.procs' && " for group in cgroups)
        command = ["systemd-nspawn", "--quiet", "-D", self.root, "-M", self._name, "--register=no", "--keep-unit"]
        command += ["--console=pipe", "--kill-signal=SIGRTMIN+3", "--link-journal=no", *self._binds(), *options]
        command.append("--boot")
        with (self._folder / "console.log").open("ab") as log:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", script + 'exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        wait_for(self._is_up, f"the box to boot:\n{self.console[-2000:]}", timeout_s=PATIENCE_S)

    def power_cut(self) -> None:
        """End every process of it at once."""
        if self._nspawn is None:
            return
        with suppress(ProcessLookupError):
            # The end of the first process is that of all in its namespace (pid_namespaces(7)).
            os.kill(self._leader or self._nspawn.pid, signal.SIGKILL)
        self._clear_up()

    def power_off(self) -> None:
        """Shut it down in order."""
        assert self._nspawn is not None
        self.run("systemctl", "poweroff", check=False)
        self._clear_up()

    def run(self, *command: object, check: bool = True) -> str:
        """Run a program in it, as root, and give what it printed; its complaints too where it may fail."""
        inside = ["nsenter", "--target", str(self._leader), "--all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        done = subprocess.run(
            [*inside, "LC_ALL=C.UTF-8", *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120.0,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.log()}"
            return done.stdout
        return done.stdout + done.stderr

    def show(self, name: str, unit: str = SERVICE) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def main_pid(self) -> int:
        """The daemon's process number, as processes in the box see it; 0 where none runs."""
        return int(self.show("MainPID"))

    def log(self) -> str:
        """The service's journal."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", SERVICE, check=False) if self._nspawn else ""

    def wait_for(self, condition: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S) -> None:
        """Return as soon as a condition holds; fail the test with `what`, the status and the log when it never does."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() >= deadline_s:
                raise AssertionError(
                    f"waited {timeout_s:g} s in vain: {what}; status: {self.show('StatusText')}\n{self.log()[-4000:]}"
                )
            time.sleep(POLL_S)

    def wait_until_ready(self) -> None:
        """Wait until the service says that it is ready."""
        self.wait_for(lambda: self.show("ActiveState") == "active", "the service to be ready")

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the unit's configuration."""
        self.write("etc/hydroear/config.yaml", yaml.safe_dump(dict(config)))

    def write(self, name: str, content: str | bytes, *, mode: int = 0o644) -> None:
        """Write a file of it, with the folders above."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def make_disk(self) -> Path:
        """Another disk, as this machine sees it."""
        disk = self._folder / "disk" / "other"
        disk.mkdir(mode=0o700)
        return disk

    def _forget_services(self) -> None:
        """Keep what this machine runs from running twice."""
        system = self.root / "etc/systemd/system"
        for path in [*system.iterdir(), *self.root.glob("etc/rc?.d/*")]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (self.root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")  # the journal's, the same over power cuts
        shutil.rmtree(self.root / "var/log/journal", ignore_errors=True)
        (self.root / "var/log/journal").mkdir()

    def _binds(self) -> list[str]:
        """Options of systemd-nspawn that show it folders of this machine."""
        folders = {ROOT: SOURCE, sysconfig.get_path("purelib"): _PACKAGES, sys.base_prefix: PYTHON}
        return [f"--bind-ro={outside}:{inside}" for outside, inside in folders.items()]

    def _install(self) -> None:
        """Lay out the files of an installation: the interpreter and the packages of the tests are those of the unit."""
        self.write("opt/hydroear/bin/python", _INTERPRETER, mode=0o755)
        self.write("opt/hydroear/bin/hydroear", _PROGRAM, mode=0o755)
        for folder in (PYTHON, _PACKAGES, SOURCE):
            (self.root / folder.relative_to("/")).mkdir()
        for unit in (*(ROOT / "systemd").glob("*.service"), *(ROOT / "systemd").glob("*.timer")):
            shutil.copy(unit, self.root / "etc/systemd/system")
        shutil.copy(ROOT / "systemd/hydroear.catalog", self.root / "usr/lib/systemd/catalog")
        subprocess.run(["journalctl", "--update-catalog", f"--root={self.root}"], check=True)
        system = self.root / "etc/systemd/system"
        (system / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
        (system / "multi-user.target.wants").mkdir()
        (system / "multi-user.target.wants" / SERVICE).symlink_to(f"/etc/systemd/system/{SERVICE}")

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, self.console
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        for child in children:
            # One that ends within the reading is no such process rather than no such file.
            with suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{child}/comm").read_text().strip() in ("systemd", "init"):
                    self._leader = int(child)
        if not self._leader:
            return False
        # Not "running": the service of the box is that only once it hears.
        return self.run("systemctl", "is-active", "basic.target", check=False).strip() == "active"

    def _make_cgroups(self) -> list[Path]:
        """Groups of its own in every hierarchy of systemd: in none, it would take over those of the machine."""
        hierarchies = [CGROUPS / name for name in ("systemd", "unified") if (CGROUPS / name).is_dir()]
        groups = [hierarchy / self._name for hierarchy in hierarchies or [CGROUPS]]
        for group in groups:
            group.mkdir(exist_ok=True)
        return groups

    def _clear_up(self) -> None:
        assert self._nspawn is not None
        try:
            self._nspawn.wait(30.0)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0
        for hierarchy in (CGROUPS / "systemd", CGROUPS / "unified", CGROUPS):
            for folder, _, _ in os.walk(hierarchy / self._name, topdown=False):
                _remove_group(Path(folder))


def _remove_group(folder: Path) -> None:
    """Remove a cgroup; its last processes may still be about to die."""
    for _ in range(100):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)
