"""The package in a Debian root without systemd and without a network, through all that dpkg does to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from debian import NUMBERS, Debian, package, power_cut
from hydroear.model import SHIPPED_BUNDLE
from listening import health, write

WANTED = "etc/systemd/system/multi-user.target.wants/hydroear.service"
CONFIG = "etc/hydroear/config.yaml"
STATE = "var/lib/private/hydroear/site/pipe.json"


@pytest.fixture(params=NUMBERS)
def debian(request: pytest.FixtureRequest, tmp_path: Path) -> Debian:
    return Debian(tmp_path, request.param)


@pytest.fixture
def deb(debian: Debian) -> Path:
    """The package for it."""
    release, arch = debian.path.name.split("-")
    return package(release, arch)


def newer(deb: Path, folder: Path) -> Path:
    """The same package in a later version, with another example configuration and without one of its modules."""
    tree, later = folder / "tree", folder / "later.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: ", "Version: 9."))
    for example in (tree / CONFIG, tree / "usr/share/hydroear/config.example.yaml"):
        example.write_text(example.read_text() + "\n# Another line.\n")
    (gone,) = tree.glob("opt/hydroear/lib/python3.*/site-packages/hydroear/app/watch.py")
    gone.unlink()
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", tree, later], check=True)
    shutil.rmtree(tree)
    return later


def configure(debian: Debian) -> str:
    """Give the unit a bundle and a configuration; gives its text."""
    debian.write("etc/hydroear/model.hydroear", SHIPPED_BUNDLE.read_bytes())
    write(debian.write("srv/pipe.wav", b""), health(20.0))
    source = {"type": "wav", "files": ["/srv/pipe.wav"]}
    config = {"unit": "unit-1", "bundle": "model.hydroear", "sensors": [{"id": "pipe", "source": source}]}
    text = yaml.safe_dump(config)
    debian.write(CONFIG, text)
    return text


def selftest_passes(debian: Debian) -> None:
    said = debian.run("/usr/bin/hydroear", "selftest", "-c", "/etc/hydroear/config.yaml", "--json")
    stages = {stage["stage"]: stage for stage in json.loads(said.splitlines()[-1])["stages"]}
    assert stages["runtime"]["result"] == "pass", stages["runtime"]
    assert stages["source pipe"]["result"] == "pass", stages["source pipe"]


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait while a program runs."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def compiled_files(folder: Path) -> list[Path]:
    """The compiled modules in a folder that may change meanwhile."""
    return [Path(where) / name for where, _, names in os.walk(folder) for name in names if name.endswith(".pyc")]


def test_it_installs_offline_and_is_left_without_a_trace(debian: Debian, deb: Path) -> None:
    said = debian.dpkg("--install", deb)
    assert 'see that "hydroear selftest -c /etc/hydroear/config.yaml" passes' in said
    assert debian.run("hydroear", "--version").startswith("hydroear ")
    assert "sensor microcontroller" in debian.run("hydroear-bridge", "--help")
    assert debian.run("dpkg", "--verify", "hydroear") == ""
    assert (debian.path / WANTED).is_symlink()
    configure(debian)
    selftest_passes(debian)
    # Everything is compiled: the service may not write there.
    for module in debian.path.glob("opt/hydroear/lib/python3.*/site-packages/hydroear/app/*.py"):
        assert list((module.parent / "__pycache__").glob(f"{module.stem}.*.pyc")), module
    debian.dpkg("--purge", "hydroear")
    assert debian.leftovers() == []


def test_an_upgrade_keeps_what_is_the_units_own(debian: Debian, deb: Path, tmp_path: Path) -> None:
    debian.dpkg("--install", deb)
    config = configure(debian)
    debian.write(STATE, "learned")
    said = debian.dpkg("--install", "--force-confold", newer(deb, tmp_path))
    assert "put a model bundle" not in said
    assert (debian.path / CONFIG).read_text() == config
    assert (debian.path / STATE).read_text() == "learned"
    assert not list(debian.path.glob("opt/hydroear/lib/python3.*/site-packages/hydroear/app/**/watch.*"))
    selftest_passes(debian)


def test_removal_keeps_configuration_and_state_and_purge_neither(debian: Debian, deb: Path) -> None:
    debian.dpkg("--install", deb)
    config = configure(debian)
    debian.write(STATE, "learned")
    debian.write("etc/credstore/hydroear.mqtt_password", "correct horse")
    debian.dpkg("--remove", "hydroear")
    assert not (debian.path / "opt/hydroear").exists()
    debian.dpkg("--install", deb)
    assert (debian.path / CONFIG).read_text() == config
    assert (debian.path / STATE).read_text() == "learned"
    selftest_passes(debian)
    debian.dpkg("--purge", "hydroear")
    assert debian.leftovers() == []


def test_a_service_that_was_disabled_stays_so(debian: Debian, deb: Path, tmp_path: Path) -> None:
    debian.dpkg("--install", deb)
    (debian.path / WANTED).unlink()
    debian.dpkg("--install", "--force-confnew", newer(deb, tmp_path))
    assert not (debian.path / WANTED).exists()


def test_maintainer_scripts_may_run_again(debian: Debian, deb: Path) -> None:
    debian.dpkg("--install", deb)
    scripts = "/var/lib/dpkg/info/hydroear"
    for _ in range(2):
        debian.run(f"{scripts}.postinst", "configure", "")
    selftest = debian.run("hydroear", "--version")
    for script, argument in (("prerm", "upgrade"), ("prerm", "remove"), ("postrm", "remove"), ("postrm", "purge")):
        for _ in range(2):
            debian.run(f"{scripts}.{script}", argument)
    assert selftest.startswith("hydroear ")
    for script in ("postinst", "prerm", "postrm"):
        assert "unknown argument" in debian.run(f"{scripts}.{script}", "nonsense", code=1)


def test_a_power_cut_while_it_is_set_up_is_mended_by_dpkg(debian: Debian, deb: Path) -> None:
    shutil.copy(deb, debian.path / "tmp")
    process = debian.start("dpkg", "--install", f"/tmp/{deb.name}")
    compiled = debian.path / "opt/hydroear/lib"
    wait_for(lambda: compiled_files(compiled), process)
    power_cut(process)
    assert debian.status() == "install ok half-configured"
    # As a file is that was about to be written.
    half = compiled_files(compiled)[0]
    half.write_bytes(half.read_bytes()[:40])
    debian.dpkg("--configure", "--pending")
    assert debian.status() == "install ok installed"
    assert half.stat().st_size > 40
    configure(debian)
    selftest_passes(debian)


def test_a_power_cut_while_an_upgrade_is_unpacked_leaves_the_old_version_at_work(
    debian: Debian, deb: Path, tmp_path: Path
) -> None:
    debian.dpkg("--install", deb)
    configure(debian)
    later = newer(deb, tmp_path)
    shutil.copy(later, debian.path / "tmp")
    process = debian.start("dpkg", "--install", "--force-confold", f"/tmp/{later.name}")
    prefix = debian.path / "opt/hydroear"
    wait_for((prefix / "bin/hydroear.dpkg-new").exists, process)
    power_cut(process)
    assert "half-installed" in debian.status()
    selftest_passes(debian)
    debian.dpkg("--install", "--force-confold", later)
    assert debian.status() == "install ok installed"
    assert not list(prefix.rglob("*.dpkg-new"))
    selftest_passes(debian)
