"""What a device tells becomes samples with exact losses before them, in a time of the test's own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hydroear.audio import Block, Gap
from hydroear.capture.microcontroller import Microcontroller
from hydroear.capture.stream import Stream
from hydroear.capture.supervised import Frame as Heard
from hydroear.capture.timeline import Timeline
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Body,
    Event,
    Frame,
    Hello,
    ResetCause,
    SampleFormat,
    SensorStatus,
    Status,
)
from hydroear_bridge.link import encode

RATE_HZ = 16_000
COUNT = 320
FRAME_S = COUNT / RATE_HZ
DELAY_S = 0.003


class Device:
    """A device that says HELLO and sends AUDIO, as it is told to, and the microcontroller that hears it."""

    def __init__(self, **settings: Any) -> None:
        self.heard_by = Microcontroller("tcp://device:1", 1_000.0)
        self.stream = Stream(schema.BridgeSource.model_validate({"type": "bridge", "port": "tcp://device:1", **settings}))
        self.heard_by.add(self.stream, 1_000.0)
        self.timeline = Timeline(RATE_HZ, 1_000.0)
        self.pieces: list[Block | Gap] = []
        self.frames: list[Heard] = []
        self._boot_id = 0
        self.boot(1_000.0)

    def boot(self, at_s: float) -> None:
        self._boot_id += 1
        self.now_s = self._booted_s = at_s
        self._sequence = self._index = 0

    def hello(self) -> None:
        self.say(Hello(boot_id=self._boot_id, model="hydrophone", firmware="1.0"))

    def audio(self, frames: int = 1, *, arrive: bool = True, **fields: Any) -> None:
        for _ in range(frames):
            at_s, index = self.now_s, self._index
            self.now_s += FRAME_S
            self._index += COUNT
            data = fields.pop("data", np.arange(index, index + COUNT).astype("<i2").tobytes())
            values = {"rate_millihz": 1000 * RATE_HZ, "sample_format": SampleFormat.INT16, "data": data, **fields}
            self.say(Audio(sample_index=index, **values), stream=1, at_s=at_s, arrive=arrive)

    def lose(self, frames: int) -> None:
        """Sample, and lose it before it is a frame."""
        self.now_s += frames * FRAME_S
        self._index += frames * COUNT

    def say(self, body: Body, *, stream: int = 0, at_s: float | None = None, arrive: bool = True) -> None:
        device_us = round(1e6 * ((self.now_s if at_s is None else at_s) - self._booted_s))
        wire = encode(Frame(sequence=self._sequence, device_time_us=device_us, stream=stream, body=body))
        self._sequence += 1
        if arrive:
            self.heard_by.receive(b"\0" + wire, self.now_s + DELAY_S)
            self.hear(self.stream.take())

    def hear(self, told: list[Heard | CaptureError]) -> None:
        for frame in told:
            assert isinstance(frame, Heard), frame
            self.frames.append(frame)
            self.pieces += self.timeline.place(frame.samples, frame.end_s, loss=frame.loss, lost=frame.lost)
        assert all(before.end_index == after.first_index for before, after in pairwise(self.pieces))

    @property
    def gaps(self) -> list[tuple[int, str]]:
        return [(piece.length, piece.reason) for piece in self.pieces if isinstance(piece, Gap)]

    @property
    def misplaced(self) -> list[Block]:
        """Blocks whose samples are not those of their place."""
        blocks = [piece for piece in self.pieces if isinstance(piece, Block)]
        return [one for one in blocks if (round(float(one.samples[0, 0]) * 2**15) - one.first_index) % 2**16]


@pytest.fixture
def device() -> Device:
    device = Device()
    device.hello()
    device.audio(3)
    return device


def test_losses_are_told_apart_and_are_exact(device: Device) -> None:
    device.audio(2, arrive=False)
    device.audio()
    device.lose(3)
    device.audio(flags=AudioFlags.GAP)
    device.lose(1)
    device.audio(arrive=False)
    device.audio(flags=AudioFlags.GAP)
    assert device.gaps == [
        (2 * COUNT, "lost on the way"),
        (3 * COUNT, "lost on the device"),
        (2 * COUNT, "lost on the device and on the way"),
    ]
    assert device.misplaced == []
    assert [frame.after_loss for frame in device.frames[3:]] == [False, True, True]
    assert device.heard_by.health(1).frames_lost == 3


def test_what_the_clock_counted_too_much_while_nothing_came_is_made_good(device: Device) -> None:
    device.audio(100, arrive=False)
    gap = device.timeline.lose(device.now_s + 1.0, "waiting")
    assert gap is not None
    assert gap.length == pytest.approx((2.0 + 1.0) * RATE_HZ, abs=0.01 * RATE_HZ)
    device.pieces.append(gap)
    device.audio(100)
    assert sum(length for length, _ in device.gaps) == gap.length
    assert device.misplaced == []
    assert device.pieces[-1].end_index == 203 * COUNT


def test_time_for_which_the_device_was_stopped_is_a_gap_though_its_index_stood_still(device: Device) -> None:
    device.now_s += 2.0
    device.audio(2)
    assert device.gaps == [(2 * RATE_HZ, "the device was stopped")]


def test_after_a_boot_the_gap_is_as_long_as_the_clock_says(device: Device) -> None:
    device.boot(device.now_s + 1.0)
    device.hello()
    device.audio(2)
    ((length, reason),) = device.gaps
    assert reason == "the device started anew"
    assert length == pytest.approx(RATE_HZ, abs=2)
    assert device.heard_by.health(1).restarts == 1


def test_a_device_that_booted_while_nobody_listened_is_believed_only_after_its_hello(device: Device) -> None:
    device.boot(device.now_s + 1.0)
    device.audio(20, arrive=False)
    device.heard_by.connect(device.now_s)
    # By its sequence and its index this could go on from what was heard before.
    device.audio(2)
    assert len(device.frames) == 3
    device.hello()
    device.audio(2)
    assert [reason for _, reason in device.gaps] == ["the device started anew"]
    assert len(device.frames) == 5


def test_what_came_before_the_hello_of_the_same_boot_is_kept(device: Device) -> None:
    device.audio(arrive=False)
    device.heard_by.connect(device.now_s)
    device.audio(2)
    assert len(device.frames) == 3
    device.hello()
    assert device.gaps == [(COUNT, "lost on the way")]
    assert device.misplaced == []
    assert len(device.frames) == 5


@pytest.mark.parametrize(("gain_db", "factor"), [(None, 0.1), (20.0, 1.0), (6.0, 10 ** (-14 / 20))])
def test_levels_are_those_at_the_gain_that_was_asked_for(gain_db: float | None, factor: float) -> None:
    device = Device(gain_db=gain_db)
    device.hello()
    device.audio(gain_centidb=2000, flags=AudioFlags.GAIN_CHANGED, data=np.full(COUNT, 2**14, "<i2").tobytes())
    np.testing.assert_allclose(device.frames[0].samples, 0.5 * factor, rtol=1e-6)


def test_samples_that_are_no_numbers_are_lost(device: Device) -> None:
    data = np.full(COUNT, np.nan, "<f4").tobytes()
    device.audio(sample_format=SampleFormat.FLOAT32, data=data)
    device.audio(2)
    assert device.gaps == [(COUNT, "samples that are not numbers")]
    assert device.misplaced == []


def test_what_it_says_of_itself_is_told_in_the_units_of_the_payload(device: Device) -> None:
    assert device.heard_by.health(1).battery_v is None
    sensor = SensorStatus(stream=1, adc_overruns=1, drops=320, clips=2)
    other = SensorStatus(stream=2, adc_overruns=9)
    device.say(
        Status(
            battery_mv=3600,
            temperature_centicelsius=-250,
            humidity_centipercent=4000,
            charge_percent=80,
            reset_cause=ResetCause.BROWN_OUT,
            frames_dropped=4,
            sensors=(other, sensor),
        )
    )
    health = device.heard_by.health(1)
    assert (health.model, health.firmware, health.reset_cause) == ("hydrophone", "1.0", "brown-out")
    assert (health.battery_v, health.supply_v, health.temperature_c) == (3.6, None, -2.5)
    assert (health.humidity, health.charge, health.frames_dropped) == (0.4, 0.8, 4)
    assert (health.adc_overruns, health.samples_dropped, health.clips) == (1, 320, 2)


def test_an_alarm_of_its_makers_own_is_told_by_number_and_ends_with_a_boot(device: Device) -> None:
    device.say(Event(time_us=0, number=0, event=0x8001))
    assert device.heard_by.health(1).alarms == ("0x8001",)
    device.boot(device.now_s + 1.0)
    device.hello()
    assert device.heard_by.health(1).alarms == ()


def test_a_minute_tells_how_fast_its_crystal_is() -> None:
    timeline, fast = Timeline(RATE_HZ, 0.0), 1.0 + 50e-6
    rng = np.random.default_rng(1)
    samples = np.zeros((COUNT, 1), np.float32)
    for frame in range(1, round(120 / FRAME_S)):
        lost = COUNT if frame % 20 == 0 else 0
        if frame % 20 != 19:
            end_s = frame * FRAME_S / fast + rng.exponential(5e-4)
            timeline.place(samples, end_s, loss="lost on the way" if lost else "", lost=None if frame == 1 else lost)
    assert timeline.drift.ppm == pytest.approx(50.0, abs=5.0)
