"""What a device tells becomes samples with exact losses before them, in a time of the test's own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from bridging import Counter, Witness, assert_exact, assert_no_window_has_a_gap, blocks, gaps
from hydroear.audio import Block, Gap, Scale
from hydroear.capture.microcontroller import LINE_LENGTH, Microcontroller, one_line
from hydroear.capture.stream import START_S, Stream
from hydroear.capture.supervised import Frame as Heard
from hydroear.capture.timeline import Timeline
from hydroear.codes import Code
from hydroear.config import schema
from hydroear.errors import CaptureError
from hydroear.health.alarm import Alive, Report
from hydroear_bridge.device import Device as SimulatedDevice
from hydroear_bridge.faults import Faults, Link
from hydroear_bridge.frames import (
    Audio,
    AudioFlags,
    Body,
    Capabilities,
    Event,
    EventCode,
    Frame,
    FrameType,
    Hello,
    Log,
    ResetCause,
    Result,
    ResultCode,
    SampleFormat,
    Sensor,
    SensorStatus,
    SensorUnit,
    Start,
    Status,
    Stop,
    Time,
)
from hydroear_bridge.link import Decoder, encode

RATE_HZ = 16_000
COUNT = 320
FRAME_S = COUNT / RATE_HZ
DELAY_S = 0.003


class Device:
    """A device that says HELLO and sends AUDIO, as it is told to, and the microcontroller that hears it."""

    def __init__(self, *, port: str = "tcp://device:1", **settings: Any) -> None:
        self.heard_by = Microcontroller(port, 1_000.0)
        values = {"type": "bridge", "port": port, **settings}
        self.stream = Stream(schema.BridgeSource.model_validate(values))
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

    def hello(self, **fields: Any) -> None:
        self.say(Hello(boot_id=self._boot_id, uid=b"\x00\xff", model="hydrophone", firmware="1.0", **fields))

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
        wire = self.wire(body, stream=stream, at_s=at_s)
        if arrive:
            self.arrive(wire, self.now_s + DELAY_S)

    def arrive(self, wire: bytes, now_s: float) -> None:
        self.heard_by.receive(wire, now_s)
        self.hear(self.stream.take())

    def us(self, at_s: float | None = None) -> int:
        """The device's time now, or at another time."""
        return round(1e6 * ((self.now_s if at_s is None else at_s) - self._booted_s))

    def wire(self, body: Body, *, stream: int = 0, at_s: float | None = None) -> bytes:
        """The next frame, as it is sent."""
        frame = Frame(sequence=self._sequence, device_time_us=self.us(at_s), stream=stream, body=body)
        self._sequence += 1
        return b"\0" + encode(frame)

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


def test_it_gives_signs_of_life_and_passes_on_what_was_reported(device: Device) -> None:
    device.say(Event(time_us=0, number=0, event=0x8001))
    device.say(Event(time_us=0, number=1, event=EventCode.LOW_BATTERY, value=3310), stream=1)
    device.say(Event(time_us=0, number=2, event=EventCode.TAMPER), stream=2)
    device.boot(device.now_s + 1.0)
    device.hello()
    greeting, own, battery, other, again = device.heard_by.news()
    assert greeting == Alive(1_000.0 + DELAY_S, 1, "hydrophone", "00ff")
    assert isinstance(own, Report)
    assert (own.alarm, own.stream, own.number, own.battery_v) == ("0x8001", 0, 0, None)
    assert isinstance(battery, Report)
    assert (battery.alarm, battery.stream, battery.battery_v) == ("low-battery", 1, 3.31)
    assert isinstance(other, Report)
    assert (other.alarm, other.stream) == ("tamper", 2)
    assert isinstance(again, Alive)
    assert again.boot_id == 2
    assert device.heard_by.news() == []


@pytest.mark.parametrize("clock_is_known", [False, True])
def test_an_alarm_has_the_time_at_which_it_began_however_late_it_is_told(device: Device, clock_is_known: bool) -> None:
    if clock_is_known:
        asked_s = device.now_s
        answer = Time(receiver_sent_us=round(1e6 * asked_s), device_received_us=device.us(), device_sent_us=device.us())
        device.arrive(device.wire(answer), asked_s)
    began_s, began_us = device.now_s, device.us()
    device.now_s += 3600.0
    device.say(Event(time_us=began_us, number=0, event=EventCode.TAMPER))
    (report,) = [one for one in device.heard_by.news() if isinstance(one, Report)]
    assert report.time == pytest.approx(began_s + (0.0 if clock_is_known else DELAY_S), abs=1e-6)


def test_nothing_is_reported_that_is_still_to_come(device: Device) -> None:
    device.say(Event(time_us=2**63, number=0, event=EventCode.TAMPER))
    (report,) = [one for one in device.heard_by.news() if isinstance(one, Report)]
    assert report.time == pytest.approx(device.now_s + DELAY_S)


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


