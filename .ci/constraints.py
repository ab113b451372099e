"""Print constraints.txt: what pip resolves ``.[dev]`` to, for every Python interpreter named.

Usage: python .ci/constraints.py python3.11 python3.12 python3.13 > constraints.txt

Only wheels are considered, so that an install needs no compiler, but for crcmod: it has none, and is built without one
as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

HEADER = """\
# The versions this project is tested with: pip install -c constraints.txt ".[dev]"
# Written by `make constraints`; edit pyproject.toml instead.
"""
TENSORFLOW = "tensorflow-cpu==2.20.0"
"""One version for every Python, since a bundle's int8 operators depend on the converter that made it."""


def resolve(python: str) -> tuple[str, dict[str, str]]:
    """The version of Python, as ``3.11``, and the version of every package."""
    command = [python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]
    command += ["--no-binary", "crcmod"]
    command += ["--quiet", "--report", "-", TENSORFLOW, ".[dev]"]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = (item["metadata"] for item in report["install"])
    pins = {package["name"].lower().replace("_", "-"): package["version"] for package in packages}
    del pins["hydroear"]
    pins["tensorflow"] = pins["tensorflow-cpu"]  # what other machines than x86-64 get
    return report["environment"]["python_version"], pins


def constraint_lines(pins_of_python: dict[str, dict[str, str]]) -> list[str]:
    """One line a package, or one for each of its versions with the Pythons that get it."""
    pythons_of_version: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for python, pins in pins_of_python.items():
        for name, version in pins.items():
            pythons_of_version[name][version].append(python)
    lines = []
    for name, versions in sorted(pythons_of_version.items()):
        for version, pythons in versions.items():
            marker = " or ".join(f"python_version == '{python}'" for python in pythons)
            lines.append(f"{name}=={version}" + (f" ; {marker}" if len(versions) > 1 else ""))
    return lines


print(HEADER + "\n".join(constraint_lines(dict(resolve(python) for python in sys.argv[1:]))))
