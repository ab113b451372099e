"""Debian roots in which packages are installed: made once by debootstrap, copied for each test, without a network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
MIRROR = "http://deb.debian.org/debian"
QEMU = Path("/usr/bin/qemu-aarch64-static")
PROCESSOR = "cortex-a72"
"""That of a Raspberry Pi 4."""
NUMBERS = {"bookworm": 12, "trixie": 13}
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


def package(release: str, arch: str) -> Path:
    """The package that ``make deb`` has built."""
    (found,) = (ROOT / "dist").glob(f"hydroear_*+deb{NUMBERS[release]}_{arch}.deb")
    return found


def why_not() -> str:
    """Why no root can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "that needs root"
    missing = [program for program in ("debootstrap", QEMU.name) if shutil.which(program) is None]
    return f"{', '.join(missing)} not installed" if missing else ""


def _pristine(release: str, arch: str) -> Path:
    """A root with what the package depends on and no more; one for another processor is not configured."""
    root = ROOT / "build/deb" / f"root-{release}-{arch}"
    if not root.exists():
        made = root.with_name(f".{root.name}")
        shutil.rmtree(made, ignore_errors=True)
        needed = f"--include=python{PYTHONS[release]},libportaudio2,libstdc++6"
        foreign = ["--foreign"] if arch == "arm64" else []
        command = ["debootstrap", *foreign, "--variant=minbase", f"--arch={arch}", needed, release, made, MIRROR]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        for file in made.glob("var/cache/apt/archives/*.deb"):
            if foreign:
                unpack(file, made)
            file.unlink()
        if (made / "proc").is_symlink():  # made so where debootstrap runs in a container
            (made / "proc").unlink()
            (made / "proc").mkdir()
        made.rename(root)
    return root


def unpack(package: Path, root: Path) -> None:
    """Put the files of a package where they belong, and do nothing else."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as tar:
        subprocess.run(["tar", "-C", root, "-x", "--keep-directory-symlink"], stdin=tar.stdout, check=True)
    assert tar.returncode == 0


class Debian:
    """A root of its own.

    Parameters
    ----------
    folder
        Where it is made.
    release, arch
        Which Debian.
    """

    def __init__(self, folder: Path, release: str, arch: str = "amd64") -> None:
        self.path = folder / f"{release}-{arch}"
        self.python = f"/usr/bin/python{PYTHONS[release]}"
        subprocess.run(["cp", "--archive", "--reflink=auto", _pristine(release, arch), self.path], check=True)
        self._emulator: list[str] = []
        if arch == "arm64":
            shutil.copy(QEMU, self.path)
            self._emulator = [f"/{QEMU.name}", "-cpu", PROCESSOR]

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program in it, with processes and a network of its own; the program's end is that of all it began."""
        inside = [
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            f"--root={self.path}",
        ]
        return subprocess.Popen(
            [*inside, f"--root={self.path}", *self._emulator, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                "HOME": "/root",
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
            },
        )

    def run(self, *command: str, code: int = 0) -> str:
        """Run a program in it to its end, and give what it said."""
        process = self.start(*command)
        said, _ = process.communicate()
        assert process.returncode == code, f"{command}: exit code {process.returncode}\n{said}"
        return said

    def dpkg(self, *arguments: str | Path) -> str:
        """Run dpkg; packages are files of this machine."""
        copies = []
        for argument in arguments:
            if isinstance(argument, Path):
                shutil.copy(argument, self.path / "tmp")
                argument = f"/tmp/{argument.name}"
            copies.append(argument)
        return self.run("dpkg", *copies)

    def status(self) -> str:
        """What dpkg knows of the package, as ``install ok installed``; empty if nothing."""
        process = self.start("dpkg-query", "--show", "--showformat", "${Status}", "hydroear")
        said, _ = process.communicate()
        return said if process.returncode == 0 else ""

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of it, with the folders above."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def leftovers(self) -> list[str]:
        """Everything in it whose name is hydroear's, but what dpkg itself keeps."""
        named = (path.relative_to(self.path) for path in self.path.rglob("*hydroear*"))
        return sorted(str(path) for path in named if path.parts[0] not in ("proc", "tmp") and "dpkg" not in path.parts)


def power_cut(process: subprocess.Popen[str]) -> None:
    """Kill a program and all that it began, at once."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
