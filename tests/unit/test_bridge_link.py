"""The bridge's link: any bytes, split and damaged in any way."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zlib

from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroear_bridge.errors import FrameError
from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello, SampleFormat, Uninterpreted
from hydroear_bridge.link import MAX_STUFFED, BadFrame, Decoder, decode, encode

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HELLOS = st.builds(
    Hello,
    boot_id=st.integers(0, 2**32 - 1),
    protocol_max=st.integers(1, 255),
    max_payload=st.integers(0, 8192),
    uid=st.binary(max_size=255),
    model=NAMES,
    hardware=NAMES,
    firmware=NAMES,
)


@st.composite
def audios(draw: st.DrawFn) -> Audio:
    sample_format, channels = draw(st.sampled_from(SampleFormat)), draw(st.integers(1, 4))
    size = draw(st.integers(1, 200)) * channels * sample_format.width
    return Audio(
        sample_index=draw(st.integers(0, 2**64 - 1)),
        rate_millihz=draw(st.integers(1, 2**32 - 1)),
        sample_format=sample_format,
        # Zeros and runs without any are what byte stuffing is about.
        data=draw(st.one_of(st.binary(min_size=size, max_size=size), st.just(bytes(size)), st.just(b"\xff" * size))),
        channels=channels,
        gain_centidb=draw(st.integers(-(2**15), 2**15 - 1)),
        flags=AudioFlags(draw(st.integers(0, 255))),
    )


OTHERS = st.builds(Uninterpreted, frame_type=st.integers(0x80, 0xFF), payload=st.binary(max_size=600))
FRAMES = st.builds(
    Frame,
    sequence=st.integers(0, 2**32 - 1),
    device_time_us=st.integers(0, 2**64 - 1),
    body=st.one_of(HELLOS, audios(), OTHERS),
    stream=st.integers(0, 255),
    flags=st.integers(0, 15),
)


@given(FRAMES)
def test_every_frame_survives_the_wire(frame: Frame) -> None:
    wire = encode(frame)
    assert wire.index(0) == len(wire) - 1 <= MAX_STUFFED
    assert decode(wire[:-1]) == frame


@given(st.lists(st.one_of(FRAMES.map(encode), st.binary(max_size=40)), max_size=8), st.data())
def test_a_stream_split_in_any_way_gives_the_same(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    whole = Decoder()
    expected = whole.receive(stream)

    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    for pieces in (
        [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])],
        [bytes([byte]) for byte in stream],
    ):
        decoder = Decoder()
        assert [item for piece in pieces for item in decoder.receive(piece)] == expected
        assert decoder.pending == whole.pending


@given(st.lists(FRAMES, min_size=3, max_size=8), st.binary(max_size=30), st.data())
def test_damage_costs_only_the_frames_it_touches(frames: list[Frame], garbage: bytes, data: st.DataObject) -> None:
    """Bytes altered, inserted or removed anywhere: all other frames arrive, and none that was not sent."""
    wires = [encode(frame) for frame in frames]
    ends = list(itertools.accumulate(len(wire) for wire in wires))
    first = data.draw(st.integers(0, ends[-1]))
    end = data.draw(st.integers(first, min(first + 40, ends[-1])))
    stream = b"".join(wires)
    received = Decoder().receive(b"\x00" + stream[:first] + garbage + stream[end:])

    arrived = [item for item in received if isinstance(item, Frame)]
    before = [frame for frame, stop in zip(frames, ends, strict=True) if stop <= first]
    # A frame after the damage is whole if the delimiter before it is.
    after = [frame for frame, start in zip(frames[1:], ends, strict=False) if start - 1 >= end]
    assert arrived[: len(before)] == before
    assert arrived[len(arrived) - len(after) :] == after
    assert all(frame in frames for frame in arrived)


@given(FRAMES, st.data())
def test_a_frame_with_a_wrong_checksum_is_never_given(frame: Frame, data: st.DataObject) -> None:
    plain = frame.to_bytes()
    wrong = data.draw(st.integers(0, 2**32 - 1).filter(lambda crc: crc != zlib.crc32(plain)))
    stuffed = cobs.encode(plain + wrong.to_bytes(4, "little"))
    received = Decoder().receive(b"\x00" + stuffed + b"\x00" + encode(frame))
    assert received == [BadFrame("checksum does not match", 1, len(stuffed)), frame]


@settings(max_examples=500)
@given(
    st.sampled_from([b"", b"\x01", b"\x01\x01\x00", b"\x01\x10\x00", b"\x02\x10\x00"]),
    st.binary(max_size=80),
)
def test_nonsense_with_a_right_checksum_is_a_frame_or_an_error(start: bytes, rest: bytes) -> None:
    """Firmware with a mistake in it must not bring the receiver down."""
    plain = start + rest
    try:
        frame = decode(cobs.encode(plain + zlib.crc32(plain).to_bytes(4, "little")))
    except FrameError as error:
        assert error.data  # noqa: PT017 - either outcome is right
    else:
        assert decode(encode(frame)[:-1]) == frame


def test_the_half_frame_in_which_listening_began_is_not_called_bad() -> None:
    wire = encode(Frame(sequence=1, device_time_us=0, body=Hello(boot_id=1)))
    frame, bad = Decoder().receive(wire[9:] + wire + wire[9:])
    assert isinstance(frame, Frame)
    assert isinstance(bad, BadFrame)
    assert (bad.offset, bad.size) == (2 * len(wire) - 9, len(wire) - 10)


def test_a_line_without_delimiters_takes_no_memory_and_is_told() -> None:
    frame = Frame(sequence=1, device_time_us=0, body=Hello(boot_id=1))
    decoder = Decoder()
    decoder.receive(b"\x00")
    for _ in range(2000):
        assert decoder.receive(b"\x55" * 1000) == []
    assert sum(len(value) for value in vars(decoder).values() if isinstance(value, bytearray)) <= MAX_STUFFED + 1
    (bad, good) = decoder.receive(b"\x00" + encode(frame))
    assert isinstance(bad, BadFrame)
    assert bad.size == 2_000_000
    assert good == frame


def test_the_longest_frame_fits() -> None:
    data = os.urandom(8172).replace(b"\x00", b"\x01")
    audio = Audio(sample_index=0, rate_millihz=48_000_000, sample_format=SampleFormat.INT16, data=data)
    frame = Frame(sequence=0, device_time_us=0, body=audio, stream=1)
    assert Decoder().receive(encode(frame)) == [frame]


def test_without_cobs_one_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['cobs'] = None; from hydroear_bridge.cli import main; sys.exit(main())"
    bridge = subprocess.run(
        [sys.executable, "-c", script, "sniff", "-"], input=b"\x01\x00", capture_output=True, check=False
    )
    assert bridge.returncode == 1
    assert bridge.stderr.decode().splitlines() == [
        "hydroear-bridge: error: the package cobs is missing; pip install 'hydroear[bridge]'"
    ]
