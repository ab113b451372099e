"""The bridge's frames against bytes that another implementation made, and against the protocol's text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobs import cobs
from smp.image_management import ImageStatesReadRequest, ImageUploadWriteResponse

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Capabilities,
    Event,
    Frame,
    FrameType,
    Hello,
    Log,
    RecData,
    RecErase,
    RecList,
    Recording,
    RecRead,
    Result,
    SampleFormat,
    Selftest,
    Sensor,
    SensorStatus,
    Set,
    Start,
    Status,
    Stop,
    Time,
    Uninterpreted,
)
from hydroear_bridge.link import decode, encode
from hydroear_bridge.sniff import as_json, describe

BRIDGE = Path(__file__).parents[2] / "firmware_bridge"
PROTOCOL = (BRIDGE / "PROTOCOL.md").read_text()
VECTORS = {path.stem: json.loads(path.read_text()) for path in sorted((BRIDGE / "vectors").glob("*.json"))}
GOOD = [name for name, vector in VECTORS.items() if "error" not in vector]
BAD = [name for name, vector in VECTORS.items() if "error" in vector]
EXAMPLES = re.findall(r"^`(\w+)`: ", PROTOCOL, re.MULTILINE)
SECTIONS = {
    "Header": 16,
    "HELLO (01)": 8,
    "Sensor item of HELLO": 16,
    "TIME (02)": 36,
    "START (03), STOP (04)": 10,
    "SET (05)": 8,
    "RESULT (07)": 16,
    "AUDIO (10)": 24,
    "STATUS (11)": 16,
    "Sensor block of STATUS": 24,
    "EVENT (12)": 20,
    "LOG (13)": 2,
    "REC_LIST (20)": 8,
    "Entry of REC_LIST": 32,
    "REC_READ (21)": 16,
    "REC_DATA (22)": 16,
    "REC_ERASE (23)": 8,
}
"""Sections of the protocol with a table of fields, and the bytes these take."""


PLAIN = {body.TYPE.name.lower(): body for body in (Time, Stop, Set, Selftest, Result, Event, Log, RecRead, RecErase)}


def described(fields: dict[str, Any]) -> Frame:
    header = {key: value for key, value in fields.items() if key != "body"}
    return Frame(**header, body=described_body(dict(fields["body"])))


def described_body(body: dict[str, Any]) -> Any:
    kind = body.pop("type")
    match kind:
        case "hello":
            body["uid"] = bytes.fromhex(body["uid"])
            body["capabilities"] = Capabilities(body.get("capabilities", 0))
            body["sensors"] = tuple(described_sensor(sensor) for sensor in body.get("sensors", []))
            return Hello(**body)
        case "audio":
            flags, data = AudioFlags(body.pop("flags")), bytes.fromhex(body.pop("data"))
            sample_format = SampleFormat[body.pop("format").upper()]
            return Audio(**body, sample_format=sample_format, flags=flags, data=data)
        case "start":
            return Start(**{**body, "sample_format": SampleFormat[body["sample_format"].upper()]})
        case "status":
            return Status(**{**body, "sensors": tuple(SensorStatus(**sensor) for sensor in body["sensors"])})
        case "rec_list":
            return RecList(**{**body, "recordings": tuple(Recording(**entry) for entry in body["recordings"])})
        case "rec_data":
            return RecData(**{**body, "data": bytes.fromhex(body["data"])})
        case str():
            return PLAIN[kind](**body)
    return Uninterpreted(frame_type=kind, payload=bytes.fromhex(body["payload"]))


def described_sensor(sensor: dict[str, Any]) -> Sensor:
    lists = {key: tuple(sensor[key]) for key in ("rates_millihz", "gains_centidb")}
    formats = tuple(SampleFormat[name.upper()] for name in sensor["formats"])
    return Sensor(**{**sensor, **lists, "formats": formats})


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


@pytest.mark.parametrize("name", GOOD)
def test_a_good_vector_is_told_in_one_line_and_as_json(name: str) -> None:
    frame = decode(bytes.fromhex(VECTORS[name]["wire"])[:-1])
    kind = VECTORS[name]["frame"]["body"]["type"]
    assert (kind.upper() if isinstance(kind, str) else f"0x{kind:02x}") in describe(frame)
    assert "\n" not in describe(frame)
    assert json.loads(json.dumps(as_json(frame)))["type"] == (kind if isinstance(kind, str) else f"0x{kind:02x}")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_vector_is_refused(name: str) -> None:
    with pytest.raises(FrameError) as error:
        decode(bytes.fromhex(VECTORS[name]["wire"])[:-1])
    assert error.value.data
    assert "\n" not in str(error.value)


def test_bad_vectors_but_those_of_the_link_are_refused_for_what_they_say_not_for_damage() -> None:
    for name in set(BAD) - {"bad_crc", "bad_stuffing"}:
        plain = cobs.decode(bytes.fromhex(VECTORS[name]["wire"])[:-1])
        assert zlib.crc32(plain[:-4]) == int.from_bytes(plain[-4:], "little")


def test_no_vector_was_edited(tmp_path: Path) -> None:
    """The program that made them makes the same again."""
    maker = tmp_path / "make_vectors.py"
    maker.write_bytes((BRIDGE / "vectors" / maker.name).read_bytes())
    subprocess.run([sys.executable, maker], check=True)
    assert {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")} == VECTORS


def test_every_type_of_frame_has_a_vector_and_an_example() -> None:
    assert set(FrameType) <= {code(name) for name in GOOD}
    assert set(FrameType) - {code(name) for name in EXAMPLES} == {FrameType.STOP, FrameType.SELFTEST}  # without fields


def code(name: str) -> int:
    """Type of a vector's frame; those that the codec does not look into have it as a number."""
    kind = VECTORS[name]["frame"]["body"]["type"]
    return FrameType[kind.upper()] if isinstance(kind, str) else int(kind)


