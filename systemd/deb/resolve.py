"""List the wheels that a package is made of, with their hashes: what pip resolves the unit's requirements to.

Usage: python systemd/deb/resolve.py [--check] [TARGET …]

Writes ``wheels/TARGET.txt``, of every target if none is named. With ``--check`` it writes nothing, and fails where a
set does not resolve or is another than the list says.

pip reads environment markers for the machine that it runs on, whatever ``--platform`` and ``--python-version`` say, so
they are read here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from target import ROOT, TARGETS, Target

EXTRAS = ("bridge", "ota")
"""What a unit may need beside its dependencies: sensors behind a bridge, and the verification of signatures."""

Wheel = Mapping[str, Any]


def requirements(target: Target) -> list[Requirement]:
    """What a unit is made of on a target."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    return list(_in_force(lines, target))


def constraints(target: Target) -> dict[str, str]:
    """The versions of constraints.txt that hold on a target, by name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {pin.name: str(pin.specifier)[2:] for pin in _in_force(lines, target)} | dict(target.pins)


def _in_force(lines: list[str], target: Target, extra: str = "") -> Iterator[Requirement]:
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({**target.markers, "extra": extra}):
            requirement.marker = None
            yield requirement


def resolve(target: Target) -> dict[str, Wheel]:
    """The wheels of a target by name, as pip reports them.

    Raises
    ------
    subprocess.CalledProcessError
        If the requirements do not resolve; pip has said why.
    ValueError
        If a wheel needs on the target what it does not need on this machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in constraints(target).items()))
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--report", "-", "--target", folder, "--constraint", str(pins), *target.pip_options]
        command += [str(requirement) for requirement in requirements(target)]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = {canonicalize_name(wheel["metadata"]["name"]): wheel for wheel in report["install"]}
    return {name: found[name] for name in sorted(_needed(target, found))}


def _needed(target: Target, found: Mapping[str, Wheel]) -> set[str]:
    """The names of those that are needed on the target."""
    needed: set[str] = set()
    waiting = [canonicalize_name(requirement.name) for requirement in requirements(target)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            raise ValueError(f"{target.name} needs {name}, and this machine does not: add it to the requirements")
        if name not in needed:
            needed.add(name)
            needs = _in_force(found[name]["metadata"].get("requires_dist", []), target)
            waiting += [canonicalize_name(requirement.name) for requirement in needs]
    return needed


def listing(target: Target, wheels: Mapping[str, Wheel]) -> str:
    """The list as pip reads it with ``--require-hashes``."""
    lines = [f"# The wheels of {target.name}. Written by make wheels from pyproject.toml and constraints.txt."]
    for name, wheel in wheels.items():
        digest = wheel["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={wheel['metadata']['version']} --hash=sha256:{digest}")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description="List the wheels that a package is made of.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is named")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    code = 0
    for name in args.targets or TARGETS:
        target = TARGETS[name]
        try:
            text = listing(target, resolve(target))
        except (subprocess.CalledProcessError, ValueError) as error:
            print(f"{name}: does not resolve: {error}", file=sys.stderr)
            code = 1
            continue
        if not args.check:
            target.wheels_file.write_text(text)
        elif not target.wheels_file.exists() or target.wheels_file.read_text() != text:
            print(f"{name}: resolves to other wheels than {target.wheels_file} lists: run make wheels", file=sys.stderr)
            code = 1
            continue
        print(f"{name}: Python {target.release.python}, {text.count('--hash')} wheels")
    return code


if __name__ == "__main__":
    sys.exit(main())