class World:
    """A simulated device, a microcontroller that hears it, and what lies between them, in steps of virtual time."""

    def __init__(self, faults: Faults, *, rate_hz: int = RATE_HZ, ppm: float = 0.0, jitter_s: float = 0.0) -> None:
        self.now_s = 1_000.0
        self.device = SimulatedDevice(Counter(), rate_hz=rate_hz, ppm=ppm)
        self.device.boot(self.now_s)
        self.heard_by = Microcontroller("/dev/line", self.now_s)
        self.stream = Stream(schema.BridgeSource(type="bridge", port="/dev/line", rate_hz=rate_hz))
        self.heard_by.add(self.stream, self.now_s)
        self.timeline = Timeline(rate_hz, self.now_s)
        self.pieces: list[Block | Gap] = []
        self.made: list[Frame] = []
        self._down, self._up = Witness(faults, 2), Link(faults, 3)
        self._jitter_s, self._delays = jitter_s, np.random.default_rng(4)

    def run(self, seconds: float, *, step_s: float) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self._say(self.device.send(self.now_s))
            self._say(self.device.receive(self._up.arrived(self.now_s), self.now_s))
            self.heard_by.receive(self._down.arrived(self.now_s), self.now_s)
            if self.now_s >= self.heard_by.due_s:
                self.heard_by.tick(self.now_s, None)
            for told in self.stream.take():
                if isinstance(told, Heard):
                    self.pieces += self.timeline.place(told.samples, told.end_s, loss=told.loss, lost=told.lost)
            if self.heard_by.failure is not None:
                self.heard_by.connect(self.now_s)
            if data := self.heard_by.outgoing():
                self._up.send(data, self.now_s, delay_s=self._delay_s())

    @property
    def arrived(self) -> list[int]:
        """Indices of the first samples of what could be read at the end of the link."""
        sent = zip(self.made, self._down.arrives, strict=True)
        return [frame.body.sample_index for frame, arrives in sent if arrives and isinstance(frame.body, Audio)]

    def _say(self, frames: list[Frame]) -> None:
        self.made += frames
        for frame in frames:
            self._down.send(encode(frame), self.now_s, delay_s=self._delay_s())

    def _delay_s(self) -> float:
        return self._delays.uniform(0.0, self._jitter_s)


@pytest.mark.parametrize(
    ("faults", "seconds"),
    [
        (Faults(loss=0.05, noise=0.01, stall=0.02), 240.0),
        (Faults(loss=0.05, corrupt=0.01, stall=0.02, duplicate=0.02), 30.0),
    ],
    ids=["a byte in a hundred", "a frame in a hundred"],
)
def test_gaps_are_what_was_lost_to_losses_corruption_and_stalls_together(faults: Faults, seconds: float) -> None:
    world = World(faults, rate_hz=8_000)
    world.run(seconds, step_s=0.02)
    arrived = world.arrived
    assert len(arrived) >= 5, "of 530 bytes without a fault there are few, but some"
    heard = blocks(world.pieces)
    first = arrived[0] - heard[0].first_index
    assert_exact(heard, first)
    assert [block.first_index + first for block in heard] == arrived
    assert sum(gap.length for gap in gaps(world.pieces)) > 0


def test_no_window_with_a_gap_in_it_is_scored() -> None:
    world = World(Faults(loss=0.01, stall=0.02))
    world.run(20.0, step_s=0.02)
    assert len(gaps(world.pieces)) > 3
    assert_no_window_has_a_gap(world.pieces)


def test_after_a_minute_it_is_known_to_a_millisecond_when_a_sample_was_taken() -> None:
    world = World(Faults(), ppm=100.0, jitter_s=5e-3)
    began_s = world.now_s
    world.run(60.0, step_s=2e-3)
    world.pieces.clear()
    world.run(2.0, step_s=2e-3)
    first = next(frame for frame in world.made if isinstance(frame.body, Audio))
    for block in blocks(world.pieces):
        device_s = 1e-6 * first.device_time_us + block.end_index / RATE_HZ
        assert block.monotonic_s == pytest.approx(began_s + device_s / (1.0 + 100e-6), abs=1e-3)


def asked(outgoing: bytes) -> list[tuple[type[Body], int]]:
    """What a device is asked, and of which stream, but for its time."""
    frames = [one for one in Decoder().receive(outgoing) if isinstance(one, Frame)]
    return [(type(frame.body), frame.stream) for frame in frames if not isinstance(frame.body, Time)]


