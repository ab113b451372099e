"""``hydroear support``: all that somebody far away needs to understand a unit, in one archive without secrets."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml

from hydroear import __version__
from hydroear.app import models
from hydroear.app.live import listen
from hydroear.app.redaction import Redactor, presentable, read_tree, secrets_of
from hydroear.config.loader import load_config
from hydroear.config.schema import Config
from hydroear.errors import ConfigError, HydroearError, UsageError
from hydroear.health.clock import clock_error_s, clock_quality
from hydroear.health.machine import look_at_machine
from hydroear.model.bundle import read_manifest
from hydroear.outbox import take_stock
from hydroear.selftest import Finding, examine
from hydroear.selftest.attempt import attempt
from hydroear.selftest.cli import as_json
from hydroear.wholefile import whole_file

SERVICE = "hydroear.service"

MAX_PART_BYTES = 1 << 20
"""Of one file in the archive; of a longer log the end is kept."""
JOURNAL_LINES = 10_000
KERNEL_LINES = 1_000
LISTEN_S = 4.0
"""How long a running unit is listened to: several windows."""
COMMAND_S = 20.0
"""How long a program of the system may take to answer."""
PART_S = 30.0
"""How long one part may take; the self-test, the longest, ends by itself within 20."""


@dataclass(frozen=True)
class Part:
    """One file of the archive.

    Attributes
    ----------
    name
        Of the file.
    about
        What is in it.
    text
        Its content; empty where there is none.
    problem
        Why there is none, or not all of it; empty where nothing is wrong.
    """

    name: str
    about: str
    text: str = ""
    problem: str = ""


def gather(config_path: Path) -> tuple[str, list[Part]]:
    """Ask the unit and its machine all that may matter; what fails is a part that says why.

    Parameters
    ----------
    config_path
        The configuration of the unit. It may be wrong, or not be there.

    Returns
    -------
    unit
        Name of the unit; ``unit`` where it cannot be told.
    parts
        Free of secrets.
    """
    text = _text_of(config_path)
    redact = Redactor(secrets_of(config_path, text))
    config, problem = _load(config_path)
    parts = []
    for name, about, work in _questions(config_path, text, config, problem):
        answer = attempt(name, PART_S, work)
        if isinstance(answer, Finding):
            told = "; ".join(part for part in (answer.measured, answer.fix) if part)
            parts.append(Part(name, about, problem=redact(" ".join(told.split()))))
        else:
            parts.append(Part(name, about, text=_bounded(redact(answer), keep_end=name.endswith(".log"))))
    return ("unit" if config is None else config.unit), parts


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _load(path: Path) -> tuple[Config | None, str]:
    try:
        return load_config(path), ""
    except ConfigError as error:
        return None, str(error)


def _bounded(text: str, *, keep_end: bool) -> str:
    content = text.encode()
    if len(content) <= MAX_PART_BYTES:
        return text
    kept = content[-MAX_PART_BYTES:] if keep_end else content[:MAX_PART_BYTES]
    mark = f"[{len(content) - MAX_PART_BYTES} bytes left out]"
    body = kept.decode(errors="ignore")
    return f"{mark}\n{body}" if keep_end else f"{body}\n{mark}\n"


def _questions(path: Path, text: str, config: Config | None, problem: str) -> list[tuple[str, str, Callable[[], str]]]:
    """What is asked, in order: the file, what it is about, and how it is found out."""

    def of_unit(work: Callable[[Config], str]) -> Callable[[], str]:
        def ask() -> str:
            if config is None:
                raise UsageError("the configuration cannot be loaded", fix="see config-problems.txt")
            return work(config)

        return ask

    return [
        ("config.yaml", "the configuration as it is written", lambda: _config_as_written(path, text)),
        ("config-problems.txt", "what is wrong with the configuration", lambda: f"{problem or 'nothing'}\n"),
        ("settings.json", "what the control room has changed of it", of_unit(_settings)),
        ("selftest.json", "the self-test, as hydroear selftest --json prints it", of_unit(_selftest)),
        ("live.jsonl", "what the running unit hears, as hydroear watch --json prints it", of_unit(_live)),
        ("metrics.txt", "the health of the running unit, as Prometheus gets it", of_unit(_metrics)),
        ("models.json", "the bundles that are installed, and their manifests", of_unit(_models)),
        ("state.json", "the messages that wait, by kind, and the files of the unit's state", of_unit(_state)),
        ("versions.json", "the versions of all that is installed for hydroear", _versions),
        ("machine.json", "the machine, its kernel, its disks and its sound cards", lambda: _machine(config)),
        ("service.txt", "how systemd sees the service", _service),
        ("service.log", "the journal of the service, its end", lambda: _journal("--unit", "hydroear*", JOURNAL_LINES)),
        ("kernel.log", "the journal of the kernel, its end", lambda: _journal("--dmesg", "--boot", KERNEL_LINES)),
    ]


def _config_as_written(path: Path, text: str) -> str:
    if not text:
        raise UsageError("no configuration that can be read", where=path)
    tree = read_tree(text)
    if tree is None:
        raise UsageError("no YAML, so nobody can tell its secrets from the rest", where=path)
    return yaml.safe_dump(presentable(tree), sort_keys=False, allow_unicode=True)


def _settings(config: Config) -> str:
    if not config.settings_path.exists():
        return "{}\n"
    return config.settings_path.read_text()


def _selftest(config: Config) -> str:
    return as_json(config.unit, examine(config, config.sensors)) + "\n"


def _live(config: Config) -> str:
    lines: list[str] = []
    errors: list[HydroearError] = []

    def hear() -> None:
        try:
            lines.extend(json.dumps(line) + "\n" for line in listen(config.live_path))
        except HydroearError as error:
            errors.append(error)

    listener = threading.Thread(target=hear, name="support-live", daemon=True)
    listener.start()
    listener.join(LISTEN_S)
    if errors:
        raise errors[0]
    return "".join(lines.copy())


def _metrics(config: Config) -> str:
    if config.metrics.port is None:
        raise UsageError("not asked for", where="metrics.port")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{config.metrics.port}/metrics", timeout=COMMAND_S) as answer:
            return str(answer.read(MAX_PART_BYTES).decode())
    except OSError as error:
        raise HydroearError(f"nobody answers ({error})", where=f"metrics.port {config.metrics.port}") from error


def _models(config: Config) -> str:
    manifests: dict[str, Any] = {}
    for path in (config.bundle, *sorted(config.models_dir.glob("*.hydroear"))):
        try:
            manifests[str(path)] = json.loads(read_manifest(path))
        except (HydroearError, ValueError) as error:
            manifests[str(path)] = {"problem": str(error)}
    return _json({"status": models.status(config), "manifests": manifests})


def _state(config: Config) -> str:
    files = {}
    for path in sorted(config.state_dir.rglob("*")):
        with suppress(OSError):  # it may go while it is looked at
            status = path.lstat()
            changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
            files[str(path.relative_to(config.state_dir))] = {"bytes": status.st_size, "changed": changed}
    stock: Mapping[str, Any]
    try:
        stock = {kind.name.lower(): asdict(total) for kind, total in take_stock(config.outbox_path).items()}
    except HydroearError as error:
        stock = {"problem": str(error)}
    return _json({"outbox": stock, "files": files})


def _versions() -> str:
    installed = sorted((found.metadata["Name"].lower(), found.version) for found in distributions())
    package = _output("dpkg-query", "--show", "--showformat", "${Version} ${db:Status-Abbrev}", "hydroear", missing="")
    return _json(
        {
            "hydroear": __version__,
            "python": sys.version,
            "prefix": sys.prefix,
            "debian_package": package.strip() or None,
            "distributions": dict(installed),
        }
    )


def _machine(config: Config | None) -> str:
    disks = {"/": Path("/")} | ({} if config is None else {"state_dir": config.state_dir})
    return _json(
        {
            "model": _first_of("/proc/device-tree/model", "/sys/devices/virtual/dmi/id/product_name"),
            "kernel": platform.uname()._asdict(),
            "system": platform.freedesktop_os_release() if Path("/etc/os-release").exists() else None,
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "uptime_s": float(Path("/proc/uptime").read_text().split()[0]),
            "health": asdict(look_at_machine()),
            "clock": {"quality": clock_quality(), "error_s": clock_error_s(), "now": datetime.now(UTC).isoformat()},
            "disks": {name: _disk(path) for name, path in disks.items()},
            "sound_cards": _first_of("/proc/asound/cards"),
            "serial_ports": sorted(path.name for path in Path("/dev/serial/by-id").glob("*")),
        }
    )


def _disk(path: Path) -> dict[str, int] | None:
    try:
        return shutil.disk_usage(path)._asdict()
    except OSError:
        return None


def _first_of(*paths: str) -> str | None:
    for path in paths:
        with suppress(OSError):
            return Path(path).read_text(errors="replace").strip("\0\n")
    return None


def _service() -> str:
    properties = (
        "Id,LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,"
        "ActiveEnterTimestamp,StatusText,MemoryCurrent,MemoryPeak,CPUUsageNSec,DropInPaths,FragmentPath"
    )
    return _output("systemctl", "show", SERVICE, f"--property={properties}")


def _journal(*arguments: str | int) -> str:
    *which, lines = map(str, arguments)
    return _output("journalctl", *which, "--lines", lines, "--no-pager", "--output", "short-iso")


def _output(*command: str, missing: str | None = None) -> str:
    """What a program prints.

    Raises
    ------
    HydroearError
        If it is not installed and `missing` is not given, takes too long or fails.
    """
    if shutil.which(command[0]) is None:
        if missing is not None:
            return missing
        raise HydroearError(f"{command[0]} is not installed")
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise HydroearError(f"{command[0]} does not answer within {COMMAND_S:.0f} s") from error
    if done.returncode and missing is None:
        why = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise HydroearError(f"{command[0]}: {why}")
    return done.stdout.decode(errors="replace")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"


def write_archive(out: Path, folder: str, parts: list[Part]) -> int:
    """Write the parts, with an index of them first; gives the size in bytes.

    Raises
    ------
    HydroearError
        If it cannot be written.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        _add(archive, f"{folder}/INDEX.txt", index(folder, parts))
        for part in parts:
            if part.text:
                _add(archive, f"{folder}/{part.name}", part.text)
    try:
        with whole_file(out, mode=0o600) as file:
            file.write(content.getvalue())
    except OSError as error:
        raise HydroearError(
            f"cannot be written: {error.strerror}", where=out, fix="name another file with --out"
        ) from error
    return len(content.getvalue())


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(content), int(datetime.now(UTC).timestamp()), 0o600
    archive.addfile(info, io.BytesIO(content))


