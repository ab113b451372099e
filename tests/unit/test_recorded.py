"""What a logger has recorded, piece by piece: every sample in its place, whatever happened to the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from hydroear.capture.recorded import Beginning, Loss, Run, Told, beginning, hear
from hydroear.config.schema import LoggerSource
from hydroear.errors import CaptureError
from hydroear_bridge.frames import Audio, Body, Frame, Hello, SampleFormat, Status
from hydroear_bridge.link import DELIMITER, encode

RATE_HZ = 16_000
FRAME = 320
PORT = "tcp://pole:4000"


class Memory:
    """The bytes that a device has written."""

    def __init__(self) -> None:
        self.wires: list[bytes] = [DELIMITER]
        self._sequence = self._index = 0
        self._began_us = 5_000_000

    def boot(self, boot_id: int) -> None:
        self._sequence = self._index = 0
        self.say(Hello(boot_id=boot_id))

    def say(self, body: Body, *, stream: int = 0, device_us: int = 0) -> None:
        self.wires.append(encode(Frame(sequence=self._sequence, device_time_us=device_us, stream=stream, body=body)))
        self._sequence += 1

    def stop(self, seconds: float) -> None:
        """Take no samples for so long."""
        self._began_us += round(1e6 * seconds)

    def record(
        self,
        frames: int = 1,
        *,
        lose: int = 0,
        stream: int = 1,
        channels: int = 1,
        rate_hz: int = RATE_HZ,
        gain: int = 0,
    ) -> None:
        """Take samples that tell their index, after some that are lost on the device."""
        self._index += lose
        for _ in range(frames):
            places = np.repeat(np.arange(self._index, self._index + FRAME) % 1000 - 500, channels)
            audio = Audio(
                sample_index=self._index,
                rate_millihz=1000 * rate_hz,
                sample_format=SampleFormat.INT16,
                data=places.astype("<i2").tobytes(),
                channels=channels,
                gain_centidb=100 * gain,
            )
            self.say(audio, stream=stream, device_us=self._began_us + round(1e6 * self._index / rate_hz))
            self._index += FRAME

    def parts(self, size: int = 1000) -> Iterator[bytes]:
        data = b"".join(self.wires)
        return (data[at : at + size] for at in range(0, len(data), size))


def settings(**options: object) -> LoggerSource:
    return LoggerSource.model_validate({"type": "logger", "port": PORT, **options})


def heard(memory: Memory, **options: object) -> list[Run | Loss]:
    """Runs and losses, which leave no place out."""
    pieces = [one for one in hear(memory.parts(), settings(**options)) if not isinstance(one, Told)]
    ends = [piece.end if isinstance(piece, Run) else piece.first + piece.count for piece in pieces]
    assert pieces[0].first == 0
    assert [piece.first for piece in pieces[1:]] == ends[:-1]
    return pieces


def assert_in_place(pieces: list[Run | Loss]) -> None:
    for run in (piece for piece in pieces if isinstance(piece, Run)):
        np.testing.assert_array_equal(run.samples[:, 0], (np.arange(run.first, run.end) % 1000 - 500) / 2**15)


def test_samples_come_in_long_runs_in_their_places() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(250)
    pieces = heard(memory)
    assert [(type(piece), len(piece.samples)) for piece in pieces if isinstance(piece, Run)] == [
        (Run, 100 * FRAME),
        (Run, 100 * FRAME),
        (Run, 50 * FRAME),
    ]
    assert_in_place(pieces)


def test_what_was_lost_and_where_is_told_in_its_place() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(3)
    memory.record(2, lose=77)
    memory.record(4)
    del memory.wires[2]  # the first frame of audio
    damaged = bytearray(memory.wires[-2])
    damaged[20] ^= 0x55
    memory.wires[-2] = bytes(damaged)
    pieces = heard(memory)
    assert [(piece.first, piece.count, piece.reason) for piece in pieces if isinstance(piece, Loss)] == [
        (0, FRAME, "lost on the way"),
        (3 * FRAME, 77, "lost on the device"),
        (7 * FRAME + 77, FRAME, "lost on the way"),
    ]
    assert_in_place(pieces)


def test_a_recording_that_begins_in_the_middle_begins_with_what_is_there() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(9)
    del memory.wires[1:4]
    pieces = heard(memory)
    assert [(piece.first, len(piece.samples)) for piece in pieces if isinstance(piece, Run)] == [(0, 7 * FRAME)]
    assert beginning(memory.parts(), 1) == Beginning(None, 5_000_000 + 2 * 20_000)


def test_its_beginning_is_that_of_the_first_sample_though_that_is_lost() -> None:
    memory = Memory()
    memory.boot(0xCAFE)
    memory.say(Status())
    memory.record(3)
    del memory.wires[3]
    assert beginning(memory.parts(), 1) == Beginning(0xCAFE, 5_000_000)
    assert beginning(memory.parts(), 2) is None


def test_a_boot_within_is_a_loss_of_unknown_length() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(3)
    memory.boot(2)
    memory.record(3)
    (first, loss, second) = heard(memory)
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert loss == Loss(3 * FRAME, 1, "the device started anew while it recorded")
    np.testing.assert_array_equal(first.samples, second.samples)


def test_a_stop_within_is_a_loss_of_its_length() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(3)
    memory.stop(1.5)
    memory.record(2, lose=77)
    (first, *losses, second) = heard(memory)
    assert isinstance(first, Run)
    assert isinstance(second, Run)
    assert losses == [
        Loss(3 * FRAME, 77, "lost on the device"),
        Loss(3 * FRAME + 77, 24_000, "the device was stopped"),
    ]
    assert (len(first.samples), len(second.samples)) == (3 * FRAME, 2 * FRAME)


def test_times_that_are_a_little_off_are_no_stop() -> None:
    memory = Memory()
    memory.boot(1)
    for _ in range(50):
        memory.record(1)
        memory.stop(0.02)
    assert all(isinstance(piece, Run) for piece in heard(memory))


def test_other_sensors_are_left_out_and_other_frames_come_with_their_place() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(2)
    memory.say(Status(battery_mv=3600))
    memory.record(2, stream=2)
    others = [(one.at, type(one.frame.body)) for one in hear(memory.parts(), settings()) if isinstance(one, Told)]
    assert others == [(0, Hello), (2 * FRAME, Status)]
    assert sum(len(piece.samples) for piece in heard(memory) if isinstance(piece, Run)) == 2 * FRAME


def test_levels_are_those_at_the_gain_that_is_asked_for() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(1, gain=20)
    (plain,), (raised,) = heard(memory), heard(memory, gain_db=20.0)
    assert isinstance(plain, Run)
    assert isinstance(raised, Run)
    np.testing.assert_allclose(plain.samples, raised.samples / 10.0, rtol=1e-6)


def test_the_channels_are_those_that_are_named() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(2, channels=3)
    (run,) = heard(memory, channels=3, channel=3, reference_channel=1)
    assert isinstance(run, Run)
    assert run.samples.shape == (2 * FRAME, 2)


def test_samples_that_are_not_numbers_are_lost() -> None:
    memory = Memory()
    memory.boot(1)
    for first, value in enumerate((0.25, np.nan, 0.5)):
        data = np.full(FRAME, value, "<f4").tobytes()
        audio = Audio(
            sample_index=first * FRAME, rate_millihz=1000 * RATE_HZ, sample_format=SampleFormat.FLOAT32, data=data
        )
        memory.say(audio, stream=1)
    first, lost, last = heard(memory)
    assert lost == Loss(FRAME, FRAME, "samples that are not numbers")
    assert isinstance(first, Run)
    assert isinstance(last, Run)
    assert (first.samples[0, 0], last.samples[0, 0]) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        ({"rate_hz": 8000}, f"{PORT}: recorded 1 channel(s) at 8000 Hz; set rate_hz to 8000 and channels to 1"),
        ({"channels": 2}, f"{PORT}: recorded 2 channel(s) at 16000 Hz; set rate_hz to 16000 and channels to 2"),
    ],
)
def test_a_recording_of_another_kind_is_an_error_that_says_what_to_set(recorded: dict[str, int], says: str) -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(**recorded)
    with pytest.raises(CaptureError) as told:
        list(hear(memory.parts(), settings()))
    assert str(told.value) == says


def test_a_recording_of_other_sensors_alone_is_an_error_and_an_empty_one_is_not() -> None:
    memory = Memory()
    memory.boot(1)
    assert [one for one in hear(memory.parts(), settings()) if not isinstance(one, Told)] == []
    memory.record(2, stream=3)
    with pytest.raises(CaptureError, match="recorded nothing of sensor 1; expected one of 3"):
        list(hear(memory.parts(), settings()))


def test_however_the_bytes_are_split_the_same_is_heard() -> None:
    memory = Memory()
    memory.boot(1)
    memory.record(5, lose=3)
    splits = [list(hear(memory.parts(size), settings())) for size in (1, 7, 100_000)]
    for one, other in pairwise(splits):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            if isinstance(left, Run):
                assert isinstance(right, Run)
                np.testing.assert_array_equal(left.samples, right.samples)
            else:
                assert left == right
