"""Captured bytes as they are played again: what is kept to the byte, what is not, and when."""

from __future__ import annotations

import pytest

from hydroear_bridge.faults import STALL_S, Faults, Link
from hydroear_bridge.frames import (
    FOR_ANOTHER,
    Audio,
    Body,
    Capabilities,
    Frame,
    Hello,
    Log,
    RecData,
    RecList,
    Result,
    SampleFormat,
    Status,
    Time,
    Uninterpreted,
)
from hydroear_bridge.link import Decoder, encode
from hydroear_bridge.playback import carried, pieces
from hydroear_bridge.session import Answer, Session
from hydroear_bridge.simulator import simulate

ALL = Capabilities(0xFF)


def wire(body: Body, *, sequence: int = 0, at_s: float = 0.0, stream: int = 0) -> bytes:
    return encode(Frame(sequence=sequence, device_time_us=round(1e6 * at_s), stream=stream, body=body))


def audio(index: int = 0, count: int = 160) -> Audio:
    return Audio(sample_index=index, rate_millihz=8_000_000, sample_format=SampleFormat.INT16, data=bytes(2 * count))


def played(captured: bytes) -> bytes:
    return b"".join(piece.wire for piece in pieces(captured))


def test_what_the_device_said_of_its_own_accord_is_played_to_the_byte_with_all_damage() -> None:
    faults = Faults(loss=0.05, corrupt=0.05, noise=1e-4, duplicate=0.05)
    sent = b"".join(one.wire for one in simulate(duration_s=5.0, faults=faults, seed=2))
    # Nothing in it was an answer, and its HELLO offers nothing that could not be kept.
    assert played(sent) == sent.removeprefix(b"\0").replace(b"\0\0", b"\0")
    assert Decoder().receive(b"\0" + played(sent)) != []


def test_the_half_frame_that_a_capture_begins_with_is_left_out_and_the_one_it_ends_with_is_not() -> None:
    whole = wire(audio(), sequence=4)
    assert played(whole[7:] + whole + whole[:9]) == whole + whole[:9]
    assert played(whole + whole) == whole + whole
    assert [piece.frame is None for piece in pieces(whole + whole[:-1])] == [False, True]


def test_a_hello_offers_only_what_is_kept_without_hearing_anybody() -> None:
    hello = Hello(boot_id=7, uid=b"abc", model="pipe ear", capabilities=ALL, max_payload=2048)
    # What a later revision says of itself is not for us to leave out.
    later = Uninterpreted(frame_type=Hello.TYPE, payload=hello.to_bytes() + b"\x63\x02hi")
    (piece,) = pieces(wire(later))
    (frame,) = Decoder().receive(piece.wire)
    assert isinstance(frame, Frame)
    assert isinstance(frame.body, Hello)
    assert frame.body.capabilities == Capabilities.STATUS | Capabilities.EVENT | Capabilities.LOG
    assert (frame.body.boot_id, frame.body.uid, frame.body.model) == (7, b"abc", "pipe ear")
    assert b"\x63\x02hi" in piece.wire


@pytest.mark.parametrize(
    "answer",
    [
        Time(receiver_sent_us=1_500_000, device_received_us=10, device_sent_us=20),
        Result(request_sequence=0, request_type=3),
        RecList(),
        RecData(recording=1, offset=0, data=b"x"),
    ],
)
def test_nobody_takes_for_his_own_what_somebody_else_was_answered(answer: Body) -> None:
    session = Session(0.0)
    session.receive(b"\0" + wire(Hello(boot_id=1)), 0.5)
    number = session.request(RecList(), 1.0)
    told = session.receive(played(wire(answer, sequence=1)), 2.0)
    assert not any(isinstance(one, Answer) and one.number == number for one in told)
    assert session.clock.time_s(0) is None
    (frame,) = told
    assert isinstance(frame, Frame)
    assert (frame.sequence, frame.flags) == (1, FOR_ANOTHER)
    assert session.receive(wire(Log(level=1, text="next"), sequence=2), 2.1) != []


def test_a_frame_is_due_when_the_device_sent_it() -> None:
    captured = (
        wire(Hello(boot_id=1), sequence=10, at_s=100.0)
        + wire(audio(), sequence=11, at_s=100.0, stream=1)
        + b"damage\0"
        + wire(Status(), sequence=12, at_s=100.5)
        + wire(audio(960), sequence=13, at_s=100.12, stream=1)
        + wire(audio(8000), sequence=14, at_s=101.0, stream=1)
    )
    assert [piece.due_s for piece in pieces(captured)] == pytest.approx([0.0, 0.02, 0.02, 0.5, 0.5, 1.02])
    assert [piece.end for piece in pieces(captured)][-1] == len(captured)


def test_a_boot_comes_as_soon_as_it_can_have_and_a_frame_of_before_it_changes_no_time() -> None:
    captured = (
        wire(Hello(boot_id=1), sequence=0, at_s=0.0)
        + wire(audio(0), sequence=1, at_s=5000.0, stream=1)
        + wire(audio(160), sequence=2, at_s=5000.02, stream=1)
        + wire(Hello(boot_id=2), sequence=0, at_s=0.25)
        + wire(audio(160), sequence=2, at_s=5000.02, stream=1)[:-3]
        + b"\0"
        + wire(audio(0), sequence=1, at_s=0.5, stream=1)
        + wire(audio(0), sequence=1, at_s=5000.0, stream=1)
        + wire(audio(160), sequence=2, at_s=0.52, stream=1)
    )
    last_s = 5000.04
    expected = [0.0, 5000.02, last_s, last_s + 0.25, last_s + 0.25, last_s + 0.52, last_s + 0.52, last_s + 0.54]
    assert [piece.due_s for piece in pieces(captured)] == pytest.approx(expected)


def test_a_link_with_faults_holds_up_loses_and_gives_back_what_it_held_up() -> None:
    captured = b"".join(one.wire for one in simulate(duration_s=20.0))
    held = list(carried(pieces(captured), Link(Faults(stall=0.1), 1)))
    assert b"".join(data for _, data in held) == played(captured)
    assert held[-1][0] == pytest.approx(20.0 + STALL_S)
    assert sum(not data for _, data in held) > 50
    lossy = b"".join(data for _, data in carried(pieces(captured), Link(Faults(loss=0.5), 1)))
    assert 0.3 < lossy.count(b"\0") / captured.count(b"\0") < 0.7