def index(folder: str, parts: list[Part]) -> str:
    """What is in an archive, and what is not, for people."""
    lines = [
        folder,
        "",
        "What hydroear support found. Passwords, keys, logins in URLs and arguments of programs are left out, and so",
        "is all that was heard or waits to be sent.",
        "",
    ]
    for part in parts:
        size = f"{len(part.text.encode()):>9}" if part.text else f"{'-':>9}"
        lines.append(f"{part.name:<20} {size}  {part.about}")
        if part.problem:
            lines.append(f"{'':<31} not there: {part.problem}")
    return "\n".join([*lines, ""])


def run(config_path: Path, *, out: Path | None, machine_readable: bool) -> int:
    """Gather, write, and tell where.

    Parameters
    ----------
    config_path
        The configuration of the unit.
    out
        The archive; by default one in this folder, named after the unit and the time.
    machine_readable
        Whether to print one JSON object rather than words.

    Returns
    -------
    int
        0: an archive in which something is missing is what one gets of a unit that has something wrong.
    """
    if not machine_readable:
        print("the self-test and the rest take up to half a minute …", file=sys.stderr, flush=True)
    unit, parts = gather(config_path)
    folder = f"hydroear-support-{unit}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    path = Path(f"{folder}.tar.gz") if out is None else out
    size_bytes = write_archive(path, folder, parts)
    if machine_readable:
        rows = [
            {"name": part.name, "about": part.about, "bytes": len(part.text.encode()), "problem": part.problem}
            for part in parts
        ]
        print(json.dumps({"archive": str(path.absolute()), "bytes": size_bytes, "parts": rows}))
        return 0
    for part in parts:
        if part.problem:
            print(f"hydroear: warning: {part.name} is not in it: {part.problem}", file=sys.stderr)
    files = sum(bool(part.text) for part in parts)
    print(f"{path}: {files} files, {size_bytes / 1000:.0f} kB, passwords and keys left out")
    return 0
