"""The systems that a package is built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Release:
    """A release of Debian, and of the Raspberry Pi OS that is made from it.

    Attributes
    ----------
    codename, number
        By which people and versions of packages know it.
    python
        Its Python, as ``3.11``.
    glibc_minor
        Its C library is version 2 of this minor number.
    """

    codename: str
    number: int
    python: str
    glibc_minor: int


BOOKWORM = Release("bookworm", 12, "3.11", 36)
TRIXIE = Release("trixie", 13, "3.13", 41)

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""What Linux, and with it pip, calls an architecture of Debian."""


@dataclass(frozen=True)
class Target:
    """A release on an architecture.

    Attributes
    ----------
    release, arch
        What it is.
    pins
        Versions by name that take the place of those in constraints.txt.
    """

    release: Release
    arch: str
    pins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        """For file names, as ``trixie-arm64``."""
        return f"{self.release.codename}-{self.arch}"

    @property
    def wheels_file(self) -> Path:
        """The list of wheels, with hashes, that :mod:`resolve` writes and :mod:`build` fetches."""
        return Path(__file__).parent / "wheels" / f"{self.name}.txt"

    @property
    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for this system rather than for the one that it runs on.

        The tags are those of PEP 600, from the oldest that is in use to the C library's own; tflite-runtime's wheel for
        aarch64 asks for manylinux_2_34.
        """
        machine = MACHINES[self.arch]
        platforms = [
            f"manylinux2014_{machine}",
            *(f"manylinux_2_{n}_{machine}" for n in range(17, self.release.glibc_minor + 1)),
        ]
        options = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", self.release.python]
        return options + [word for platform in platforms for word in ("--platform", platform)]

    @property
    def markers(self) -> dict[str, str]:
        """The environment in which its requirements are read (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": MACHINES[self.arch],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.release.python}.0",
            "python_version": self.release.python,
            "sys_platform": "linux",
        }


# LiteRT 2.2.0 and 2.3.0 crash on aarch64 under qemu-user, where the tests run it: a unit gets the newest that was seen
# to work there.
_SEEN_TO_WORK = MappingProxyType({"ai-edge-litert": "2.1.6"})

TARGETS = {
    target.name: target
    for target in (
        Target(BOOKWORM, "amd64"),
        Target(BOOKWORM, "arm64"),
        Target(TRIXIE, "amd64"),
        Target(TRIXIE, "arm64", pins=_SEEN_TO_WORK),
    )
}
