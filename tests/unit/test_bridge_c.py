"""The reference codec in C, compiled with sanitizers: its own tests, and the same bytes as the one in Python."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames import Frame
from hydroear_bridge.link import Decoder, decode

BRIDGE = Path(__file__).parents[2] / "firmware_bridge"
WIRES = [bytes.fromhex(json.loads(path.read_text())["wire"]) for path in sorted(BRIDGE.glob("vectors/*.json"))]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    made = subprocess.run(
        ["make", "-C", BRIDGE / "c", f"BUILD={folder}", "tools"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.fuzz
def test_the_codec_in_c_keeps_to_the_vectors_and_survives_damage(tools: Path) -> None:
    cases = os.environ.get("FUZZ_CASES", "5000")
    tested = subprocess.run([tools / "test_codec", cases], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert f"{len(WIRES)} vectors, all well" in tested.stdout


def test_both_languages_say_the_same_of_any_stream(tools: Path) -> None:
    """Vectors in any order, from the middle of one on; of three one is damaged, and one says something else."""
    random = np.random.default_rng(3)
    wires = [bytearray(WIRES[i]) for i in random.integers(len(WIRES), size=6000)]
    for wire in wires[::3]:
        alter(wire, random)
    for wire in wires[1::3]:
        plain = bytearray(without_checksum(wire))
        alter(plain, random)
        wire[:] = cobs.encode(plain + zlib.crc32(plain).to_bytes(4, "little")) + b"\0"
    stream = b"".join(wire for wire in wires if not is_bad_text(wire))[5:]

    said = subprocess.run([tools / "decode"], input=stream, capture_output=True, check=True).stdout.decode()
    expected = [
        f"{item.to_bytes()[1]} {item.flags} {item.stream} {item.sequence} {item.device_time_us}"
        if isinstance(item, Frame)
        else "bad"
        for item in Decoder().receive(stream)
    ]
    assert expected.count("bad") > 1000
    assert len(expected) - expected.count("bad") > 1000
    assert said.splitlines() == expected


def alter(data: bytearray, random: np.random.Generator) -> None:
    at = int(random.integers(len(data)))
    data[at : at + int(random.integers(3))] = random.bytes(int(random.integers(3)))


def without_checksum(wire: bytearray) -> bytes:
    """Header and payload of a vector, whose checksum may be wrong; of one that is not stuffed well, its bytes."""
    try:
        plain: bytes = cobs.decode(bytes(wire[:-1]))
    except cobs.DecodeError:
        return bytes(wire)
    return plain[:-4]


def is_bad_text(wire: bytearray) -> bool:
    """The codec in C takes text as it comes."""
    try:
        decode(bytes(wire[:-1]))
    except FrameError as error:
        return "UTF-8" in error.what
    return False