@pytest.mark.parametrize(
    ("port", "found_sending", "stops"),
    [("tcp://device:1", False, True), ("tcp://device:1", True, False), ("/dev/line", True, True)],
    ids=["asked for by us", "asked for by another", "left by a run that was killed"],
)
def test_it_is_asked_to_stop_unless_others_may_have_asked_for_the_samples(
    port: str, found_sending: bool, stops: bool
) -> None:
    device = Device(port=port)
    if found_sending:
        device.audio()
    device.hello(capabilities=Capabilities.START)
    assert asked(device.heard_by.outgoing()) == [(Start, 1)]
    device.audio()
    device.heard_by.remove(device.stream, device.now_s)
    assert asked(device.heard_by.outgoing()) == ([(Stop, 1)] if stops else [])
    assert device.heard_by.is_asked_to_stop is stops


def test_a_device_that_takes_no_requests_is_not_asked_to_stop(device: Device) -> None:
    device.heard_by.remove(device.stream, device.now_s)
    assert asked(device.heard_by.outgoing()) == []


def test_a_device_that_sends_no_samples_for_long_is_asked_again(device: Device) -> None:
    device.hello(capabilities=Capabilities.START)
    start = next(one for one in Decoder().receive(device.heard_by.outgoing()) if isinstance(one, Frame))
    granted = Result(request_sequence=start.sequence, request_type=FrameType.START, code=ResultCode.OK)
    device.say(granted, stream=1)
    device.now_s += START_S + DELAY_S
    device.heard_by.tick(device.now_s, None)
    (error,) = [one for one in device.stream.take() if isinstance(one, CaptureError)]
    assert str(error) == "tcp://device:1, sensor 1: it speaks, but sends no samples; restart it"
    device.hello(capabilities=Capabilities.START)
    assert asked(device.heard_by.outgoing()) == [(Start, 1)]


@pytest.mark.parametrize(
    ("level", "logged"),
    [(1, "ERROR"), (2, "WARNING"), (3, "INFO"), (4, "DEBUG"), (9, "DEBUG")],
)
def test_what_it_says_to_people_is_logged_at_its_level(
    device: Device, caplog: pytest.LogCaptureFixture, level: int, logged: str
) -> None:
    with caplog.at_level("DEBUG"):
        device.say(Log(level=level, text="ADC offset 12 µV"))
    (record,) = caplog.records
    assert (record.levelname, record.code) == (logged, Code.DEVICE_LOG)  # type: ignore[attr-defined]
    assert record.getMessage() == "tcp://device:1: the device says: ADC offset 12 µV"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nhydroear: error: forged", r"a\nhydroear: error: forged"),
        ("\x1b]0;title\x07\x1b[2J\r\0", r"\x1b]0;title\x07\x1b[2J\r\x00"),
        ("\u202egnola\u2028next\x85", r"\u202egnola\u2028next\x85"),
        ("x" * 5_000, "x" * LINE_LENGTH + "…"),
        ("\n" * 5_000, r"\n" * LINE_LENGTH + "…"),
    ],
    ids=["line feed", "escapes", "directions and separators", "long", "long escapes"],
)
def test_no_line_of_a_device_can_pass_for_another_or_do_anything_to_a_terminal(text: str, line: str) -> None:
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("sensor", "gain_db", "scale"),
    [
        ({"unit": SensorUnit.PASCAL, "full_scale_units": 2000.0}, None, Scale("Pa", 2000.0)),
        ({"unit": SensorUnit.PASCAL, "full_scale_units": 2000.0}, 20.0, Scale("Pa", 200.0)),
        ({"unit": SensorUnit.METRE_PER_SECOND_SQUARED, "full_scale_units": 5.0}, -20.0, Scale("m/s²", 50.0)),
        ({"unit": SensorUnit.METRE_PER_SECOND, "full_scale_units": 0.5}, None, Scale("m/s", 0.5)),
        ({"unit": SensorUnit.VOLT, "full_scale_units": 1.25}, None, Scale("V", 1.25)),
        ({"unit": SensorUnit.PASCAL}, None, None),
        ({"unit": SensorUnit.OTHER, "full_scale_units": 2.0}, None, None),
        ({"unit": 77, "full_scale_units": 2.0}, None, None),
    ],
)
def test_what_a_sample_stands_for_follows_from_the_hello_and_the_gain(
    sensor: dict[str, Any], gain_db: float | None, scale: Scale | None
) -> None:
    """At any gain of the device a sample times full scale is what the sensor measured."""
    device = Device(gain_db=gain_db)
    device.hello(sensors=(Sensor(stream=1, **sensor),))
    assert device.stream.scale == scale
    device.audio(gain_centidb=1000, data=np.full(COUNT, 2**14, "<i2").tobytes())
    if scale is not None:
        measured = 0.5 * sensor["full_scale_units"] * 10 ** (-10.0 / 20.0)
        np.testing.assert_allclose(device.frames[-1].samples * scale.full_scale, measured, rtol=1e-6)
