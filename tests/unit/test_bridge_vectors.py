"""The bridge's frames against bytes that another implementation made, and against the protocol's text."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames import HEADER, Audio, AudioFlags, Frame, Hello, SampleFormat, Uninterpreted
from hydroear_bridge.link import decode, encode

BRIDGE = Path(__file__).parents[2] / "firmware_bridge"
PROTOCOL = (BRIDGE / "PROTOCOL.md").read_text()
VECTORS = {path.stem: json.loads(path.read_text()) for path in sorted((BRIDGE / "vectors").glob("*.json"))}
GOOD = [name for name, vector in VECTORS.items() if "error" not in vector]
BAD = [name for name, vector in VECTORS.items() if "error" in vector]


def described(fields: dict[str, Any]) -> Frame:
    header = {key: value for key, value in fields.items() if key != "body"}
    body = dict(fields["body"])
    kind = body.pop("type")
    if kind == "hello":
        return Frame(**header, body=Hello(**{**body, "uid": bytes.fromhex(body["uid"])}))
    if kind == "audio":
        flags, data = AudioFlags(body.pop("flags")), bytes.fromhex(body.pop("data"))
        sample_format = SampleFormat[body.pop("format").upper()]
        return Frame(**header, body=Audio(**body, flags=flags, data=data, sample_format=sample_format))
    return Frame(**header, body=Uninterpreted(frame_type=kind, payload=bytes.fromhex(body["payload"])))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_vector_decodes_to_its_frame_and_back(name: str) -> None:
    vector = VECTORS[name]
    wire = bytes.fromhex(vector["wire"])
    frame = described(vector["frame"])
    assert decode(wire[:-1]) == frame
    if not vector.get("decode_only"):
        assert encode(frame) == wire
    if "samples" in vector:
        assert isinstance(frame.body, Audio)
        samples = frame.body.samples()
        assert samples.dtype == np.float32
        assert samples.tolist() == vector["samples"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_vector_is_refused(name: str) -> None:
    with pytest.raises(FrameError) as error:
        decode(bytes.fromhex(VECTORS[name]["wire"])[:-1])
    assert error.value.data
    assert "\n" not in str(error.value)


def test_bad_vectors_but_those_of_the_link_are_refused_for_what_they_say_not_for_damage() -> None:
    for name in set(BAD) - {"bad_crc", "bad_stuffing"}:
        with pytest.raises(FrameError, match=r"AUDIO|HELLO|version|rate|frame of 15 bytes"):
            decode(bytes.fromhex(VECTORS[name]["wire"])[:-1])


@pytest.mark.parametrize("name", ["hello", "audio_int16"])
def test_the_examples_in_the_protocol_are_the_vectors(name: str) -> None:
    blocks = dict(re.findall(rf"```(plain|wire) {name}\n(.*?)```", PROTOCOL, re.DOTALL))
    wire = bytes.fromhex(VECTORS[name]["wire"])
    assert bytes.fromhex(blocks["wire"]) == wire

    plain = bytes.fromhex("".join(line.split("|")[0] for line in blocks["plain"].splitlines()))
    assert plain[:-4] == decode(wire[:-1]).to_bytes()
    assert int.from_bytes(plain[-4:], "little") == zlib.crc32(plain[:-4])


@pytest.mark.parametrize(("title", "size"), [("Header", HEADER.size), ("HELLO (01)", 8), ("AUDIO (10)", 24)])
def test_the_tables_in_the_protocol_leave_no_byte_out(title: str, size: int) -> None:
    section = PROTOCOL.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [
        (int(offset), int(width)) for offset, width in re.findall(r"^\| +(\d+) \| +(\d+) \|", section, re.MULTILINE)
    ]
    ends = [offset + width for offset, width in rows]
    assert [offset for offset, _ in rows] == [0, *ends[:-1]]
    assert ends[-1] == size


def test_what_does_not_fit_its_field_is_refused_when_the_frame_is_made() -> None:
    audio = Audio(sample_index=0, rate_millihz=16_000_000, sample_format=SampleFormat.INT24, data=bytes(6), channels=2)
    changes: list[dict[str, Any]] = [
        {"sample_index": 2**64},
        {"rate_millihz": 0},
        {"data": b""},
        {"data": bytes(7)},
        {"data": bytes(8178)},
        {"channels": 0},
        {"gain_centidb": 40_000},
    ]
    for change in changes:
        with pytest.raises(FrameError, match=str(next(iter(change)))):
            Audio(**{**asdict(audio), **change})
    with pytest.raises(FrameError, match="length of model is 300, expected 0 to 255"):
        Hello(boot_id=1, model="é" * 150)
    with pytest.raises(FrameError, match="sequence"):
        Frame(sequence=-1, device_time_us=0, body=audio)
