"""Build the Debian packages of a unit.

Usage: python systemd/deb/build.py [--out DIR] [TARGET …]

A package holds the virtual environment as files of its own, for a Python that the release has: dpkg knows each with its
checksum, puts all of them in place at once after they are safely on the disk, and needs no network, no pip and no
room for wheels beside what was made of them. Nothing of the target is run, so any architecture is built on any machine.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from string import Template

from target import ROOT, TARGETS, Target

HERE = Path(__file__).parent
PREFIX = Path("opt/hydroear")
PROGRAMS = {"hydroear": "hydroear.cli", "hydroear-bridge": "hydroear_bridge.cli"}
CONFFILE = Path("etc/hydroear/config.yaml")
EXAMPLE = "config.example.yaml"

# Where the files of systemd/ go, by how their names end.
FOLDERS = {
    **dict.fromkeys((".service", ".timer", ".socket", ".path", ".target", ".slice"), "usr/lib/systemd/system"),
    ".rules": "usr/lib/udev/rules.d",
    ".sysusers.conf": "usr/lib/sysusers.d",
    ".tmpfiles.conf": "usr/lib/tmpfiles.d",
    ".example.yaml": "usr/share/hydroear",
    ".acl.example": "usr/share/hydroear",
    ".md": "usr/share/doc/hydroear",
}
# They are for other distributions.
NOT_PACKAGED = {"install.sh", "uninstall.sh"}


def build(target: Target, out: Path) -> Path:
    """Build the package of a target; gives its file."""
    version = f"{project_version()}+deb{target.release.number}"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        tree.chmod(0o755)
        add_environment(tree, target, wheels(target))
        units = add_system_files(tree)
        add_documents(tree)
        add_control(tree, target, version, units)
        package = out / f"hydroear_{version}_{target.arch}.deb"
        out.mkdir(parents=True, exist_ok=True)
        run("dpkg-deb", "--build", "--root-owner-group", "-Zxz", "-z3", str(tree), str(package))
    return package


def project_version() -> str:
    """The version of hydroear."""
    module: dict[str, str] = {}
    exec((ROOT / "daemon/hydroear/__init__.py").read_text(), module)
    return module["__version__"]


def wheels(target: Target) -> list[Path]:
    """The wheels of a target, hydroear's own among them; kept for the next build."""
    folder = ROOT / "build/deb" / target.name
    shutil.rmtree(folder / "own", ignore_errors=True)
    listed = ["--no-deps", "--require-hashes", "--requirement", str(target.wheels_file)]
    # What was fetched before is found there; a wheel that is no longer listed is left out below.
    pip("download", "--dest", str(folder), "--find-links", str(folder), *target.pip_options, *listed)
    pip("wheel", "--no-deps", "--wheel-dir", str(folder / "own"), str(ROOT))
    hashes = target.wheels_file.read_text()
    fetched = [wheel for wheel in sorted(folder.glob("*.whl")) if sha256(wheel) in hashes]
    return [*fetched, *(folder / "own").glob("*.whl")]


def add_environment(tree: Path, target: Target, found: Iterable[Path]) -> None:
    """The virtual environment, as ``python3 -m venv`` and pip would have made it on the target."""
    prefix, python = tree / PREFIX, f"/usr/bin/python{target.release.python}"
    site = prefix / f"lib/python{target.release.python}/site-packages"
    pip(
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        str(site),
        *target.pip_options,
        *map(str, found),
    )
    shutil.rmtree(site / "bin")
    for origin in site.glob("*.dist-info/direct_url.json"):  # names the folder in which this was built
        origin.unlink()
    unused = [*site.glob("numpy/**/tests"), *site.glob("scipy/**/tests"), *site.rglob("__pycache__")]
    for folder in unused:
        shutil.rmtree(folder)
    version = f"version = {target.release.python}"
    write(prefix / "pyvenv.cfg", f"home = /usr/bin\ninclude-system-site-packages = false\n{version}\n")
    (prefix / "bin").mkdir()
    (prefix / "bin/python3").symlink_to(python)
    (prefix / "bin/python").symlink_to("python3")
    (tree / "usr/bin").mkdir(parents=True)
    for name, module in PROGRAMS.items():
        start = f"#!/{PREFIX}/bin/python3\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
        write(prefix / "bin" / name, start, mode=0o755)
        (tree / "usr/bin" / name).symlink_to(f"/{PREFIX}/bin/{name}")


def add_system_files(tree: Path) -> list[str]:
    """Every file of ``systemd/``, where the system looks for it; gives the units that are to be enabled."""
    enabled = []
    for file in sorted(path for path in (ROOT / "systemd").iterdir() if path.is_file()):
        if file.name in NOT_PACKAGED:
            continue
        place = tree / folder_of(file.name) / installed_name(file.name)
        write(place, file.read_text())
        if place.parent.name == "system" and "\n[Install]" in file.read_text() and "@" not in file.name:
            enabled.append(file.name)
    write(tree / CONFFILE, (ROOT / "systemd" / EXAMPLE).read_text())
    return enabled


def folder_of(name: str) -> str:
    """Where a file of ``systemd/`` goes.

    Raises
    ------
    ValueError
        If that is not known.
    """
    for suffix, folder in FOLDERS.items():
        if name.endswith(suffix):
            return folder
    raise ValueError(f"systemd/{name}: say in {Path(__file__).name} where it goes")


def installed_name(name: str) -> str:
    """``hydroear.sysusers.conf`` is ``hydroear.conf`` in a folder of its own."""
    for kind in (".sysusers.conf", ".tmpfiles.conf"):
        name = name.replace(kind, ".conf")
    return name


def add_documents(tree: Path) -> None:
    """What Debian asks for, and what changed."""
    folder = tree / "usr/share/doc/hydroear"
    write(folder / "copyright", (ROOT / "LICENSE").read_text())
    write(folder / "changelog", (ROOT / "CHANGELOG.md").read_text())


def add_control(tree: Path, target: Target, version: str, units: list[str]) -> None:
    """The control files, with the checksums by which ``dpkg --verify`` finds what a memory card has lost."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    values = {
        "version": version,
        "arch": target.arch,
        "python": target.release.python,
        "installed_kib": str(sum(-(-path.stat().st_size // 1024) for path in files)),
        "prefix": f"/{PREFIX}",
        "units": " ".join(units),
    }
    control = tree / "DEBIAN"
    write(control / "conffiles", f"/{CONFFILE}\n")
    lines = [f"{md5(path)}  {path.relative_to(tree)}\n" for path in files if path != tree / CONFFILE]
    write(control / "md5sums", "".join(lines))
    write(control / "control", filled("control.in", values))
    for script in ("postinst", "prerm", "postrm"):
        write(control / script, filled(f"{script}.in", values), mode=0o755)


def filled(name: str, values: dict[str, str]) -> str:
    """A template with its ``@names@`` filled in."""

    class AtTemplate(Template):
        pattern = r"@(?P<named>[a-z_]+)@|(?P<escaped>(?!))|(?P<braced>(?!))|(?P<invalid>(?!))"

    return AtTemplate((HERE / name).read_text()).substitute(values)


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pip(*arguments: str) -> None:
    run(sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:])


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the Debian packages of a unit.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where to (default %(default)s)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none is named")
    args = parser.parse_args()
    if unknown := set(args.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    os.umask(0o022)
    for name in args.targets or TARGETS:
        package = build(TARGETS[name], args.out)
        print(f"{package}: {package.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
