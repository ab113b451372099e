"""Measurements of the whole program, as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hydroear.model import SHIPPED_BUNDLE

HYDROEAR = [sys.executable, "-m", "hydroear.cli"]


def calibrate(recording: Path, site: Path, runtime: str) -> None:
    """Learn a site from a recording."""
    _run("calibrate", "--bundle", SHIPPED_BUNDLE, "--out", site, "--runtime", runtime, recording)


def replay_s(recording: Path, site: Path, runtime: str) -> float:
    """Wall time of replaying a recording, from process start to end."""
    began_s = time.perf_counter()
    _run("replay", "--bundle", SHIPPED_BUNDLE, "--site", site, "--runtime", runtime, "--json", recording)
    return time.perf_counter() - began_s


def first_score_s(recording: Path, site: Path, runtime: str) -> float:
    """Wall time from process start to the first scored window on standard output."""
    arguments = ["replay", "--bundle", SHIPPED_BUNDLE, "--site", site, "--runtime", runtime, "--json", recording]
    command = [*HYDROEAR, *map(str, arguments)]
    began_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken_s = time.perf_counter() - began_s
        process.stdout.read()
    if process.returncode or '"kind": "window"' not in line or '"scored": true' not in line:
        raise subprocess.CalledProcessError(process.returncode, command, line)
    return taken_s


def resident_mb(configs: Iterable[Path], listen_s: float) -> list[tuple[float, float]]:
    """Run a unit for each configuration, all at a time; resident memory after a while, and its peak, in 10^6 bytes."""
    units = [subprocess.Popen([*HYDROEAR, "run", "-c", str(config)], stdout=subprocess.DEVNULL) for config in configs]
    try:
        time.sleep(listen_s)
        if any(unit.poll() is not None for unit in units):
            raise subprocess.CalledProcessError(1, units[0].args, "the unit did not listen to the end")
        memory = [_resident_mb(unit.pid) for unit in units]
    finally:
        for unit in units:
            unit.send_signal(signal.SIGTERM)
        codes = [unit.wait() for unit in units]
    if any(codes):
        raise subprocess.CalledProcessError(max(codes), units[0].args)
    return memory


@dataclass(frozen=True)
class Hearing:
    """What a unit took to hear its recordings to their end.

    Attributes
    ----------
    wall_s, cpu_s
        Time on the wall, and of processors.
    growth_mb
        Resident memory at the end over that at half time, in 10^6 bytes.
    written_mb
        What reached the disk, in 10^6 bytes.
    """

    wall_s: float
    cpu_s: float
    growth_mb: float
    written_mb: float


def hear(config: Path) -> Hearing:
    """Run a unit until its recordings end."""
    began_s = time.perf_counter()
    unit = subprocess.Popen([*HYDROEAR, "run", "-c", str(config)], stdout=subprocess.DEVNULL)
    resident_mb, written_mb = [], 0.0
    while not (ended := os.wait4(unit.pid, os.WNOHANG))[0]:
        with suppress(OSError, KeyError):  # it may be ending
            resident_mb.append(_resident_mb(unit.pid)[0])
            written_mb = _written_mb(unit.pid)
        time.sleep(0.1)
    wall_s = time.perf_counter() - began_s
    _, unit.returncode, usage = ended  # reaped here, or the usage would be lost
    if unit.returncode:
        raise subprocess.CalledProcessError(unit.returncode, unit.args)
    return Hearing(
        wall_s, usage.ru_utime + usage.ru_stime, resident_mb[-1] - resident_mb[len(resident_mb) // 2], written_mb
    )


def forget_files(folders: Iterable[Path]) -> None:
    """Ask the kernel to drop its copies of files, as after a boot; those that are in use anywhere stay."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _run(*arguments: object) -> None:
    subprocess.run([*HYDROEAR, *map(str, arguments)], stdout=subprocess.DEVNULL, check=True)


def _resident_mb(pid: int) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {key: int(value.split()[0]) for key, value in (line.split(":", 1) for line in lines) if key.startswith("Vm")}
    return kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6


def _written_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes:"))) / 1e6
