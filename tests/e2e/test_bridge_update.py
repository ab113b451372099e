"""``hydroear-bridge update`` and a simulated device with a boot loader, over links that lose and break."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge_tool import BRIDGE, Serving, bridge
from hydroear_bridge.image import Image, build

NEW = build((1, 1, 0), os.urandom(20_000))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "new.bin"
    path.write_bytes(NEW)
    return path


@contextmanager
def device(place: object = "tcp:0", faults: str = "") -> Iterator[str]:
    """A simulated device that takes updates; gives its port."""
    with Serving("simulate", "--at", place, "--rate", 8000, "--updates", "--faults", faults, "--seed", 1) as serving:
        yield serving.port


def firmware(port: str) -> str:
    told: str = json.loads(bridge("hello", port, "--json").stdout)["firmware"]
    return told


@pytest.mark.parametrize("kind", ["tcp", "terminal"])
def test_the_firmware_is_another_afterwards(kind: str, image: Path, tmp_path: Path) -> None:
    with device("tcp:0" if kind == "tcp" else tmp_path / "line", "loss=0.02,corrupt=0.01,noise=1e-6") as port:
        told = json.loads(bridge("update", port, image, "--json").stdout)
        assert told == {
            "image": "1.1.0",
            "sha256": Image.from_bytes(NEW).sha256.hex(),
            "outcome": "updated",
            "before": "1.0.0",
            "now": "1.1.0",
        }
        again = bridge("update", port, image, "--quiet")
        assert again.stdout == "already there: firmware 1.1.0 before, 1.1.0 now\n"
        assert again.stderr == ""


def test_a_bad_image_is_rolled_back_and_that_is_a_failure(image: Path) -> None:
    with device(faults="crash=1") as port:
        done = bridge("update", port, image, "--json", code=1)
        assert json.loads(done.stdout)["outcome"] == "rolled back"
        assert f"{port}: rolled back: the device came back with firmware 1.0.0, not 1.1.0" in done.stderr
        assert firmware(port) == "1.0.0"


def test_a_connection_that_is_cut_again_and_again_ends_no_update(image: Path) -> None:
    with device(faults="cut=3,stall=0.5") as port:
        assert "updated: firmware 1.0.0 before, 1.1.0 now" in bridge("update", port, image, "--quiet").stdout


def test_an_upload_that_is_killed_goes_on_from_there(tmp_path: Path) -> None:
    image = tmp_path / "other.bin"
    image.write_bytes(build((1, 2, 0), os.urandom(10_000)))
    with device(faults="stall=1") as port:
        killed = subprocess.Popen([BRIDGE, "update", port, image], stderr=subprocess.PIPE)
        assert killed.stderr is not None
        said = b""
        while not (seen := [int(share) for share in re.findall(rb"(\d+)%", said)]) or seen[-1] < 20:
            said += (part := killed.stderr.read1())
            assert part
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stderr.close()
        again = bridge("update", port, image)
        shares = [int(share) for share in re.findall(r"(\d+)%", again.stderr)]
        assert 20 <= min(share for share in shares if share) < 100
        assert firmware(port) == "1.2.0"


def test_ctrl_c_ends_it_at_once(image: Path) -> None:
    with device(faults="stall=1") as port:
        stopped = subprocess.Popen([BRIDGE, "update", port, image, "--quiet"], stdout=subprocess.PIPE, text=True)
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "uploading 1.1.0\n"
        stopped.send_signal(signal.SIGINT)
        assert stopped.wait(timeout=3) == 130
        stopped.stdout.close()


def test_what_cannot_be_updated_is_said_in_one_line(image: Path, tmp_path: Path) -> None:
    (tmp_path / "elf").write_bytes(b"\x7fELF" + bytes(100))
    (tmp_path / "damaged").write_bytes(NEW[:500] + b"?" + NEW[501:])
    for arguments, code, message in (
        (["nowhere", image], 1, "nowhere: not there"),
        (["nowhere", tmp_path / "no"], 2, f"{tmp_path}/no: No such file"),
        (["nowhere", tmp_path / "elf"], 2, f"{tmp_path}/elf: no image of MCUboot's; sign one with imgtool"),
        (["nowhere", tmp_path / "damaged"], 2, f"{tmp_path}/damaged: an image that is damaged"),
    ):
        done = bridge("update", *arguments, code=code)
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    with Serving("simulate", "--at", "tcp:0") as serving:
        done = bridge("update", serving.port, image, "--quiet", code=1)
        assert "the device takes no updates over this link" in done.stderr


@pytest.mark.parametrize("arguments", [["update", "nowhere", "x"], ["simulate", "--at", "tcp:0", "--updates"]])
def test_without_the_extra_one_line_says_what_to_install(arguments: list[str]) -> None:
    script = (
        "import sys; sys.modules |= {'smp': None, 'smpclient': None}; "
        "from hydroear_bridge.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "hydroear-bridge: error: the package smpclient is missing; pip install 'hydroear[smp]'\n"