def test_the_packets_of_smp_are_what_another_implementation_reads() -> None:
    asked, told = (bytes.fromhex(VECTORS[name]["frame"]["body"]["payload"]) for name in ("smp", "smp_response"))
    assert bytes(ImageStatesReadRequest.loads(asked)) == asked
    assert bytes(ImageStatesReadRequest(sequence=5)) == asked
    assert ImageUploadWriteResponse.loads(told).off == 939


def test_the_capabilities_in_the_protocol_are_those_of_the_code() -> None:
    section = PROTOCOL.split("| capability | the device |\n")[1].split("\n\n")[0]
    listed = re.findall(r"^\| +([0-9A-F]+) \| ", section, re.MULTILINE)
    assert [int(value, 16) for value in listed] == [one.value for one in Capabilities]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_the_protocol_are_the_vectors(name: str) -> None:
    blocks = dict(re.findall(rf"```(plain|wire) {name}\n(.*?)```", PROTOCOL, re.DOTALL))
    wire = bytes.fromhex(VECTORS[name]["wire"])
    assert bytes.fromhex(blocks["wire"]) == wire

    plain = bytes.fromhex("".join(line.split("|")[0] for line in blocks["plain"].splitlines()))
    assert plain[:-4] == decode(wire[:-1]).to_bytes()
    assert int.from_bytes(plain[-4:], "little") == zlib.crc32(plain[:-4])


def test_every_table_of_fields_is_checked() -> None:
    titles = re.findall(r"^## (.*)\n(?:(?!## ).*\n)*?\| offset ", PROTOCOL, re.MULTILINE)
    assert titles == list(SECTIONS)


@pytest.mark.parametrize(("title", "size"), SECTIONS.items())
def test_the_tables_in_the_protocol_leave_no_byte_out(title: str, size: int) -> None:
    section = PROTOCOL.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [
        (int(offset), int(width)) for offset, width in re.findall(r"^\| +(\d+) \| +(\d+) \|", section, re.MULTILINE)
    ]
    ends = [offset + width for offset, width in rows]
    assert [offset for offset, _ in rows] == [0, *ends[:-1]]
    assert ends[-1] == size


def test_the_types_in_the_protocol_are_those_of_the_code() -> None:
    listed = re.findall(r"^\| ([0-9A-F]{2})       \| (\w+) ", PROTOCOL, re.MULTILINE)
    assert {name: int(code, 16) for code, name in listed if name.isupper()} == {
        kind.name: kind.value for kind in FrameType
    }


def test_the_baud_rates_in_the_protocol_are_enough() -> None:
    section = PROTOCOL.split("## Which baud rate\n")[1].split("\n## ")[0]
    common = [int(number) for number in re.findall(r"\d{6,8}", section.strip().split("\n\n")[-1])]
    rows = re.findall(r"^\| (\d+) \| (int\d+) \| (.*) \|$", section, re.MULTILINE)
    assert len(common) > 5
    assert len(rows) > 5
    for rate_hz, name, numbers in rows:
        channels, frame_ms, size, bits_per_s, baud = (int(number) for number in numbers.split(" | "))
        sample_format = SampleFormat[name.upper()]
        audio = Audio(
            sample_index=2**64 - 1,
            rate_millihz=1000 * int(rate_hz),
            sample_format=sample_format,
            data=b"\xff" * (int(rate_hz) * frame_ms // 1000 * channels * sample_format.width),
            channels=channels,
            temperature_centicelsius=-1,
        )
        plain = len(Frame(sequence=0, device_time_us=0, stream=1, body=audio).to_bytes()) + 4
        assert size == plain + plain // 254 + 1 + 1  # at worst, a byte for each 254 and one more, and the delimiter
        assert bits_per_s == 10 * size * 1000 // frame_ms
        assert baud == min(rate for rate in common if 10 * bits_per_s <= 9 * rate)


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
        {"temperature_centicelsius": -(2**15)},
    ]
    for change in changes:
        with pytest.raises(FrameError, match=str(next(iter(change)))):
            Audio(**{**asdict(audio), **change})
    with pytest.raises(FrameError, match="length of model is 300, expected 0 to 255"):
        Hello(boot_id=1, model="é" * 150)
    with pytest.raises(FrameError, match="sequence"):
        Frame(sequence=-1, device_time_us=0, body=audio)
