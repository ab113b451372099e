"""What was lost, and where: the account against links and devices that lose known frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydroear_bridge.account import Account, FramesLost, Restart, SamplesLost, Stale
from hydroear_bridge.faults import Faults
from hydroear_bridge.frames import Audio, AudioFlags, Frame, Hello, SampleFormat
from hydroear_bridge.simulator import simulate
from hydroear_bridge.sniff import Summary, events


def audio(sequence: int, index: int, *, stream: int = 1, flags: AudioFlags = AudioFlags(0)) -> Frame:  # noqa: B008
    body = Audio(
        sample_index=index, rate_millihz=8_000_000, sample_format=SampleFormat.INT16, data=bytes(20), flags=flags
    )
    return Frame(sequence=sequence, device_time_us=0, stream=stream, body=body)


def hello(sequence: int, boot_id: int, *, at_us: int = 0) -> Frame:
    return Frame(sequence=sequence, device_time_us=at_us, body=Hello(boot_id=boot_id))


def told(*frames: Frame) -> list[object]:
    account = Account()
    return [entry for frame in frames for entry in account.receive(frame)]


@settings(deadline=None)
@given(
    loss=st.floats(0, 0.6),
    corrupt=st.floats(0, 0.4),
    seed=st.integers(0, 2**40),
    rate_hz=st.sampled_from([2000, 7813, 16000]),
)
def test_exactly_what_the_link_lost_is_told(loss: float, corrupt: float, seed: int, rate_hz: int) -> None:
    sent = list(simulate(duration_s=2.5, rate_hz=rate_hz, faults=Faults(loss=loss, corrupt=corrupt), seed=seed))
    summary = Summary()
    stream = list(events([item.wire for item in sent], summary))

    assert [event for event in stream if isinstance(event, Frame)] == [item.frame for item in sent if item.arrives]
    lost = [item.frame for item in sent if not item.arrives]
    lost_frames = [e.first_sequence + i for e in stream if isinstance(e, FramesLost) for i in range(e.count)]
    assert lost_frames == [frame.sequence for frame in lost]

    lost_audio = [frame.body for frame in lost if isinstance(frame.body, Audio)]
    gaps = [event for event in stream if isinstance(event, SamplesLost)]
    lost_samples = [gap.first_index + i for gap in gaps for i in range(gap.count)]
    assert lost_samples == [i for body in lost_audio for i in range(body.sample_index, body.end_index)]
    assert {gap.place for gap in gaps} <= {"link"}
    sent_audio = [item.frame.body for item in sent if isinstance(item.frame.body, Audio)]
    assert summary.samples + len(lost_samples) == sum(body.count for body in sent_audio)
    assert summary.samples_lost == {"device": 0, "link": len(lost_samples), "unknown": 0}
    assert summary.bad_frames > 0 or not any(item.wire and not item.arrives for item in sent)


def test_the_rates_of_loss_are_those_asked_for() -> None:
    sent = list(simulate(duration_s=40, rate_hz=1000, faults=Faults(loss=0.2, corrupt=0.1), seed=1))
    dropped = sum(not item.wire for item in sent) / len(sent)
    spoiled = sum(bool(item.wire) and not item.arrives for item in sent) / len(sent)
    assert dropped == pytest.approx(0.2, abs=0.03)
    assert spoiled == pytest.approx(0.8 * 0.1, abs=0.02)


def test_faults_do_not_alter_the_samples() -> None:
    clean = [item.frame for item in simulate(duration_s=1, seed=3)]
    assert [item.frame for item in simulate(duration_s=1, seed=3, faults=Faults(loss=0.5, corrupt=0.5))] == clean


def test_an_index_that_jumps_alone_was_lost_on_the_device() -> None:
    assert told(audio(0, 0), audio(1, 35, flags=AudioFlags.GAP)) == [SamplesLost(1, 10, 25, "device")]


def test_an_index_that_jumps_with_the_sequence_was_lost_on_the_link() -> None:
    assert told(audio(0, 0), audio(3, 30)) == [FramesLost(1, 2), SamplesLost(1, 10, 20, "link")]


def test_a_frame_lost_earlier_explains_the_jump_of_every_stream_once() -> None:
    """The link lost frames of two streams; only one of them is heard right after."""
    frames = [audio(0, 0, stream=1), audio(1, 0, stream=2), hello(5, 1), audio(6, 20, stream=1), audio(7, 20, stream=2)]
    assert told(*frames, audio(8, 40, stream=2)) == [
        FramesLost(2, 3),
        SamplesLost(1, 10, 10, "link"),
        SamplesLost(2, 10, 10, "link"),
        SamplesLost(2, 30, 10, "device"),
    ]


def test_where_both_lost_the_place_is_unknown() -> None:
    assert told(audio(0, 0), audio(2, 99, flags=AudioFlags.GAP)) == [
        FramesLost(1, 1),
        SamplesLost(1, 10, 89, "unknown"),
    ]


def test_the_sequence_wraps_without_loss() -> None:
    last = 2**32 - 1
    assert told(audio(last, 0), audio(0, 10)) == []
    assert told(audio(last - 1, 0), audio(1, 30)) == [FramesLost(last, 2), SamplesLost(1, 10, 20, "link")]


def test_a_new_boot_resets_both_counts() -> None:
    assert told(hello(0, 7), audio(1, 0), audio(2, 10), hello(0, 8), audio(1, 0)) == [Restart(8)]
    assert told(hello(0, 7), audio(1, 0), hello(900, 8), audio(901, 5000)) == [Restart(8)]
    assert told(audio(500, 0), hello(0, 8), audio(1, 0)) == [Restart(8)]


def test_a_hello_of_an_earlier_boot_that_comes_late_is_no_boot() -> None:
    late = [hello(0, 7), audio(1, 0), hello(0, 8), audio(1, 0), hello(40, 7), audio(2, 10)]
    assert told(*late) == [Restart(8), Stale(40)]


def test_a_boot_id_taken_again_is_believed_when_it_is_said_twice() -> None:
    """A device must not take it: but one that does would not be heard until it boots again."""
    boots = [hello(0, 7), audio(1, 0), hello(0, 8), audio(1, 0)]
    again = [hello(0, 7), audio(1, 0), hello(9, 7, at_us=2), audio(10, 90)]
    assert told(*boots, *again, hello(11, 7, at_us=4)) == [Restart(8), Stale(0), Stale(1), Restart(7)]
    assert told(*boots, *again, hello(0, 8), hello(1, 8, at_us=2))[-2:] == [Stale(0), Restart(8)]
    short = [hello(0, 7), audio(2, 30), hello(9, 7, at_us=2), audio(10, 90)]
    assert told(*boots, *short)[-1] == Restart(7), "some of it looks as if it were of the boot before"


def test_hellos_of_earlier_boots_that_come_late_are_no_id_taken_again() -> None:
    boots = [hello(0, 6), hello(0, 7), hello(0, 8), audio(1, 0)]
    heard = [Restart(7), Restart(8)]
    assert told(*boots, hello(4, 7, at_us=4), hello(4, 7, at_us=4), hello(2, 7, at_us=2)) == [
        *heard,
        *(Stale(4), Stale(4), Stale(2)),
    ]
    assert told(*boots, hello(4, 6, at_us=4), hello(5, 7, at_us=5)) == [*heard, Stale(4), Stale(5)]
    between = [hello(4, 7, at_us=4), hello(2, 8, at_us=2), hello(6, 7, at_us=6)]
    assert told(*boots, *between) == [*heard, Stale(4), Stale(6)]


def test_a_frame_of_an_earlier_boot_that_comes_late_makes_nobody_deaf() -> None:
    """It looks like one far ahead, behind which all that follows lies."""
    late = [hello(0, 7), audio(9000, 0), hello(0, 8), audio(1, 0), audio(9001, 90)]
    deaf = [audio(2, 10), hello(3, 8, at_us=2), audio(4, 20), hello(5, 8, at_us=4), audio(6, 30), audio(7, 40)]
    assert told(*late, *deaf) == [
        FramesLost(1, 8999),
        Restart(8),
        FramesLost(2, 8999),
        SamplesLost(1, 10, 80, "link"),
        *(Stale(2), Stale(3), Stale(4)),
        Restart(8),
    ]


def test_hellos_that_come_late_are_no_mistake() -> None:
    frames = [hello(0, 7), audio(1, 0), hello(8, 7, at_us=8)]
    late = [hello(2, 7, at_us=2), hello(4, 7, at_us=4), hello(8, 7, at_us=8), audio(9, 10)]
    assert told(*frames, *late) == [FramesLost(2, 6), Stale(2), Stale(4), Stale(8)]
    younger = [hello(6, 7, at_us=9), audio(9, 10), hello(7, 7, at_us=10), audio(10, 20)]
    assert told(*frames, *younger) == [FramesLost(2, 6), Stale(6), Stale(7)]


def test_what_was_lost_before_the_first_audio_counts_if_the_boot_was_heard() -> None:
    assert told(hello(0, 7), audio(2, 10)) == [FramesLost(1, 1), SamplesLost(1, 0, 10, "link")]
    assert told(hello(0, 7), audio(1, 10)) == [SamplesLost(1, 0, 10, "device")]
    assert told(hello(3, 7), audio(4, 10)) == []
    assert told(hello(0, 7), hello(3, 8), audio(4, 10)) == [Restart(8)]


def test_a_repeated_hello_resets_nothing() -> None:
    assert told(hello(0, 7), audio(1, 0), hello(2, 7), audio(4, 20)) == [
        FramesLost(3, 1),
        SamplesLost(1, 10, 10, "link"),
    ]


def test_a_repeat_and_a_boot_not_announced_are_not_used() -> None:
    assert told(hello(0, 7), audio(1, 0), audio(2, 10), audio(1, 0), audio(3, 20)) == [Stale(1)]
    unannounced = [audio(1, 0), audio(2, 10), hello(3, 8), audio(4, 30)]
    assert told(hello(50, 7), audio(51, 0), *unannounced) == [Stale(1), Stale(2), Restart(8)]
    assert told(audio(0, 50), audio(1, 20), audio(2, 60)) == [Stale(1)]
