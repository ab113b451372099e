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

from fuzzing import fuzz
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
from hydroear_bridge.link import MAX_STUFFED, BadFrame, Decoder, decode, encode

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
FRACTIONS = st.floats(0, allow_infinity=False, width=32)
SENSORS = st.builds(
    Sensor,
    stream=st.integers(1, 255),
    kind=U8,
    unit=U8,
    adc_bits=U8,
    sensitivity_v_per_unit=FRACTIONS,
    full_scale_units=FRACTIONS,
    channels=st.integers(1, 255),
    formats=st.sets(st.sampled_from(SampleFormat)).map(lambda formats: tuple(sorted(formats))),
    rates_millihz=st.lists(st.integers(1, 2**32 - 1), max_size=9).map(tuple),
    gains_centidb=st.lists(st.integers(-(2**15), 2**15 - 1), max_size=9).map(tuple),
)
HELLOS = st.builds(
    Hello,
    boot_id=U32,
    protocol_max=st.integers(1, 255),
    max_payload=st.integers(0, 8192),
    uid=st.binary(max_size=255),
    model=NAMES,
    hardware=NAMES,
    firmware=NAMES,
    capabilities=U32.map(Capabilities),
    sensors=st.lists(SENSORS, max_size=3).map(tuple),
)


MAYBE_TEMPERATURE = st.none() | st.integers(-(2**15) + 1, 2**15 - 1)


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
        temperature_centicelsius=draw(MAYBE_TEMPERATURE),
    )


TIMES = st.builds(Time, receiver_sent_us=U64, device_received_us=U64, device_sent_us=U64) | st.builds(
    Time, receiver_sent_us=U64, utc_offset_us=st.integers(-(2**63), 2**63 - 1), uncertainty_us=st.integers(0, 2**32 - 2)
)
REQUESTS = st.one_of(
    st.builds(
        Start,
        rate_millihz=st.integers(1, 2**32 - 1),
        sample_format=st.sampled_from(SampleFormat),
        count=U16,
        gain_centidb=MAYBE_TEMPERATURE,
    ),
    st.just(Stop()),
    st.builds(Set, parameter=U16, value=st.integers(-(2**31), 2**31 - 1)),
    st.just(Selftest()),
    st.builds(Result, request_sequence=U32, request_type=U8, code=U8, value=st.integers(-(2**63), 2**63 - 1)),
)
MAYBE_U16 = st.none() | st.integers(0, 2**16 - 2)
REPORTS = st.one_of(
    st.builds(
        Status,
        battery_mv=MAYBE_U16,
        supply_mv=MAYBE_U16,
        temperature_centicelsius=MAYBE_TEMPERATURE,
        humidity_centipercent=MAYBE_U16,
        frames_dropped=U32,
        charge_percent=st.none() | st.integers(0, 100),
        reset_cause=U8,
        sensors=st.lists(
            st.builds(
                SensorStatus, stream=st.integers(1, 255), adc_overruns=U32, drops=U32, clips=U32, rms=U32, peak=U32
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(Event, time_us=U64, number=U32, event=U16, begun=st.booleans(), value=st.integers(-(2**31), 2**31 - 1)),
    st.builds(Log, level=U8, text=TEXT),
)
RECORDINGS = st.builds(
    Recording,
    recording=U32,
    size=U64,
    crc32=U32,
    start_utc_us=st.none() | st.integers(1, 2**64 - 1),
    duration_ms=U32,
    state=U8,
)
STORE = st.one_of(
    st.builds(RecList, from_recording=U32, recordings=st.lists(RECORDINGS, max_size=5).map(tuple)),
    st.builds(RecRead, recording=U32, offset=U64, length=U32),
    st.builds(RecData, recording=U32, offset=U64, data=st.binary(min_size=1, max_size=600)),
    st.builds(RecErase, recording=U32, crc32=U32),
)


OTHERS = st.builds(Uninterpreted, frame_type=st.integers(0x80, 0xFF), payload=st.binary(max_size=600))
FRAMES = st.builds(
    Frame,
    sequence=st.integers(0, 2**32 - 1),
    device_time_us=st.integers(0, 2**64 - 1),
    body=st.one_of(HELLOS, TIMES, REQUESTS, audios(), REPORTS, STORE, OTHERS),
    stream=st.integers(0, 255),
    flags=st.integers(0, 15),
)


@settings(deadline=None)
@given(FRAMES)
def test_every_frame_survives_the_wire(frame: Frame) -> None:
    wire = encode(frame)
    assert wire.index(0) == len(wire) - 1 <= MAX_STUFFED
    assert decode(wire[:-1]) == frame


@fuzz(100)
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


@fuzz(100)
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


@settings(deadline=None)
@given(FRAMES, st.data())
def test_a_frame_with_a_wrong_checksum_is_never_given(frame: Frame, data: st.DataObject) -> None:
    plain = frame.to_bytes()
    wrong = data.draw(st.integers(0, 2**32 - 1).filter(lambda crc: crc != zlib.crc32(plain)))
    stuffed = cobs.encode(plain + wrong.to_bytes(4, "little"))
    received = Decoder().receive(b"\x00" + stuffed + b"\x00" + encode(frame))
    assert received == [BadFrame("checksum does not match", 1, len(stuffed)), frame]


@fuzz(500)
@given(
    st.sampled_from([b"", b"\x01", b"\x02\x10\x00", *(bytes([1, kind, 0]) for kind in FrameType)]),
    st.binary(max_size=80),
)
def test_nonsense_with_a_right_checksum_is_a_frame_or_an_error(start: bytes, rest: bytes) -> None:
    """Firmware with a mistake in it must not bring the receiver down."""
    check_nonsense(start + rest)


@fuzz(300)
@given(FRAMES, st.data())
def test_frames_with_other_bytes_in_them_under_a_right_checksum_are_frames_or_errors(
    frame: Frame, data: st.DataObject
) -> None:
    plain = frame.to_bytes()
    first = data.draw(st.integers(0, len(plain)))
    end = data.draw(st.integers(first, min(first + 8, len(plain))))
    check_nonsense(plain[:first] + data.draw(st.binary(max_size=8)) + plain[end:])


def check_nonsense(plain: bytes) -> None:
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


def test_nothing_between_delimiters_is_no_fault() -> None:
    frame = Frame(sequence=1, device_time_us=0, body=Hello(boot_id=1))
    assert Decoder().receive(b"\0\0\0" + encode(frame) + b"\0\0" + encode(frame) + b"\0") == [frame, frame]


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
